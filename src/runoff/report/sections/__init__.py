"""What a comparison's report says, section by section.

Owns: `SECTIONS`, functions of (comparison, verdict) that yield blocks; a section without blocks is left out. Must not:
compute statistics (they come with the comparison) or know a rendering.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from runoff.comparison import Comparison, Verdict
from runoff.report.model import Block
from runoff.report.sections.decision import change, commands, provenance, summary, the_verdict
from runoff.report.sections.results import answers, results, telling_examples
from runoff.report.sections.settings import after, comparable, derived, differences
from runoff.report.sections.training import curve_charts, training
from runoff.report.sections.votes import votes

__all__ = ["SECTIONS"]

Builder = Callable[[Comparison, Verdict], Iterator[Block]]

SECTIONS: tuple[tuple[str, str, Builder], ...] = (
    ("summary", "What it comes to", summary),
    ("comparable", "May they be compared?", comparable),
    ("differences", "Key differences", differences),
    ("derived", "What the settings come to", derived),
    ("after", "What each run is after", after),
    ("training", "Training metrics", training),
    ("curves", "Curves", curve_charts),
    ("results", "Results on held-out answers", results),
    ("answers", "What the answers are like", answers),
    ("votes", "Blind votes", votes),
    ("examples", "Telling examples", telling_examples),
    ("verdict", "Verdict", the_verdict),
    ("change", "What would change it", change),
    ("commands", "Next commands", commands),
    ("provenance", "Files and provenance", provenance),
)
