"""Findings about rows that are not independent: repeated rows, near-duplicates, shared sources. Must not: read text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from runoff.plan.findings.check import Seen, check, listed
from runoff.words import count_of

if TYPE_CHECKING:
    from runoff.plan.draft import Draft
    from runoff.plan.row_facts import RowFacts, Twins

__all__ = ["CHECKS", "FEWEST_SOURCES"]

FEWEST_SOURCES = 6
"""With which a two-sided sign-flip test can reach 5 %; a test compares it with `minimum_clusters_for`."""
_SPLIT_AGAIN = "runoff data split {place} --out data-split"


def _within(twins: Sequence[Twins]) -> list[Twins]:
    return [twin for twin in twins if twin.first.split == twin.second.split]


def _across(twins: Sequence[Twins]) -> list[Twins]:
    return [twin for twin in twins if twin.first.split != twin.second.split]


def _place(rows: RowFacts, split: str) -> str:
    found = rows.split(split)
    return found.place if found else split


def _fix(rows: RowFacts) -> str:
    return _SPLIT_AGAIN.format(place=" ".join(split.place for split in rows.splits))


@check("D321", "warning")
def repeated_rows(draft: Draft) -> Iterator[Seen]:
    """The same row stands in one file more than once, so it counts more than once in the loss."""
    twins = _within(draft.rows.equal)
    if twins:
        shown = listed([f"{twin.second} = {twin.first.number}" for twin in twins])
        yield Seen(
            _place(draft.rows, twins[0].second.split),
            f"{count_of(len(twins), 'row')} {'repeats' if len(twins) == 1 else 'repeat'} an earlier row word for word "
            f"({shown}).",
            "A repeated row is trained on, or scored, once more than the others.",
            _fix(draft.rows),
        )


@check("D322", "warning")
def rows_in_two_splits(draft: Draft) -> Iterator[Seen]:
    """The same row stands in train and in valid or test: what should be held out has been trained on."""
    twins = _across(draft.rows.equal)
    if twins:
        shown = listed([f"{twin.second} = {twin.first}" for twin in twins])
        yield Seen(
            _place(draft.rows, twins[0].second.split),
            f"{count_of(len(twins), 'row')} {'stands' if len(twins) == 1 else 'stand'} word for word in another split "
            f"({shown}).",
            "A held-out loss that includes them is too low.",
            _fix(draft.rows),
        )


@check("D323", "note")
def near_duplicates(draft: Draft) -> Iterator[Seen]:
    """Rows of one split share at least 70 % of their three-word sequences (those that either has; case is ignored)."""
    twins = _within(draft.rows.near)
    if twins:
        shown = listed([f"{twin.second} and {twin.first.number}, {twin.shared:.0%}" for twin in twins], 3)
        yield Seen(
            _place(draft.rows, twins[0].second.split),
            f"{count_of(len(twins), 'pair')} of rows in one split are near-duplicates ({shown}).",
            "They say nearly the same, so they count as more evidence than they are.",
        )


@check("D324", "warning")
def near_duplicates_across_splits(draft: Draft) -> Iterator[Seen]:
    """Rows of valid or test belong to a group of near-duplicates that has a row in train.

    Near-duplicates share at least 70 % of their three-word sequences.
    """
    leaking = draft.rows.leaking
    if leaking:
        twins = sorted(_across(draft.rows.near), key=lambda twin: -twin.shared)
        shown = f" (such as {twins[0].second} and {twins[0].first}, {twins[0].shared:.0%} in common)" if twins else ""
        yield Seen(
            _place(draft.rows, leaking[0].split),
            f"{count_of(len(leaking), 'held-out row')} {'is' if len(leaking) == 1 else 'are'} nearly in train{shown}: "
            f"{listed(leaking)}.",
            "A held-out loss that includes them is too low.",
            _fix(draft.rows),
        )


@check("D325", "warning")
def shared_sources(draft: Draft) -> Iterator[Seen]:
    """Rows of one source (video, chapter, day) stand in train and in valid or test.

    Rows of one source resemble each other, so the held-out rows are not new to the model.
    """
    train = draft.rows.split("train")
    for name in ("valid", "test"):
        other = draft.rows.split(name)
        shared = sorted(set(train.sources) & set(other.sources)) if train and other else []
        if other and shared:
            yield Seen(
                other.place,
                f"{len(shared)} of the {count_of(len(other.sources), 'source')} of {name} "
                f"{'is' if len(shared) == 1 else 'are'} in train too ({listed(shared)}).",
                "Its rows resemble rows that were trained on, so its loss is lower than on new sources.",
                _fix(draft.rows),
            )


@check("D326", "note")
def no_source_key(draft: Draft) -> Iterator[Seen]:
    """No row says where it comes from (a field `source`, `group`, `video`, `video_id` or `chapter`).

    Then each row has to be taken for independent of all others: intervals and p-values of a comparison are too narrow
    wherever several rows come from one origin, and a leak between the splits can't be seen.
    """
    splits = draft.rows.splits
    if splits and all(split.rows_without_source == split.rows for split in splits):
        yield Seen(
            splits[0].place,
            f"None of {count_of(sum(split.rows for split in splits), 'row')} names its source.",
            "Whether rows of one origin cross the splits can't be told, and a comparison's intervals take every row "
            "for "
            "independent.",
            '"source": "..." in every row',
        )


@check("D327", "note")
def rows_without_a_source(draft: Draft) -> Iterator[Seen]:
    """Some rows name their source and some do not; each of the latter counts as a source of its own."""
    for split in draft.rows.splits:
        if 0 < split.rows_without_source < split.rows:
            yield Seen(
                split.place,
                f"{split.rows_without_source:,} of {count_of(split.rows, 'row')} name no source.",
                "Each of them counts as a source of its own.",
                '"source": "..." in every row',
            )


@check("D328", "warning")
def few_test_sources(draft: Draft) -> Iterator[Seen]:
    """The test set has fewer than 6 sources, so a comparison on it can name no winner.

    A comparison flips the signs of whole sources: with 5 its smallest p-value is 2 / 2^5 = 0.0625, above 0.05. Rows
    without a source count as a source each.
    """
    test = draft.rows.split("test")
    sources = len(test.sources) + test.rows_without_source if test else 0
    if test and 0 < sources < FEWEST_SOURCES:
        yield Seen(
            test.place,
            f"The {count_of(test.rows, 'row')} of test {'is' if test.rows == 1 else 'are'} from "
            f"{count_of(sources, 'source')}.",
            f"A comparison needs {FEWEST_SOURCES} to name a winner, and more to see a small difference.",
            f"rows of {count_of(FEWEST_SOURCES - sources, 'more source')} or more in test",
        )


CHECKS = (
    repeated_rows,
    rows_in_two_splits,
    near_duplicates,
    near_duplicates_across_splits,
    shared_sources,
    no_source_key,
    rows_without_a_source,
    few_test_sources,
)
