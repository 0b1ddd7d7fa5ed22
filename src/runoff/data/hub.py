"""Rows out of a Hugging Face dataset. Owns: splits and features as mlx-lm reads them. Must not: know tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from runoff.config import Settings
from runoff.data.rows import Dataset, RowSet, Split, rows_from_records
from runoff.errors import DataError

__all__ = ["load_hub_dataset"]


def load_hub_dataset(settings: Settings) -> Dataset:
    """Load `settings.hf_dataset`, or the dataset named by `settings.data`, with the `datasets` library.

    Raises:
        DataError: the library is missing, the hub can't be reached, or a split or field is missing.
    """
    wanted = dict(settings.hf_dataset or {})
    name = str(wanted.get("path", settings.data))
    if "path" not in wanted and (name.count("/") != 1 or name.startswith((".", "/"))):
        raise DataError(f"{name}: no such folder. data names a folder with train.jsonl, or a Hugging Face dataset id.")
    try:
        import datasets
    except ImportError:
        raise DataError(
            f"{name}: no such folder. To read it as a Hugging Face dataset, install: pip install datasets."
        ) from None
    try:
        loaded = datasets.load_dataset(name, wanted.get("config"))
    except Exception as error:  # the library raises many kinds; each means that the data can't be had
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{name}: no such folder, and the Hugging Face dataset can't be loaded ({reason}). "
            "Check the name and the network, or export the rows to a folder with train.jsonl."
        ) from None
    features = settings.model_copy(
        update={key: wanted[key] for key in wanted if key.endswith("_feature") and key in Settings.model_fields}
    )

    def split(part: Split, label: str) -> RowSet | None:
        if label not in loaded:
            return None
        place = f"{name}[{label}]"
        return RowSet(part, place, tuple(rows_from_records(_numbered(loaded[label]), features, place)))

    train = split("train", wanted.get("train_split", "train"))
    if train is None or not train.rows:
        raise DataError(f"{name}: has no split {wanted.get('train_split', 'train')!r}; it has {', '.join(loaded)}.")
    valid = split("valid", wanted.get("valid_split", "valid")) or split("valid", "validation")
    return Dataset(train, valid, split("test", wanted.get("test_split", "test")))


def _numbered(records: Any) -> Iterator[tuple[int, Mapping[str, Any]]]:
    yield from enumerate(records, start=1)
