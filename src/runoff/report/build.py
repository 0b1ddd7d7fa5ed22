"""From a Comparison and its Verdict to a Report. Must not: render."""

from __future__ import annotations

from typing import Any

from runoff.comparison import Comparison, Verdict
from runoff.comparison.facts import listed
from runoff.report.model import Report, Section
from runoff.report.sections import SECTIONS

__all__ = ["report"]


def report(comparison: Comparison, verdict: Verdict) -> Report:
    """Every section that has something to say, and the numbers for machines."""
    sections = []
    for key, title, build in SECTIONS:
        blocks = tuple(build(comparison, verdict))
        if blocks:
            sections.append(Section(key, title, blocks))
    title = f"Runoff: {listed([side.label for side in comparison.sides])}"
    return Report(title, verdict.decision.value, verdict.ship, tuple(sections), _facts(comparison))


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
            "base": evidence.base.to_json(),
            "runs": {label: loss.to_json() for label, loss in evidence.losses.items()},
            "differences": {
                f"{a}-{b}": {"estimate": pair.difference.to_json(), "p_value": pair.p_value, "p_method": pair.p_method}
                for (a, b), pair in evidence.pairs.items()
            },
            "differences_to_base": {
                label: {"estimate": pair.difference.to_json(), "p_value": pair.p_value, "p_method": pair.p_method}
                for label, pair in evidence.against_base.items()
            },
        },
        "checks": [
            {"topic": check.topic, "level": check.level, "sentence": check.sentence.text, "blocks": list(check.blocks)}
            for check in comparison.checks
        ],
    }
