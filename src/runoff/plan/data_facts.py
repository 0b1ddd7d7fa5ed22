"""What a plan has to know of the rows, once they are tokens.

Owns: encoding a dataset under a run's settings, and the counts of it. Must not: plan.
"""

from __future__ import annotations

from dataclasses import dataclass

from runoff.config import Settings
from runoff.data import Dataset, Encoded, RowSet, Tokenizer, encode_for_scoring, encode_for_training

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


@dataclass(frozen=True, slots=True)
class SplitFacts:
    """Counts of one split. `sources` is None where no row names one."""

    place: str
    rows: int
    tokens: int
    target_tokens: int
    longest_tokens: int
    rows_cut: tuple[int, ...]
    rows_without_target: tuple[int, ...]
    sources: int | None
    sha256: str


@dataclass(frozen=True, slots=True)
class DataFacts:
    """Counts of all splits."""

    train: SplitFacts
    valid: SplitFacts | None
    test_rows: int | None
    test_sha256: str | None


def encode_dataset(dataset: Dataset, tokenizer: Tokenizer, settings: Settings) -> EncodedDataset:
    """Tokenize train and valid; test is left to the evaluation."""
    train = encode_for_training(
        dataset.train.rows, tokenizer, mask_prompt=settings.mask_prompt, max_seq_length=settings.max_seq_length
    )
    valid = (
        encode_for_scoring(dataset.valid.rows, tokenizer, max_seq_length=settings.max_seq_length)
        if dataset.valid
        else []
    )
    return EncodedDataset(
        train=tuple(example for example in train if example.target_tokens),
        valid=tuple(example for example in valid if example.target_tokens),
        without_target=tuple(example for example in train if not example.target_tokens),
        rows=dataset,
    )


def data_facts(encoded: EncodedDataset) -> DataFacts:
    """Count everything once."""
    rows = encoded.rows
    return DataFacts(
        train=_split(rows.train, encoded.train, encoded.without_target),
        valid=_split(rows.valid, encoded.valid, ()) if rows.valid else None,
        test_rows=len(rows.test.rows) if rows.test else None,
        test_sha256=rows.test.sha256 if rows.test else None,
    )


def _split(rows: RowSet, kept: tuple[Encoded, ...], left_out: tuple[Encoded, ...]) -> SplitFacts:
    every = [*kept, *left_out]
    return SplitFacts(
        place=rows.place,
        rows=len(rows.rows),
        tokens=sum(len(example.ids) for example in kept),
        target_tokens=sum(example.target_tokens for example in kept),
        longest_tokens=max((len(example.ids) + example.tokens_cut for example in every), default=0),
        rows_cut=tuple(example.row.number for example in every if example.tokens_cut),
        rows_without_target=tuple(example.row.number for example in left_out),
        sources=len(rows.sources) or None,
        sha256=rows.sha256,
    )
