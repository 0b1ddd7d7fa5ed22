"""What a plan has to know of the rows, once they are tokens.

Owns: encoding a dataset under a run's settings, and the counts of it. Must not: plan.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from runoff.config import Settings
from runoff.data import Dataset, Encoded, RowSet, Tokenizer, encode_for_scoring, encode_for_training
from runoff.errors import DataError
from runoff.plan.row_facts import RowFacts, all_sets, row_facts
from runoff.plan.template_facts import TemplateFacts, template_facts

__all__ = ["DataFacts", "EncodedDataset", "SplitFacts", "data_facts", "encode_dataset"]


@dataclass(frozen=True)
class EncodedDataset:
    """The splits as tokens. `train` and `valid` hold only rows with a target; what was left out is counted.

    train: as trained on. valid: as scored (the answer alone, whatever mask_prompt says), under the run's truncation.
    """

    train: tuple[Encoded, ...]
    valid: tuple[Encoded, ...]
    without_target: tuple[Encoded, ...]
    rows: Dataset
    valid_without_target: tuple[Encoded, ...] = ()
    tokenizer: Tokenizer | None = None


@dataclass(frozen=True, slots=True)
class SplitFacts:
    """Counts of one split. `sources` is None where no row names one; the tuples hold row numbers.

    tokens_cut: tokens beyond max_seq_length, of all rows. rows_without_end: whole rows with no end token after the
    answer. rows_of_shifting_prompt: the prompt alone is rendered otherwise than at the start of the whole row.
    """

    place: str
    rows: int
    tokens: int
    target_tokens: int
    longest_tokens: int
    rows_cut: tuple[int, ...]
    rows_without_target: tuple[int, ...]
    sources: int | None
    sha256: str
    tokens_cut: int = 0
    rows_without_end: tuple[int, ...] = ()
    rows_of_shifting_prompt: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class DataFacts:
    """Counts of all splits; `text` and `template` are None where nobody looked."""

    train: SplitFacts
    valid: SplitFacts | None
    test_rows: int | None
    test_sha256: str | None
    text: RowFacts | None = None
    template: TemplateFacts | None = None


def encode_dataset(dataset: Dataset, tokenizer: Tokenizer, settings: Settings) -> EncodedDataset:
    """Tokenize train and valid; test is left to the evaluation.

    Raises:
        DataError: the chat template refuses a row, or mask_prompt is set and the rows have no prompt.
        ModelError: there is no chat template.
    """
    limit = settings.max_seq_length
    if settings.mask_prompt and dataset.train.rows[0].format == "text":
        raise DataError(
            f"{dataset.train.place}: has text rows, which hold no prompt that mask_prompt could mask. "
            "Remove mask_prompt, or write rows with prompt and completion."
        )
    with _in_file(dataset.train):
        train = encode_for_training(
            dataset.train.rows, tokenizer, mask_prompt=settings.mask_prompt, max_seq_length=limit
        )
    valid: list[Encoded] = []
    if dataset.valid:
        with _in_file(dataset.valid):
            valid = encode_for_scoring(dataset.valid.rows, tokenizer, max_seq_length=limit)
    return EncodedDataset(
        train=tuple(example for example in train if example.target_tokens),
        valid=tuple(example for example in valid if example.target_tokens),
        without_target=tuple(example for example in train if not example.target_tokens),
        rows=dataset,
        valid_without_target=tuple(example for example in valid if not example.target_tokens),
        tokenizer=tokenizer,
    )


@contextlib.contextmanager
def _in_file(rows: RowSet) -> Iterator[None]:
    """Say which file a refused row stands in."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{rows.place}: {error}") from None


def data_facts(encoded: EncodedDataset, text: RowFacts | None = None) -> DataFacts:
    """Count everything once; `text` may be passed in by a caller that has it already."""
    rows, tokenizer = encoded.rows, encoded.tokenizer
    ends = tokenizer.end_ids if tokenizer else frozenset()
    return DataFacts(
        train=_split(rows.train, encoded.train, encoded.without_target, ends),
        valid=_split(rows.valid, encoded.valid, encoded.valid_without_target, ends) if rows.valid else None,
        test_rows=len(rows.test.rows) if rows.test else None,
        test_sha256=rows.test.sha256 if rows.test else None,
        text=text or row_facts(all_sets(rows)),
        template=template_facts(tokenizer) if tokenizer else None,
    )


def _split(rows: RowSet, kept: Sequence[Encoded], left_out: Sequence[Encoded], ends: frozenset[int]) -> SplitFacts:
    every = sorted([*kept, *left_out], key=lambda example: example.row.number)
    return SplitFacts(
        place=rows.place,
        rows=len(rows.rows),
        tokens=sum(len(example.ids) for example in kept),
        target_tokens=sum(example.target_tokens for example in kept),
        longest_tokens=max((len(example.ids) + example.tokens_cut for example in every), default=0),
        rows_cut=_numbers(example for example in every if example.tokens_cut),
        rows_without_target=_numbers(left_out),
        sources=len(rows.sources) or None,
        sha256=rows.sha256,
        tokens_cut=sum(example.tokens_cut for example in every),
        rows_without_end=_numbers(example for example in every if ends and not _ended(example, ends)),
        rows_of_shifting_prompt=_numbers(example for example in every if not example.prompt_is_prefix),
    )


def _numbers(examples: Iterable[Encoded]) -> tuple[int, ...]:
    return tuple(example.row.number for example in examples)


def _ended(example: Encoded, ends: frozenset[int]) -> bool:
    """Whether an end token comes with or after the last target; rows that are cut are counted elsewhere."""
    return bool(example.tokens_cut) or any(int(token) in ends for token in example.ids[-4:])
