"""From a Comparison and its Verdict to a Report. Must not: render."""

from __future__ import annotations

from typing import Any

from runoff.comparison import Comparison, Verdict
from runoff.comparison.facts import listed
from runoff.comparison.statistics import PairedDifference
from runoff.comparison.yardstick import Yardstick
from runoff.report.arrange import arranged, pairs_to_show, reading_order
from runoff.report.model import Report, Section
from runoff.report.sections import SECTIONS
from runoff.report.sections.votes import vote_facts

__all__ = ["report"]


def report(comparison: Comparison, verdict: Verdict) -> Report:
    """Every section that has something to say, and the numbers for machines."""
    sections = []
    for key, title, build in SECTIONS:
        blocks = tuple(build(comparison, verdict))
        if blocks:
            sections.append(arranged(Section(key, title, blocks), reading_order(comparison)))
    title = f"Runoff: {listed([side.label for side in comparison.sides])}"
    return Report(title, verdict.decision.value, verdict.ship, tuple(sections), _facts(comparison))


def _yardstick(one: Yardstick) -> dict[str, Any]:
    return {
        "unit": one.unit,
        "margin": one.margin,
        "base": one.base.to_json(),
        "author": one.author.to_json() if one.author else None,
        "runs": {label: value.to_json() for label, value in one.values.items()},
        "differences": {f"{a}-{b}": _difference(one.pairs[a, b]) for a, b in pairs_to_show(one)},
        "differences_to_base": {label: _difference(pair) for label, pair in one.against_base.items()},
    }


def _difference(pair: PairedDifference) -> dict[str, Any]:
    return {"estimate": pair.difference.to_json(), "p_value": pair.p_value, "p_method": pair.p_method}


def _facts(comparison: Comparison) -> dict[str, Any]:
    evidence = comparison.evidence
    return {
        "margin_nats_per_target_token": comparison.margin,
        "runs": {
            side.label: {
                "folder": str(side.run.folder.path),
                "status": side.run.identity.status,
                "settings": {key: value.to_json() for key, value in side.run.plan.settings.items()},
                "counts": {key: value.to_json() for key, value in side.run.plan.counts.items()},
                "result": side.run.identity.result,
            }
            for side in comparison.sides
        },
        "held_out": {
            "missing": evidence.missing,
            "test": dict(evidence.test),
            **(_yardstick(evidence.loss) if evidence.loss else {}),
        },
        "measures": {key: _yardstick(one) for key, one in evidence.measures.items()},
        "votes": vote_facts(evidence.votes),
        "checks": [
            {"topic": check.topic, "level": check.level, "sentence": check.sentence.text, "blocks": list(check.blocks)}
            for check in comparison.checks
        ],
    }
