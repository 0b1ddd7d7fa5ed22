"""Comparison: two or more runs, what differs, what the evidence shows, and the verdict. Must not: print."""

from runoff.comparison.aims import Aim
from runoff.comparison.compare import Comparison, compare
from runoff.comparison.facts import Sentence, Side
from runoff.comparison.gate import Gate, GateResult, gate
from runoff.comparison.verdict import Decision, Verdict, verdict

__all__ = [
    "Aim",
    "Comparison",
    "Decision",
    "Gate",
    "GateResult",
    "Sentence",
    "Side",
    "Verdict",
    "compare",
    "gate",
    "verdict",
]
