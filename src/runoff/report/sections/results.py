"""What was measured on held-out answers: losses, generated answers, telling examples."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence

from runoff.comparison import Comparison, Verdict
from runoff.comparison.challengers import Challenge
from runoff.comparison.examples import EACH
from runoff.comparison.facts import listed
from runoff.comparison.statistics import Outcome
from runoff.comparison.yardstick import Yardstick
from runoff.evaluation import Estimate
from runoff.report.arrange import pairs_to_show
from runoff.report.model import Block, Cell, Paragraph, Role, Table, cell
from runoff.report.numbers import interval_text, loss_text, measured_text, percent_text, signed_text
from runoff.report.said import texts, what_marks_mean
from runoff.words import count_of, p_text

__all__ = ["answers", "results", "telling_examples"]


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
    if comparison.blocked:
        topics = listed(list(dict.fromkeys(check.topic for check in comparison.blocked)))
        text = f"These losses can't be compared ({topics}), so no difference between the runs is shown."
        yield Paragraph(text, tuple(cite for check in comparison.blocked for cite in check.sentence.cites), "warning")
        return
    yield _difference_table(evidence.loss)
    if evidence.challenges:
        yield _challenge_table(evidence.challenges)
    if comparison.groups:
        yield from _groups(comparison)
    if 1 < len(evidence.by_source) <= 40:
        yield _source_table(comparison)


def _groups(comparison: Comparison) -> Iterator[Block]:
    """Which runs stand for which setting."""
    for label, group in comparison.groups.items():
        seeds = [f"{side.label} (seed {side.setting('seed').value})" for side in group]
        mean = "the mean over " if len(group) > 1 else ""
        yield Paragraph(f"{label}: {mean}{listed(seeds)}.", tuple(f"{side.label}.settings.seed" for side in group))


def _challenge_table(found: Sequence[Challenge]) -> Table:
    rows = tuple(
        (
            cell(one.label),
            cell(signed_text(one.pair.difference.value), one.pair.difference.value),
            cell(interval_text(*(one.pair.interval(0.95) or (None, None)), signed=True)),
            cell(p_text(one.p_adjusted), one.p_adjusted),
            cell(one.outcome.value.replace("_", " ")),
        )
        for one in found
    )
    return Table(
        f"Challengers against the baseline {found[0].baseline}, held-out loss (negative: the challenger is better)",
        ("challenger", "difference", "95 % interval", "adjusted p", "finding"),
        rows,
        (False, True, True, True, False),
        note="Adjusted p: max-T over sign flips of whole sources, for all challengers together.",
    )


def _difference_table(loss: Yardstick) -> Table:
    labels, shown = list(loss.values), pairs_to_show(loss)
    given = {label: at for at, label in enumerate(labels)}
    both = set(shown)
    wanted = [(a, b) for a, b in shown if (b, a) not in both or given[a] < given[b]]
    pairs = [(f"{a} - {b}", loss.pairs[a, b]) for a, b in wanted]
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
        note="p: sign flips of whole sources. Smallest detectable: found with 80 % power at 5 %."
        + (" Each p is of its pair alone; the verdict allows for all pairs at once." if len(labels) > 2 else "")
        + (
            " Of so many runs the one with the lowest loss is held against each other one."
            if len(shown) < len(loss.pairs)
            else ""
        ),
    )


def _source_table(comparison: Comparison) -> Table:
    labels = ["base", *comparison.evidence.evaluations]
    rows = []
    for source, losses in sorted(comparison.evidence.by_source.items(), key=lambda item: _as_counted(item[0])):
        best = min(labels, key=lambda label: losses.get(label, math.inf))
        rows.append(
            (cell(source), *(cell(loss_text(losses.get(label)), losses.get(label)) for label in labels), cell(best))
        )
    columns = ("source", *labels, "lowest")
    return Table("Held-out loss by source", columns, tuple(rows), (False, *(True for _ in labels), False))


def _as_counted(name: str) -> list[tuple[int, str]]:
    """`source 2` before `source 10`."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]+)", name)]


def _estimate(estimate: Estimate) -> tuple[Cell, Cell, Cell, Cell]:
    return (
        cell(loss_text(estimate.value), estimate.value),
        cell(interval_text(estimate.low, estimate.high)),
        cell(estimate.n, estimate.n),
        cell(estimate.clusters, estimate.clusters),
    )


def answers(comparison: Comparison, _verdict: Verdict) -> Iterator[Block]:
    """Measures of generated answers between their anchors, a table for each question that a reader has."""
    measures = comparison.evidence.measures.values()
    labels = tuple(comparison.evidence.evaluations)
    ranked = 0 if comparison.blocked else sum(one.leader is not None and bool(one.pairs) for one in measures)
    if ranked > 1:
        yield Paragraph(
            "These explain a verdict more than they make one. "
            f"Each of {ranked} measures is tested at 5 % by itself: where nothing differs, about {ranked / 20:.2g} of "
            "them would seem to."
        )
    for dimension in dict.fromkeys(one.dimension for one in measures):
        found = [one for one in measures if one.dimension == dimension]
        known = [one for one in found if any(value.value is not None for value in one.values.values())]
        if known:
            yield _measure_table(dimension, known, labels, ranked=not comparison.blocked)
        for one in found:
            if one not in known:
                why = next(iter(one.values.values())).unknown
                yield Paragraph(f"{one.title}: unknown, because {why}.", (f"measures.{one.key}",))
            yield from _told(one.key, one.flags, "warning")
            yield from _told(one.key, one.remarks, "plain")


def _measure_table(dimension: str, found: Sequence[Yardstick], labels: Sequence[str], *, ranked: bool) -> Table:
    """The author's column only where one of these measures has such an anchor."""
    author = any(one.author is not None and one.author.value is not None for one in found)
    rows = tuple(
        (
            cell(f"{one.title} ({one.unit}; n {_number_of(one)})"),
            _anchor(one.base),
            *(_measured(one.values[label]) for label in labels),
            *([_anchor(one.author)] if author else []),
            cell(_winner(one) if ranked else "shown, not ranked"),
        )
        for one in found
    )
    columns = ("measure", "base", *labels, *(["author"] if author else []), "finding")
    return Table(dimension, columns, rows, (False, *(True for _ in columns[2:]), False))


def _number_of(one: Yardstick) -> str:
    """Examples behind each run's value, a range where they differ."""
    counts = {value.n for value in one.values.values() if value.value is not None}
    return f"{min(counts):,}" if len(counts) == 1 else f"{min(counts):,} to {max(counts):,}"


def _told(key: str, said: Mapping[str, Sequence[str]], role: Role) -> Iterator[Paragraph]:
    """What an evaluation had to say of a measure of each run."""
    for label, texts_of_run in said.items():
        for text in texts_of_run:
            yield Paragraph(f"{label}: {text}", (f"{label}.measures.{key}",), role)


def _measured(estimate: Estimate) -> Cell:
    if estimate.value is None:
        return cell(f"unknown: {estimate.unknown}")
    low, high = estimate.low, estimate.high
    ends = "" if low is None or high is None else f" ({measured_text(low)} to {measured_text(high)})"
    return cell(f"{measured_text(estimate.value)}{ends}", estimate.value)


def _anchor(estimate: Estimate | None) -> Cell:
    return (
        cell("not defined")
        if estimate is None or estimate.value is None
        else cell(measured_text(estimate.value), estimate.value)
    )


def _winner(one: Yardstick) -> str:
    """What the paired differences say about this measure, in words."""
    leader = one.leader
    if leader is None or not one.pairs:
        return "shown, not ranked"
    beaten = [label for label in one.values if label != leader and label not in one.not_worse]
    ahead = [label for label in beaten if one.between(leader, label) is Outcome.BETTER]
    if ahead:
        return f"{leader} better than {listed(ahead)}"
    untested = any(one.between(leader, label) is Outcome.INSUFFICIENT for label in one.values if label != leader)
    return "too few sources for a test" if untested else "no difference detectable"


def telling_examples(comparison: Comparison, _verdict: Verdict) -> Iterator[Block]:
    """The answers that speak most for the leader, and those that speak most against it."""
    found = comparison.examples
    if not found or comparison.blocked:
        return
    leader, rival = found[0].leader, found[0].rival
    answered = any(len(told.said.shown) > 1 for told in found)
    text = (
        f"Of {count_of(found[0].among, 'question')}{' that were answered' if answered else ''}, those whose reference "
        f"{leader} predicts best and worst compared with {rival}: {EACH} of each at most."
    )
    if not any(not told.ahead for told in found):
        text += f" There is none of which {rival} predicts the reference better."
    more = what_marks_mean("the reference") if answered else "No answers were generated to show beside them."
    yield Paragraph(f"{text} {more}", (f"held_out_loss.{leader}-{rival}",))
    for told in found:
        speaks = f"For {leader}, against {rival}" if told.ahead else f"Against {leader}, for {rival}"
        losses = ", ".join(f"{label} {loss_text(loss)}" for label, loss in told.losses.items())
        note = f"{speaks}. Source: {told.source}. Loss of the reference, nats per target token: {losses}."
        yield texts(told.said, note)
