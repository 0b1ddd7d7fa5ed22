"""What it comes to: the verdict, what would change it, and what to type next; and where everything came from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from runoff.comparison import Comparison, Side, Verdict
from runoff.comparison.facts import listed
from runoff.report.model import Block, Commands, Paragraph, Table, cell, words
from runoff.report.sections.cells import known_text
from runoff.report.sections.settings import DECLARED
from runoff.runs import MetricRow

__all__ = ["change", "commands", "provenance", "summary", "the_verdict"]


def summary(comparison: Comparison, verdict: Verdict) -> Iterator[Block]:
    """What it comes to, in one sentence, and what was left open."""
    yield Paragraph(verdict.headline.text, verdict.headline.cites, "verdict")
    blocking = [check for check in comparison.checks if check.level == "blocking"]
    if blocking:
        topics = ", ".join(dict.fromkeys(check.topic for check in blocking))
        yield Paragraph(f"Not everything may be compared ({topics}): see below.", role="warning")
    alarmed = [f"{one.label} ({_names(one.alarms)})" for one in comparison.curve_facts if one.alarms]
    if alarmed:
        yield Paragraph(
            f"The training of {listed(alarmed)} raised an alarm: see Training metrics.",
            tuple(f"{one.label}.metrics" for one in comparison.curve_facts if one.alarms),
            "warning",
        )


def _names(alarms: Sequence[MetricRow]) -> str:
    """`A601 overfitting`, as the text of an alarm begins."""
    heads = [(row.text or "").partition(":")[0].partition(" ") for row in alarms]
    return ", ".join(f"{code} {word.lower()}" for code, _, word in heads)


def the_verdict(_comparison: Comparison, verdict: Verdict) -> Iterator[Block]:
    """The decision again, with its reasons."""
    yield Paragraph(f"Aim: {verdict.aim.value}. Decision: {verdict.decision.value}.")
    yield Paragraph(verdict.headline.text, verdict.headline.cites, "verdict")
    for sentence in verdict.because:
        yield Paragraph(sentence.text, sentence.cites)


def change(_comparison: Comparison, verdict: Verdict) -> Iterator[Block]:
    """What would change the verdict."""
    for sentence in verdict.would_change:
        yield Paragraph(sentence.text, sentence.cites)


def commands(_comparison: Comparison, verdict: Verdict) -> Iterator[Block]:
    """Next commands."""
    if verdict.commands:
        yield Commands(verdict.commands)


def provenance(comparison: Comparison, _verdict: Verdict) -> Iterator[Block]:
    """Files, versions and hashes."""
    wanted: tuple[tuple[str, Callable[[Side], Any]], ...] = (
        ("folder", lambda side: side.run.folder.path),
        ("status", lambda side: side.run.identity.status),
        ("recorded (UTC)", lambda side: side.run.identity.created),
        ("base model", lambda side: side.run.identity.model.get("name")),
        ("base fingerprint", lambda side: _short(side.run.identity.model.get("sha256"))),
        ("training rows hash", lambda side: _short((side.run.identity.data.get("train") or {}).get("sha256"))),
        ("validation rows hash", lambda side: _short((side.run.identity.data.get("valid") or {}).get("sha256"))),
        ("trained with", _trained_with),
        ("code revision", _revision),
    )
    rows = tuple((cell(title), *words([known_text(get(side)) for side in comparison.sides])) for title, get in wanted)
    labels = tuple(side.label for side in comparison.sides)
    yield Table("Files and provenance", ("what", *labels), rows, (False,) * (1 + len(labels)))
    for side in comparison.sides:
        for finding in side.run.plan.findings:
            if finding.code in _TOLD:
                continue
            text = f"{side.label}, {finding.code}: {finding.what} {finding.why}"
            yield Paragraph(
                text, (f"{side.label}.findings.{finding.code}",), "warning" if finding.level != "note" else "plain"
            )
        for note in side.run.plan.notes:
            yield Paragraph(f"{side.label}: {note}", (f"{side.label}.notes",))


_TOLD = frozenset({*DECLARED, "C205", "C206", "I105", "I106", "I108", "I110"})
"""Findings that a section above tells in its own words."""


def _short(digest: str | None) -> str | None:
    return digest[:12] if digest else None


def _trained_with(side: Side) -> str | None:
    imported = side.run.identity.imported
    if imported:
        return " ".join(str(imported[key]) for key in ("tool", "version") if imported.get(key)) or None
    engine = side.run.identity.engine or {}
    versions = ", ".join(f"{name} {version}" for name, version in (engine.get("versions") or {}).items())
    return (
        f"Runoff {side.run.identity.runoff_version}, {engine['name']} engine, {engine['dtype']} ({versions})"
        if engine
        else None
    )


def _revision(side: Side) -> str | None:
    git = side.run.identity.git
    return None if not git else f"{git['revision'][:12]}{', changed since' if git.get('dirty') else ''}"
