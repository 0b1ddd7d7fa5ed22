"""From a Comparison and its Verdict to a Report. Must not: render."""

from __future__ import annotations

from typing import Any

from runoff.comparison import Comparison, Side, Verdict
from runoff.comparison.checkpoints import Checkpoints
from runoff.comparison.curves import CurveFacts
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
    return Report(title, verdict.decision.value, verdict.ship, tuple(sections), _facts(comparison, verdict))


def _yardstick(one: Yardstick) -> dict[str, Any]:
    return {
        "unit": one.unit,
        "margin": one.margin,
        "base": one.base.to_json(),
        "author": one.author.to_json() if one.author else None,
        "runs": {label: value.to_json() for label, value in one.values.items()},
        "differences": {f"{a}-{b}": _difference(one.pairs[a, b]) for a, b in pairs_to_show(one)},
        "differences_to_base": {label: _difference(pair) for label, pair in one.against_base.items()},
        "differences_over_seeds": {
            f"{a}-{b}": {"value": found.value, "standard_error": found.standard_error, "runs": list(found.runs)}
            for (a, b), found in one.seeds.items()
        },
        "cannot_see": one.cannot_see,
    }


def _difference(pair: PairedDifference) -> dict[str, Any]:
    return {"estimate": pair.difference.to_json(), "p_value": pair.p_value, "p_method": pair.p_method}


def _facts(comparison: Comparison, verdict: Verdict) -> dict[str, Any]:
    """What a program decides by, or needs to say why."""
    evidence = comparison.evidence
    curves = {one.label: one for one in comparison.curve_facts}
    return {
        "margin_nats_per_target_token": comparison.margin,
        "verdict": _verdict(verdict),
        "runs": {side.label: _run(side, curves[side.label]) for side in comparison.sides},
        "settings_of_several_runs": {label: [side.label for side in own] for label, own in comparison.groups.items()},
        "held_out": {
            "missing": evidence.missing,
            "test": dict(evidence.test),
            **(_yardstick(evidence.loss) if evidence.loss else {}),
        },
        "challengers": [
            {
                "label": one.label,
                "baseline": one.baseline,
                "outcome": one.outcome.value,
                "p_adjusted": one.p_adjusted,
                **_difference(one.pair),
            }
            for one in evidence.challenges
        ],
        "measures": {key: _yardstick(one) for key, one in evidence.measures.items()},
        "votes": vote_facts(evidence.votes),
        "checks": [
            {"topic": check.topic, "level": check.level, "sentence": check.sentence.text, "blocks": list(check.blocks)}
            for check in comparison.checks
        ],
    }


def _verdict(found: Verdict) -> dict[str, Any]:
    return {
        "aim": found.aim.value,
        "headline": found.headline.text,
        "because": [sentence.text for sentence in found.because],
        "would_change": [sentence.text for sentence in found.would_change],
        "requirements": [
            {"gate": one.gate, "label": one.label, "status": one.status, "sentence": one.sentence.text}
            for one in found.requirements
        ],
        "commands": list(found.commands),
    }


def _run(side: Side, curve: CurveFacts) -> dict[str, Any]:
    """The seed stands among the settings, the reason for the adapter that was kept in the result."""
    identity = side.run.identity
    return {
        "folder": str(side.run.folder.path),
        "status": side.run.status,
        "settings": {key: value.to_json() for key, value in side.run.plan.settings.items()},
        "counts": {key: value.to_json() for key, value in side.run.plan.counts.items()},
        "result": identity.result,
        "alarms": [{"iteration": row.iteration, "text": row.text} for row in curve.alarms],
        "checkpoints": _checkpoints(curve.checkpoints) if curve.checkpoints else None,
    }


def _checkpoints(found: Checkpoints) -> dict[str, Any]:
    """Iterations by the kept validation rows: the best, those that can't be told from it, what half of them choose."""
    confirmed = found.selection.against_baseline if found.selection else None
    return {
        "best": found.best,
        "not_to_be_told_from_best": list(found.equals),
        "chosen_on_half": found.chosen,
        "chosen_minus_last_on_other_half": _difference(confirmed) if confirmed else None,
    }
