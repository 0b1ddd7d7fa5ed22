"""Examples: rows, sources, hashes, tokens, targets and batches. Must not: know engines, runs or plans."""

from runoff.data.batches import Batch, epoch_order, fixed_order, make_batch
from runoff.data.encode import Encoded, encode_for_scoring, encode_for_training
from runoff.data.forks import Fork, Forked
from runoff.data.rows import Dataset, Row, RowSet, load_dataset, load_rows
from runoff.data.tokenizer import Tokenizer, load_tokenizer

__all__ = [
    "Batch",
    "Dataset",
    "Encoded",
    "Fork",
    "Forked",
    "Row",
    "RowSet",
    "Tokenizer",
    "encode_for_scoring",
    "encode_for_training",
    "epoch_order",
    "fixed_order",
    "load_dataset",
    "load_rows",
    "load_tokenizer",
    "make_batch",
]
