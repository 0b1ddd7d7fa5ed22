"""May these runs be compared, and by which of their numbers?

Owns: the checks. A check is a function of the sides and the evidence that yields what it found; adding one touches
`CHECKS`. Must not: rank.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from runoff.comparison.evidence import Evidence
from runoff.comparison.facts import Sentence, Side, both, listed
from runoff.words import count_of

__all__ = ["CHECKS", "HELD_OUT", "VALIDATION", "Check", "check_all"]

Level = Literal["blocking", "warning", "ok"]
HELD_OUT, VALIDATION, MEASURES = "held-out loss", "validation loss", "measures of generated answers"
"""As a reader calls them; what a check blocks is shown in these words."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that comparing depends on. `blocks`: the numbers that must not be ranked because of it."""

    topic: str
    level: Level
    sentence: Sentence
    blocks: tuple[str, ...] = ()


def base_model(sides: Sequence[Side], evidence: Evidence) -> Iterator[Check]:
    """All runs must sit on the same weights."""
    known = {side.label: side.run.identity.model for side in sides}
    hashes = {label: model.get("sha256") for label, model in known.items()}
    names = {label: model.get("name") for label, model in known.items()}
    cites = tuple(f"{label}.model" for label in known)
    if None in hashes.values():
        if len(set(names.values())) == 1 and None not in names.values():
            (name,) = set(names.values())
            text = f"{both(len(sides)).capitalize()} runs name the base {name}; whether the weights are the same"
            yield Check("base model", "warning", Sentence(f"{text} is not recorded.", cites))
            return
        if _scored_on_one_base(evidence):
            unknown = [label for label, sha256 in hashes.items() if sha256 is None]
            text = f"{both(len(sides)).capitalize()} runs were scored on one base, though their records name it in "
            text += f"different ways ({_each(names)}); whether {listed(unknown)} was trained on it is not recorded."
            yield Check("base model", "warning", Sentence(text, cites))
            return
        text = f"The base models are not known to be the same ({_each(names)})."
        yield Check("base model", "blocking", Sentence(text, cites), (HELD_OUT, VALIDATION))
    elif len(set(hashes.values())) > 1:
        text = f"The base models differ ({_each(names)}), so a difference may be the base's and not the fine-tuning's."
        yield Check("base model", "blocking", Sentence(text, cites), (HELD_OUT, VALIDATION))
    else:
        text = f"{both(len(sides)).capitalize()} runs adapt the same base, {next(iter(names.values()))}."
        yield Check("base model", "ok", Sentence(text, cites))


def _scored_on_one_base(evidence: Evidence) -> bool:
    """Whether the base's own scores of all rows are the same to the bit in every evaluation."""
    scores = {tuple((row.sha256, row.nats) for row in one.base_rows) for one in evidence.evaluations.values()}
    return len(scores) == 1 and scores != {()}


def test_rows(sides: Sequence[Side], evidence: Evidence) -> Iterator[Check]:
    """The same held-out rows, none of them trained on."""
    cites = tuple(f"{side.label}.evaluations" for side in sides)
    if evidence.missing:
        text = f"There is no common held-out measurement: {evidence.missing}."
        yield Check("test rows", "blocking", Sentence(text, cites), (HELD_OUT,))
        return
    left_out = evidence.test["left_out"]
    place, rows = evidence.test["place"], evidence.test["rows"]
    text = f"{both(len(sides)).capitalize()} runs were scored on the same {count_of(rows, 'row')} of {place}."
    if left_out:
        runs = listed(sorted(set(left_out.values())))
        more = f"{len(left_out)} more {'row was' if len(left_out) == 1 else 'rows were'} left out"
        text += f" {more}, since {runs} had trained on {'it' if len(left_out) == 1 else 'them'}."
    yield Check("test rows", "ok", Sentence(text, cites))
    yield from _trained_on_test_rows(sides, evidence)


def _trained_on_test_rows(sides: Sequence[Side], evidence: Evidence) -> Iterator[Check]:
    """A test row that a run was trained on is not held out, whoever scored it."""
    scored = {row.sha256[:16] for one in evidence.evaluations.values() for row in one.rows}
    trained = {side.label: side.trained_on for side in sides}
    for label, rows in trained.items():
        if leaked := scored & rows:
            text = (
                f"{label} was trained on {len(leaked)} of the {len(scored)} scored test rows: its loss is not held out."
            )
            cites = (f"{label}.data.train", f"{label}.evaluations")
            yield Check("test rows", "blocking", Sentence(text, cites), (HELD_OUT,))
    unrecorded = [label for label, rows in trained.items() if not rows]
    if unrecorded:
        text = f"Which rows {listed(unrecorded)} trained on is not recorded, so a test row may have been among them."
        yield Check("test rows", "warning", Sentence(text, tuple(f"{label}.data.train" for label in unrecorded)))


def validation_rows(sides: Sequence[Side], _evidence: Evidence) -> Iterator[Check]:
    """Validation losses can be set side by side only over the same rows."""
    cites = tuple(f"{side.label}.data.valid" for side in sides)
    sets = {side.label: side.run.identity.data.get("valid") or {} for side in sides}
    rows = {label: found.get("rows") for label, found in sets.items()}
    hashes = [found.get("sha256") for found in sets.values()]
    if None not in hashes and len(set(hashes)) == 1:
        yield Check("validation rows", "ok", Sentence("The validation rows are the same.", cites))
    elif None not in hashes or len(set(rows.values()) - {None}) > 1:
        text = f"The validation rows differ ({_each(rows)} rows), so the validation losses can't be compared."
        yield Check("validation rows", "blocking", Sentence(text + _split_anew(sides), cites), (VALIDATION,))
    else:
        text = "Whether the validation rows are the same is not recorded, so the validation losses can't be compared."
        yield Check("validation rows", "blocking", Sentence(text, cites), (VALIDATION,))


def validation_draws(sides: Sequence[Side], _evidence: Evidence) -> Iterator[Check]:
    """A validation over a random part moves with the draw."""
    drawn = [side for side in sides if any(found.code == "I110" for found in side.run.plan.findings)]
    if not drawn:
        return
    parts = []
    for side in drawn:
        rows, of = side.number("validation_rows"), side.number("valid_rows")
        if rows is not None:
            parts.append(f"{side.label}: {rows:.0f}{f' of {of:.0f}' if of is not None else ''} rows")
    known = f" ({', '.join(parts)})" if parts else ""
    text = f"Each validation loss is of rows drawn anew at random{known}, so it moves with the draw."
    yield Check("validation draws", "warning", Sentence(text, tuple(f"{side.label}.findings.I110" for side in drawn)))


def last_validation(sides: Sequence[Side], _evidence: Evidence) -> Iterator[Check]:
    """mlx-lm validates before an iteration's update, so the last loss is not of the adapter that was saved."""
    early = []
    for side in sides:
        if (side.run.identity.imported or {}).get("tool") != "mlx-lm":
            continue
        end, each = side.number("iterations"), side.setting("grad_accumulation_steps").value
        validated = any(row.kind == "validation" and row.iteration == end for row in side.run.metrics)
        if validated and end and each and end % each == 0:
            early.append(side.label)
    if early:
        text = f"The last validation loss of {listed(early)} was taken before the last update, as mlx-lm does."
        yield Check("last validation", "warning", Sentence(text, tuple(f"{label}.metrics" for label in early)))


def _split_anew(sides: Sequence[Side]) -> str:
    """Equal totals with unequal parts suggest one pool that was split twice; then the parts overlap by arithmetic."""
    known = [(side.label, *_row_counts(side)) for side in sides]
    counts = [(label, train, valid) for label, train, valid in known if train is not None and valid is not None]
    if len(counts) != 2 or len(known) != 2:
        return ""
    (small, train, fewer), (large, other, more) = sorted(counts, key=lambda count: count[2])
    if train + fewer != other + more or fewer == more:
        return ""
    return (
        f" Both have {train + fewer:,} rows in all: if they are one pool that was split anew, at least {more - fewer} "
        f"of {large}'s {more} validation rows are among {small}'s training rows."
    )


def _row_counts(side: Side) -> tuple[int | None, int | None]:
    data = side.run.identity.data
    train, valid = ((data.get(part) or {}).get("rows") for part in ("train", "valid"))
    return train, valid


def training_rows(sides: Sequence[Side], _evidence: Evidence) -> Iterator[Check]:
    """Other training rows are a difference like a setting; one that the settings do not show."""
    cites = tuple(f"{side.label}.data.train" for side in sides)
    sets = {side.label: side.run.identity.data.get("train") or {} for side in sides}
    by_hand = [label for label, found in sets.items() if found.get("given")]
    if by_hand:
        text = f"Which rows {listed(by_hand)} trained on was given by hand at the import."
        yield Check("training rows", "warning", Sentence(text, tuple(f"{label}.data.train" for label in by_hand)))
    hashes = [found.get("sha256") for found in sets.values()]
    rows = {label: found.get("rows") for label, found in sets.items()}
    if None in hashes:
        if len(set(rows.values()) - {None}) > 1:
            text = f"The training rows differ ({_each(rows)} rows): the data was changed between the runs"
            yield Check("training rows", "warning", Sentence(f"{text}{_same_path(sides)}.", cites))
        return
    if len(set(hashes)) > 1:
        text = f"The training rows differ ({_each(rows)} rows), so the data may be the cause of a difference"
        yield Check("training rows", "warning", Sentence(f"{text}{_same_path(sides)}.", cites))
    else:
        text = f"The training rows are the same {count_of(next(iter(rows.values())) or 0, 'row')}."
        yield Check("training rows", "ok", Sentence(text, cites))


def _same_path(sides: Sequence[Side]) -> str:
    """That one path stands for different rows is easily overlooked."""
    places = {str(side.setting("data").value) for side in sides if side.setting("data").value}
    return f", though {both(len(sides))} name the same folder, {places.pop()}" if len(places) == 1 else ""


def tokenizer(sides: Sequence[Side], _evidence: Evidence) -> Iterator[Check]:
    """Another tokenizer or template makes other tokens, and nats per token of something else."""
    hashes = {side.label: side.run.identity.tokenizer_sha256 for side in sides}
    known = set(hashes.values()) - {None}
    if len(known) > 1:
        text = "The tokenizers or chat templates differ, so losses per token are of different tokens."
        yield Check("tokenizer and template", "blocking", Sentence(text), (HELD_OUT, VALIDATION))
    elif None not in hashes.values():
        yield Check("tokenizer and template", "ok", Sentence("Tokenizer and chat template are the same."))


def truncation(sides: Sequence[Side], _evidence: Evidence) -> Iterator[Check]:
    """Rows cut at another length are other rows, in training and in a run's own validation."""
    limits = {side.label: side.setting("max_seq_length").value for side in sides}
    if len(set(limits.values()) - {None}) < 2:
        return
    cut = {side.label: side.count("train_rows_cut").value for side in sides}
    longest = {side.number("longest_row_tokens") for side in sides}
    known = longest.pop() if len(longest) == 1 else None
    if set(cut.values()) == {0} or (known is not None and all(limit and limit >= known for limit in limits.values())):
        return
    text = f"Rows are cut at different lengths ({_each(limits)} tokens"
    if None not in cut.values():
        text += f"; training rows cut: {_each(cut)})."
    elif known is not None:
        text += f"; the longest row has {known:.0f}); how many were cut is not known."
    else:
        text += "), if any was that long; how many is not known."
    yield Check("truncation", "warning", Sentence(text, tuple(f"{label}.max_seq_length" for label in limits)))


def seeds(sides: Sequence[Side], _evidence: Evidence) -> Iterator[Check]:
    """Two seeds of one thing differ too."""
    found = {side.label: side.setting("seed").value for side in sides}
    if len(set(found.values()) - {None}) > 1:
        text = f"The seeds differ ({_each(found)}): a part of any difference is the draw of a seed."
        yield Check("seeds", "warning", Sentence(text, tuple(f"{label}.settings.seed" for label in found)))


def versions(sides: Sequence[Side], _evidence: Evidence) -> Iterator[Check]:
    """Engines and tools that differ can differ in arithmetic."""
    engines = {side.label: _engine_name(side) for side in sides}
    if len(set(engines.values()) - {None}) > 1:
        text = f"The runs were trained by different tools or versions ({_each(engines)})."
        yield Check("tools", "warning", Sentence(text, tuple(f"{label}.engine" for label in engines)))
    losses = {side.label: side.run.identity.result.get("loss_definition") for side in sides}
    if len(set(losses.values()) - {None}) > 1:
        text = "The tools average their training and validation losses differently, so those are shown but not ranked."
        yield Check("loss definition", "blocking", Sentence(text), (VALIDATION,))


def restarted(sides: Sequence[Side], _evidence: Evidence) -> Iterator[Check]:
    """A log that starts again holds more than one training."""
    for side in sides:
        starts = 1 + max((row.segment for row in side.run.metrics), default=0)
        if starts > 1:
            text = f"{side.label}'s record starts {starts} times; the curves and figures shown are of the last start."
            yield Check("restarts", "warning", Sentence(text, (f"{side.label}.metrics",)))


def early_end(sides: Sequence[Side], _evidence: Evidence) -> Iterator[Check]:
    """An imported log may end before the run did, or be missing."""
    for side in sides:
        if side.run.identity.imported and not side.run.metrics:
            text = f"How far {side.label} came is not recorded: its counts are those that were planned."
            yield Check("status", "warning", Sentence(text, (f"{side.label}.counts.iterations",)))
        for found in side.run.plan.findings:
            if found.code == "I108":
                text = f"{side.label}: {found.what} {found.why}"
                yield Check("status", "warning", Sentence(text, (f"{side.label}.findings.I108",)))


_UNFINISHED = {
    "running": "is still running",
    "killed": "was killed",
    "interrupted": "was interrupted",
    "failed": "failed",
}


def unfinished(sides: Sequence[Side], _evidence: Evidence) -> Iterator[Check]:
    """A run that has not ended is compared as far as it went."""
    for side in sides:
        status = side.run.status
        if status in _UNFINISHED:
            done = max((row.iteration or 0 for row in side.run.metrics), default=0)
            planned = side.count("iterations").value
            text = (
                f"{side.label} {_UNFINISHED[status]} (iteration {done} of {planned}); it is compared as far as it went."
            )
            if status == "failed" and side.run.identity.result.get("reason"):
                text += f" What it ended with: {side.run.identity.result['reason']}"
            yield Check("status", "warning", Sentence(text, (f"{side.label}.status",)))


def measures(sides: Sequence[Side], evidence: Evidence) -> Iterator[Check]:
    """Answers drawn in another way, or held against other training rows, give other values."""
    if evidence.unlike:
        what = listed(sorted({name for names in evidence.unlike.values() for name in names}))
        count = len(evidence.unlike)
        text = (
            f"{count_of(count, 'measure')} of generated answers {'was' if count == 1 else 'were'} taken in different "
            f"ways ({what}) and {'is' if count == 1 else 'are'} left out. Evaluate the runs together, with --generate."
        )
        yield Check(
            "measures", "blocking", Sentence(text, tuple(f"{side.label}.measures" for side in sides)), (MEASURES,)
        )


def edited(sides: Sequence[Side], evidence: Evidence) -> Iterator[Check]:
    """A record whose hashes no longer hold was changed by somebody, and may not say what happened."""
    for side in sides:
        if names := side.run.edited:
            text = f"{side.label}'s record was changed after the run had ended ({listed(names)}): what it says may not "
            text += "be what happened."
            yield Check("record", "warning", Sentence(text, (f"{side.label}.files",)))
    for label, one in evidence.evaluations.items():
        if one.edited:
            text = f"{label}'s stored test rows were changed by hand ({listed(one.edited)}). Evaluate it again."
            yield Check("record", "blocking", Sentence(text, (f"{label}.evaluations",)), (HELD_OUT,))


CHECKS = (
    base_model,
    tokenizer,
    test_rows,
    validation_rows,
    validation_draws,
    last_validation,
    training_rows,
    truncation,
    seeds,
    versions,
    restarted,
    early_end,
    measures,
    edited,
    unfinished,
)


def check_all(sides: Sequence[Side], evidence: Evidence) -> tuple[Check, ...]:
    """Blocking first."""
    order = {"blocking": 0, "warning": 1, "ok": 2}
    found = [check for examine in CHECKS for check in examine(sides, evidence)]
    return tuple(sorted(found, key=lambda check: order[check.level]))


def _each(values: dict[str, Any]) -> str:
    return ", ".join(f"{label}: {'unknown' if value is None else value}" for label, value in values.items())


def _engine_name(side: Side) -> str | None:
    engine, imported = side.run.identity.engine, side.run.identity.imported
    if imported:
        return " ".join(str(imported[key]) for key in ("tool", "version") if imported.get(key)) or None
    if not engine:
        return None
    return f"{engine.get('name')} {engine.get('dtype')}, " + " ".join(
        f"{name} {version}" for name, version in (engine.get("versions") or {}).items()
    )
