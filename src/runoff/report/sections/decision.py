"""What it comes to: the verdict, what would change it, and what to type next; and where everything came from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from runoff.comparison import Comparison, Side, Verdict
from runoff.comparison.comparability import HELD_OUT, VALIDATION, unfinished
from runoff.comparison.facts import listed
from runoff.comparison.headlines import failures, left_out
from runoff.comparison.requirements import Required, unmeasured_of
from runoff.report.arrange import MOST_COLUMNS
from runoff.report.model import Block, Commands, Paragraph, Table, cell, words
from runoff.report.sections.cells import known_text
from runoff.report.sections.settings import DECLARED
from runoff.runs import MetricRow

__all__ = ["change", "commands", "provenance", "summary", "the_verdict"]


def summary(comparison: Comparison, verdict: Verdict) -> Iterator[Block]:
    """What it comes to, in one sentence; what speaks against it or was left open; and the next step."""
    yield Paragraph(verdict.headline.text, verdict.headline.cites, "verdict")
    yield from _gates(comparison, verdict)
    yield from _cautions(comparison, verdict)
    yield from _next_step(comparison, verdict)


def _gates(comparison: Comparison, verdict: Verdict) -> Iterator[Block]:
    """Which run failed which gate, with its number; of many runs by name alone. What is open of the one to ship."""
    many = len(comparison.sides) > MOST_COLUMNS
    failed = [found for found in verdict.requirements if found.failed]
    if failed and many and failures(failed) not in verdict.headline.text:
        cites = tuple(cite for found in failed for cite in found.sentence.cites)
        yield Paragraph(f"{left_out(failed)}: see the table of gates.", cites, "warning")
    for found in verdict.requirements:
        open_still = found.status == "undecided" and found.label == verdict.ship
        if open_still or (found.failed and not many):
            yield Paragraph(found.sentence.text, found.sentence.cites, "warning")


def _cautions(comparison: Comparison, verdict: Verdict) -> Iterator[Block]:
    """What a reader of the headline alone should know."""
    if verdict.ship is not None:
        for check in unfinished([comparison.side(verdict.ship)], comparison.evidence):
            yield Paragraph(check.sentence.text, check.sentence.cites, "warning")
    by_themselves = [
        check for check in comparison.checks if VALIDATION in check.blocks and HELD_OUT not in check.blocks
    ]
    if by_themselves:
        topics = listed(list(dict.fromkeys(check.topic for check in by_themselves)))
        text = f"The runs' own validation losses can't be compared ({topics}); this verdict does not use them."
        yield Paragraph(text, tuple(cite for check in by_themselves for cite in check.sentence.cites), "warning")
    alarmed = [one for one in comparison.curve_facts if one.alarms]
    if alarmed:
        yield Paragraph(
            f"An alarm was raised while training {listed([f'{one.label} ({_names(one.alarms)})' for one in alarmed])}: "
            "see Training metrics.",
            tuple(f"{one.label}.metrics" for one in alarmed),
            "warning",
        )


def _next_step(comparison: Comparison, verdict: Verdict) -> Iterator[Block]:
    """Where the adapter to ship is; what nobody measured of it; else the command that brings the answer nearer."""
    ship = verdict.ship
    if ship is not None:
        yield Paragraph(_where(comparison, ship), (f"{ship}.adapter",))
    left = unmeasured_of(comparison.evidence, [ship]) if ship is not None else ()
    if left:
        yield Paragraph(f"Before you ship it: nobody measured {listed(left)}.", (f"{ship}.measures",))
    if ship is None:
        for sentence in verdict.would_change[: 1 if verdict.commands else 2]:
            yield Paragraph(sentence.text, sentence.cites)
    if verdict.commands and (ship is None or left):
        yield Paragraph("The next step:")
        yield Commands(verdict.commands[:1])


def _where(comparison: Comparison, ship: str) -> str:
    """Of a setting any run may be taken: they differ in their seed alone, and only their mean was compared."""
    sides = comparison.groups.get(ship, ())
    if len(sides) < 2:
        return f"The adapter to ship is in {comparison.side(ship).run.folder.adapter}."
    adapters = listed([side.run.folder.adapter for side in sides])
    return f"Any of these adapters may be shipped, which differ in their seed alone: {adapters}."


def _names(alarms: Sequence[MetricRow]) -> str:
    """`A601 overfitting`, as the text of an alarm begins."""
    heads = [(row.text or "").partition(":")[0].partition(" ") for row in alarms]
    return ", ".join(f"{code} {word.lower()}" for code, _, word in heads)


def the_verdict(comparison: Comparison, verdict: Verdict) -> Iterator[Block]:
    """The decision again, with its reasons; of many runs, the gates that were passed stand in a table."""
    yield Paragraph(f"Aim: {verdict.aim.value}. Decision: {verdict.decision.value}. To ship: {verdict.ship or 'none'}.")
    yield Paragraph(verdict.headline.text, verdict.headline.cites, "verdict")
    passed: set[str] = set()
    if verdict.requirements and len(comparison.sides) > MOST_COLUMNS:
        yield _gate_table(verdict.requirements)
        passed = {found.sentence.text for found in verdict.requirements if found.status == "passed"}
    failed = {found.sentence.text for found in verdict.requirements if found.failed}
    for sentence in verdict.because:
        if sentence.text not in passed:
            yield Paragraph(sentence.text, sentence.cites, "warning" if sentence.text in failed else "plain")


def _gate_table(found: Sequence[Required]) -> Table:
    """A row for each run, a column for each gate."""
    gates = list(dict.fromkeys(one.gate for one in found))
    said = {(one.label, one.gate): one.status for one in found}
    rows = tuple(
        (cell(label), *words([said.get((label, gate), "not measured") for gate in gates]))
        for label in dict.fromkeys(one.label for one in found)
    )
    return Table("What a run must not have broken", ("run", *gates), rows, (False,) * (1 + len(gates)))


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
        ("status", lambda side: side.run.status),
        ("recorded (UTC)", lambda side: side.run.identity.created),
        ("adapter kept for", lambda side: side.run.identity.result.get("adapter_reason")),
        ("base model", lambda side: side.run.identity.model.get("name")),
        ("base fingerprint", lambda side: _short(side.run.identity.model.get("sha256"))),
        ("training rows hash", lambda side: _short((side.run.identity.data.get("train") or {}).get("sha256"))),
        ("validation rows hash", lambda side: _short((side.run.identity.data.get("valid") or {}).get("sha256"))),
        ("trained with", _trained_with),
        ("code revision", _revision),
    )
    rows = tuple((cell(title), *words([known_text(get(side)) for side in comparison.sides])) for title, get in wanted)
    labels = tuple(side.label for side in comparison.sides)
    yield Table("Where everything is, and what made it", ("what", *labels), rows, (False,) * (1 + len(labels)))
    yield from _plan_findings(comparison.sides)
    for side in comparison.sides:
        for note in side.run.plan.notes:
            yield Paragraph(f"{side.label}: {note}", (f"{side.label}.notes",))


def _plan_findings(sides: Sequence[Side]) -> Iterator[Block]:
    """What was known of each run before it began; runs of which the same was known share a row."""
    labels: dict[tuple[str, str, str], list[str]] = {}
    for side in sides:
        for one in side.run.plan.findings:
            if one.code not in _TOLD:
                labels.setdefault((one.code, one.level, f"{one.what} {one.why}"), []).append(side.label)
    rows = tuple(
        (cell(code), cell(level), cell(listed(of)), cell(text)) for (code, level, text), of in sorted(labels.items())
    )
    if rows:
        yield Table("Findings about the plans", ("code", "level", "runs", "finding"), rows, (False,) * 4)


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
