"""What a comparison's report says, section by section.

Owns: `SECTIONS`, functions of (comparison, verdict) that yield blocks; a section without blocks is left out. Must not:
compute statistics (they come with the comparison) or know a rendering.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from runoff.comparison import Comparison, Side, Verdict
from runoff.comparison.curves import Curve, CurveFacts
from runoff.comparison.examples import examples
from runoff.comparison.expectations import Intent, expectations, intents
from runoff.comparison.statistics import Outcome, PairedDifference
from runoff.comparison.yardstick import Yardstick
from runoff.evaluation import Estimate
from runoff.report.model import Block, Cell, Chart, Commands, Paragraph, Series, Table, cell, words
from runoff.report.numbers import (
    bytes_text,
    duration_text,
    interval_text,
    loss_text,
    number_text,
    p_text,
    percent_text,
    signed_text,
)
from runoff.runs import Value

__all__ = ["SECTIONS"]

Builder = Callable[[Comparison, Verdict], Iterator[Block]]


def summary(comparison: Comparison, verdict: Verdict) -> Iterator[Block]:
    """What it comes to, in one sentence, and what was left open."""
    yield Paragraph(verdict.headline.text, verdict.headline.cites, "verdict")
    blocking = [check for check in comparison.checks if check.level == "blocking"]
    if blocking:
        topics = ", ".join(dict.fromkeys(check.topic for check in blocking))
        yield Paragraph(f"Not everything may be compared ({topics}): see below.", role="warning")


def comparable(comparison: Comparison, _verdict: Verdict) -> Iterator[Block]:
    """Each check with its finding."""
    mark = {"blocking": "no", "warning": "with care", "ok": "yes"}
    rows = tuple(
        (
            cell(check.topic),
            cell(mark[check.level]),
            cell(check.sentence.text),
            cell(", ".join(check.blocks) or "nothing"),
        )
        for check in comparison.checks
    )
    columns = ("what", "comparable?", "finding", "must not be ranked")
    yield Table("Whether the runs may be compared", columns, rows, (False,) * 4)


def differences(comparison: Comparison, _verdict: Verdict) -> Iterator[Block]:
    """Settings that differ as they took effect, each with what follows."""
    labels = [side.label for side in comparison.sides]
    if not comparison.differences:
        yield Paragraph("No setting that changes a weight differs between the runs.")
        return
    rows, said = [], set()
    for found in comparison.differences:
        follows = found.consequence.text if found.consequence else ""
        rows.append(
            (
                cell(found.key),
                *(_value(found.values[label]) for label in labels),
                cell("" if follows in said else follows),
            )
        )
        said.add(follows)
    numeric = (False, *(True for _ in labels), False)
    yield Table("Settings that differ, as they took effect", ("setting", *labels, "what follows"), tuple(rows), numeric)
    if comparison.several_at_once:
        yield Paragraph(comparison.several_at_once.text, comparison.several_at_once.cites)


_DERIVED = (
    ("iterations", "iterations (micro-batches)"),
    ("optimizer_updates", "optimizer updates"),
    ("effective_batch_rows", "rows per update"),
    ("epochs", "epochs"),
    ("rows_seen", "training rows seen"),
    ("adapted_blocks", "adapted blocks"),
    ("blocks", "blocks of the base"),
    ("trainable_parameters", "trainable parameters"),
    ("scale", "adapter scale"),
    ("alpha", "alpha (scale x rank)"),
    ("learning_rate_sum", "learning rate summed over updates"),
    ("train_rows", "training rows"),
    ("train_rows_cut", "training rows cut"),
    ("valid_rows", "validation rows"),
    ("validations", "validations"),
)


def derived(comparison: Comparison, _verdict: Verdict) -> Iterator[Block]:
    """What the settings come to."""
    rows = []
    for key, title in _DERIVED:
        values = [side.count(key) for side in comparison.sides]
        if any(value.known for value in values):
            rows.append((cell(title), *(_value(value) for value in values)))
    labels = tuple(side.label for side in comparison.sides)
    yield Table("What the settings come to", ("count", *labels), tuple(rows), (False, *(True for _ in labels)))


def after(comparison: Comparison, _verdict: Verdict) -> Iterator[Block]:
    """Capacity, budget and restraint of each run, and what such choices usually trade."""
    found = intents(comparison.sides)
    wanted: tuple[tuple[str, Callable[[Intent], Cell]], ...] = (
        ("capacity: trainable share of the base", lambda one: cell(percent_text(one.capacity), one.capacity)),
        ("capacity: adapted share of the blocks", lambda one: cell(percent_text(one.blocks), one.blocks)),
        ("budget: learning rate summed, times scale", lambda one: _number(one.budget)),
        ("budget: epochs", lambda one: cell("unknown" if one.passes is None else f"{one.passes:.2f}", one.passes)),
        ("restraint", lambda one: cell(", ".join(one.restraint) or "none set")),
    )
    rows = tuple((cell(title), *(get(one) for one in found)) for title, get in wanted)
    labels = tuple(one.label for one in found)
    yield Table("What each run is after", ("", *labels), rows, (False, *(True for _ in labels)))
    for sentence in expectations(found):
        yield Paragraph(sentence.text, sentence.cites)


def training(comparison: Comparison, _verdict: Verdict) -> Iterator[Block]:
    """The training's own figures: shown, never ranked by."""
    facts = {found.label: found for found in comparison.curve_facts}
    wanted: tuple[tuple[str, Callable[[Side, CurveFacts], Cell]], ...] = (
        ("validation loss before training", lambda _s, f: _loss(f.first_validation)),
        ("best validation loss", lambda _s, f: _loss(f.best_validation)),
        ("... after iteration", lambda _s, f: _number(f.best_iteration)),
        ("last validation loss", lambda _s, f: _loss(f.last_validation)),
        ("last reported training loss", lambda _s, f: _loss(f.last_training)),
        ("adapter kept from iteration", lambda s, _f: _number(s.run.identity.result.get("adapter_iteration"))),
        ("tokens trained on, as the tool counts them", lambda s, _f: _number(_tokens(s))),
        ("time", lambda s, _f: _shown(s.run.identity.result.get("seconds"), duration_text)),
        ("target tokens per second", lambda s, _f: _speed(s)),
        ("peak memory", lambda s, _f: _shown(_peak(s), bytes_text)),
    )
    rows = tuple((cell(title), *(get(side, facts[side.label]) for side in comparison.sides)) for title, get in wanted)
    labels = tuple(side.label for side in comparison.sides)
    yield Table(
        "Training metrics (losses in nats per target token)",
        ("metric", *labels),
        rows,
        (False, *(True for _ in labels)),
        note="Training losses average over weights that move; they are not held-out losses and decide nothing here.",
    )
    for found in comparison.curve_facts:
        yield from _curve_sentences(found)


def _curve_sentences(found: CurveFacts) -> Iterator[Block]:
    cites = (f"{found.label}.metrics",)
    if found.not_finite:
        yield Paragraph(
            f"{found.label}: {found.not_finite} reported losses are not numbers (nan or inf).", cites, "warning"
        )
    yield from _gap(found)
    if found.best_iteration is None or found.rise is None:
        return
    values = (
        f"{loss_text(found.best_validation)} after iteration {found.best_iteration} "
        f"to {loss_text(found.last_validation)} after iteration {found.last_iteration}"
    )
    if found.ends_worse_than_best:
        text = f"{found.label} ends worse than its best: the validation loss rose from {values} (p {_p(found.rise)})."
        yield Paragraph(text, cites, "warning")
    else:
        text = (
            f"{found.label}: the validation loss went from {values}, "
            f"which these rows can't tell from no change (p {_p(found.rise)})."
        )
        yield Paragraph(text, cites)


def _gap(found: CurveFacts) -> Iterator[Block]:
    """The gap that people read overfitting from, with what it can't say."""
    if found.last_validation is None or not found.last_training:
        return
    gap = found.last_validation - found.last_training
    side = "above" if gap >= 0 else "below"
    share = f"{100 * abs(gap) / found.last_training:.1f} %"
    yield Paragraph(
        f"{found.label}: the last validation loss is {abs(gap):.3f} {side} the last training "
        f"loss ({share} of it). The two are of different rows, and the training loss averages over weights that still "
        "moved: the gap alone shows neither overfitting nor its absence.",
        (f"{found.label}.metrics",),
    )


def curve_charts(comparison: Comparison, _verdict: Verdict) -> Iterator[Block]:
    """Loss curves over target tokens, or over the finest axis that all runs have."""
    if not comparison.curves:
        yield Paragraph("No run recorded a loss while it was trained.")
        return
    axis, title = _axis(comparison)
    series = tuple(
        Series(
            f"{curve.label}, {'validation' if curve.kind == 'validation' else 'training'}",
            tuple(float(getattr(point, axis)) for point in curve.points if getattr(point, axis) is not None),
            tuple(point.value for point in curve.points if getattr(point, axis) is not None),
            dashed=curve.kind == "train",
        )
        for curve in comparison.curves
    )
    ends = "; ".join(_curve_words(curve) for curve in comparison.curves)
    yield Chart(
        "loss",
        f"Training loss (dashed) and validation loss (solid) over {title}",
        title,
        "nats per target token",
        tuple(one for one in series if one.x),
        f"Line chart. {ends}.",
    )


def _axis(comparison: Comparison) -> tuple[str, str]:
    for axis, title in (
        ("target_tokens", "target tokens trained on"),
        ("optimizer_updates", "optimizer updates"),
        ("iteration", "iterations"),
    ):
        if all(getattr(point, axis) is not None for curve in comparison.curves for point in curve.points):
            return axis, title
    return "epoch", "epochs"


def _curve_words(curve: Curve) -> str:
    first, last = curve.points[0].value, curve.points[-1].value
    kind = "validation" if curve.kind == "validation" else "training"
    return f"{curve.label} {kind}: {loss_text(first)} to {loss_text(last)}"


def results(comparison: Comparison, _verdict: Verdict) -> Iterator[Block]:
    """Held-out loss of the base and every run, the differences, and each source."""
    evidence = comparison.evidence
    if evidence.missing or evidence.loss is None:
        yield Paragraph(f"No held-out result: {evidence.missing}.", role="warning")
        return
    named = {"base": evidence.loss.base, **evidence.loss.values}
    rows = tuple((cell(label), *_estimate(estimate)) for label, estimate in named.items())
    columns = ("run", "held-out loss", "95 % interval", "answers", "sources")
    yield Table(
        "Held-out loss, nats per target token of the reference answers (lower is better)",
        columns,
        rows,
        (False, True, True, True, True),
        note=f"Rows of {evidence.test['place']}, prompts excluded, the end token included. "
        "Interval: cluster-robust t over sources.",
    )
    yield _difference_table(comparison, evidence.loss)
    if 1 < len(evidence.by_source) <= 40:
        yield _source_table(comparison)


def _difference_table(comparison: Comparison, loss: Yardstick) -> Table:
    labels = [side.label for side in comparison.sides]
    pairs: list[tuple[str, PairedDifference]] = [
        (f"{a} - {b}", loss.pairs[a, b]) for index, a in enumerate(labels) for b in labels[index + 1 :]
    ]
    pairs += [(f"{label} - base", loss.against_base[label]) for label in labels]
    rows = tuple(
        (
            cell(title),
            cell(signed_text(pair.difference.value), pair.difference.value),
            cell(interval_text(*(pair.interval(0.95) or (None, None)), signed=True)),
            cell(p_text(pair.p_value), pair.p_value),
            cell(percent_text(pair.share_lower), pair.share_lower),
            cell(loss_text(pair.smallest_detectable), pair.smallest_detectable),
        )
        for title, pair in pairs
    )
    columns = ("difference", "mean", "95 % interval", "p", "answers with lower loss", "smallest detectable")
    return Table(
        "Paired differences on the same answers (negative: the first is better)",
        columns,
        rows,
        (False, True, True, True, True, True),
        note="p: sign flips of whole sources. Smallest detectable: found with 80 % power at 5 %.",
    )


def _source_table(comparison: Comparison) -> Table:
    labels = ["base", *(side.label for side in comparison.sides)]
    rows = []
    for source, losses in sorted(comparison.evidence.by_source.items()):
        best = min(labels, key=lambda label: losses.get(label, math.inf))
        rows.append(
            (cell(source), *(cell(loss_text(losses.get(label)), losses.get(label)) for label in labels), cell(best))
        )
    columns = ("source", *labels, "lowest")
    return Table("Held-out loss by source", columns, tuple(rows), (False, *(True for _ in labels), False))


def answers(comparison: Comparison, _verdict: Verdict) -> Iterator[Block]:
    """Measures of generated answers between their anchors, a table for each question that a reader has."""
    measures = comparison.evidence.measures.values()
    labels = tuple(side.label for side in comparison.sides)
    for dimension in dict.fromkeys(one.dimension for one in measures):
        found = [one for one in measures if one.dimension == dimension]
        rows = tuple(
            (
                cell(f"{one.title} ({one.unit})"),
                _anchor(one.base),
                *(_measured(one.values[label]) for label in labels),
                _anchor(one.author),
                cell(_winner(one)),
            )
            for one in found
        )
        columns = ("measure", "base", *labels, "author", "finding")
        yield Table(dimension, columns, rows, (False, *(True for _ in range(len(labels) + 2)), False))
        for one in found:
            for label, flags in one.flags.items():
                for flag in flags:
                    yield Paragraph(f"{label}: {flag}", (f"{label}.measures.{one.key}",), "warning")


def _measured(estimate: Estimate) -> Cell:
    if estimate.value is None:
        return cell(f"unknown: {estimate.unknown}")
    ends = "" if estimate.low is None or estimate.high is None else f" ({estimate.low:.3g} to {estimate.high:.3g})"
    return cell(f"{estimate.value:.3g}{ends}", estimate.value)


def _anchor(estimate: Estimate | None) -> Cell:
    return (
        cell("not defined")
        if estimate is None or estimate.value is None
        else cell(f"{estimate.value:.3g}", estimate.value)
    )


def _winner(one: Yardstick) -> str:
    """What the paired differences say about this measure, in words."""
    leader = one.leader
    if leader is None or not one.pairs:
        return "shown, not ranked"
    beaten = [label for label in one.values if label != leader and label not in one.not_worse]
    ahead = [label for label in beaten if one.outcome(one.pairs[leader, label]) is Outcome.BETTER]
    if ahead:
        return f"{leader} better than {', '.join(ahead)}"
    return "no difference detectable"


def telling_examples(comparison: Comparison, _verdict: Verdict) -> Iterator[Block]:
    """The answers that speak most for the leader, and those that speak most against it."""
    for told in examples(comparison.evidence):
        rows = [
            (cell("question"), cell(told.question), cell("")),
            (cell("the author's answer"), cell(told.reference), cell("")),
            *(
                (cell(label), cell(told.answers.get(label, "not generated")), _loss(loss))
                for label, loss in told.losses.items()
            ),
        ]
        columns = ("who", "text", "loss of the author's answer")
        yield Table(f"{told.kind}, source {told.source}", columns, tuple(rows), (False, False, True))


def the_verdict(_comparison: Comparison, verdict: Verdict) -> Iterator[Block]:
    """The decision again, with its reasons."""
    yield Paragraph(
        f"Aim: {verdict.aim.value}. Decision: {verdict.decision.value}. {verdict.headline.text}",
        verdict.headline.cites,
        "verdict",
    )
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
        ("created (UTC)", lambda side: side.run.identity.created),
        ("base model", lambda side: side.run.identity.model.get("name")),
        ("base fingerprint", lambda side: _short(side.run.identity.model.get("sha256"))),
        ("training rows hash", lambda side: _short((side.run.identity.data.get("train") or {}).get("sha256"))),
        ("validation rows hash", lambda side: _short((side.run.identity.data.get("valid") or {}).get("sha256"))),
        ("trained with", _trained_with),
        ("code revision", _revision),
    )
    rows = tuple((cell(title), *words([_known(get(side)) for side in comparison.sides])) for title, get in wanted)
    labels = tuple(side.label for side in comparison.sides)
    yield Table("Files and provenance", ("what", *labels), rows, (False,) * (1 + len(labels)))
    for side in comparison.sides:
        for finding in side.run.plan.findings:
            text = f"{side.label}, {finding.code}: {finding.what} {finding.why}"
            yield Paragraph(
                text, (f"{side.label}.findings.{finding.code}",), "warning" if finding.level != "note" else "plain"
            )
        for note in side.run.plan.notes:
            yield Paragraph(f"{side.label}: {note}", (f"{side.label}.notes",))


SECTIONS: tuple[tuple[str, str, Builder], ...] = (
    ("summary", "What it comes to", summary),
    ("comparable", "May they be compared?", comparable),
    ("differences", "Key differences", differences),
    ("derived", "What the settings come to", derived),
    ("after", "What each run is after", after),
    ("training", "Training metrics", training),
    ("curves", "Loss curves", curve_charts),
    ("results", "Results on held-out answers", results),
    ("answers", "What the answers are like", answers),
    ("examples", "Telling examples", telling_examples),
    ("verdict", "Verdict", the_verdict),
    ("change", "What would change it", change),
    ("commands", "Next commands", commands),
    ("provenance", "Files and provenance", provenance),
)


def _value(value: Value) -> Cell:
    if not value.known:
        return cell(f"unknown: {value.origin.why}")
    shown = value.value
    text = number_text(shown) if isinstance(shown, int | float) and not isinstance(shown, bool) else _plain(shown)
    if value.declared is not None and value.declared != shown:
        text += f" (the file says {value.declared})"
    return cell(text, shown if isinstance(shown, int | float) and not isinstance(shown, bool) else None)


def _plain(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _loss(value: float | None) -> Cell:
    return cell(loss_text(value), value)


def _number(value: float | None) -> Cell:
    return cell(number_text(value), value)


def _shown(value: float | None, write: Callable[[float | None], str]) -> Cell:
    return cell(write(value), value)


def _speed(side: Side) -> Cell:
    rates = sorted(row.tokens_per_second for row in side.run.metrics if row.tokens_per_second)
    middle = rates[len(rates) // 2] if rates else None
    return cell("unknown" if middle is None else f"{middle:,.0f}", middle)


def _tokens(side: Side) -> float | None:
    counted = [row.target_tokens for row in side.run.metrics if row.target_tokens]
    return max(counted) if counted else side.run.identity.result.get("target_tokens")


def _peak(side: Side) -> float | None:
    found = [row.peak_memory_bytes for row in side.run.metrics if row.peak_memory_bytes]
    return max(found) if found else side.run.identity.result.get("peak_memory_bytes")


def _p(pair: PairedDifference) -> str:
    return "unknown" if pair.p_value is None else p_text(pair.p_value)


def _estimate(estimate: Estimate) -> tuple[Cell, Cell, Cell, Cell]:
    return (
        cell(loss_text(estimate.value), estimate.value),
        cell(interval_text(estimate.low, estimate.high)),
        cell(estimate.n, estimate.n),
        cell(estimate.clusters, estimate.clusters),
    )


def _short(digest: str | None) -> str | None:
    return digest[:12] if digest else None


def _known(value: Any) -> str:
    return "unknown" if value is None else str(value)


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
