"""Findings: what is worth knowing about a run before the hours are spent.

Owns: the tuple of checks, in the order of their codes, and looking at a draft with all of them. A check is a function
of
a Draft that yields what it has seen; adding one touches one theme's module and this tuple. Its docstring is its entry
in
docs/findings.md. Must not: read files.

    S1xx settings    C2xx counts    D3xx data    M4xx cost    T5xx what another tool would do
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runoff.plan.findings import cost, counts, data, odd_rows, settings, sources, tools
from runoff.plan.findings.check import Check, Finding, Level
from runoff.plan.unknown import NotKnown

if TYPE_CHECKING:
    from runoff.plan.draft import Draft

__all__ = ["FINDINGS", "OF_A_TOOL", "OF_ROWS", "Check", "Finding", "Level", "Looked", "NotMade", "docs", "find", "look"]

FINDINGS: tuple[Check, ...] = (
    *settings.CHECKS,
    *counts.CHECKS,
    *data.CHECKS,
    *sources.CHECKS,
    *odd_rows.CHECKS,
    *cost.CHECKS,
    *tools.CHECKS,
)
OF_A_TOOL = tools.CHECKS
"""What the tool named with --for would do: asked for with it alone."""

OF_ROWS: tuple[Check, ...] = (*data.OF_ROWS, *sources.CHECKS, *odd_rows.CHECKS)
"""What the rows show by themselves, without settings or a tokenizer."""

_ORDER = {"error": 0, "warning": 1, "note": 2}


@dataclass(frozen=True, slots=True)
class NotMade:
    """Checks that could not be made, for one reason."""

    codes: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Looked:
    """What came of looking: the findings, errors first, and what could not be looked at."""

    findings: tuple[Finding, ...]
    not_made: tuple[NotMade, ...]


def look(draft: Draft, checks: tuple[Check, ...] = FINDINGS) -> Looked:
    """Make every check that the known facts allow."""
    found: list[Finding] = []
    reasons: dict[str, list[str]] = {}
    for check in checks:
        try:
            found += check(draft)
        except NotKnown as unknown:
            reasons.setdefault(unknown.why, []).append(check.code)
    found.sort(key=lambda finding: _ORDER[finding.level])
    return Looked(tuple(found), tuple(NotMade(tuple(codes), why) for why, codes in reasons.items()))


def find(draft: Draft) -> tuple[Finding, ...]:
    """All findings, errors first."""
    return look(draft).findings


def docs() -> str:
    """docs/findings.md: one entry for each code, from the checks themselves."""
    entries = [f"## {check.code} {check.title}\n\n*{check.level}*\n\n{check.text}\n" for check in FINDINGS]
    return "\n".join([_PREFACE, *entries])


_PREFACE = """\
# Findings

What `runoff check` and the start of `runoff train` may say, one entry for each code. An *error* means that no run can
start, or that the named tool would stop; `runoff check` then ends with exit code 1. A *warning* is worth a change. A
*note* is worth knowing. A check that lacks a fact (no tokenizer here, no model here) is listed as not made, with the
reason; it never counts as passed.

This page is made from the checks' own docstrings (`runoff.plan.findings.docs()`); a test compares the two.
"""
