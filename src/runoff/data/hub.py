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
    features = settings.model_copy(
        update={key: wanted[key] for key in wanted if key.endswith("_feature") and key in Settings.model_fields}
    )

    def rows(part: Split, label: str, records: Any) -> RowSet:
        place = f"{name}[{label}]"
        found = tuple(rows_from_records(_numbered(records), features, place))
        if not found:
            raise DataError(f"{place}: is empty. It needs at least one row.")
        return RowSet(part, place, found)

    if settings.hf_dataset is not None:
        config = wanted.get("config") or {}
        options = dict(config) if isinstance(config, Mapping) else {"name": config}

        def split(part: Split, label: str) -> RowSet:
            return rows(part, label, _load(datasets, name, split=label, **options))

        train = split("train", str(wanted.get("train_split", "train[:80%]")))
        valid = split("valid", str(wanted.get("valid_split", "train[-10%:]")))
        test = split("test", str(wanted["test_split"])) if wanted.get("test_split") else None
        return Dataset(train, valid, test)
    loaded = _load(datasets, name)
    if "train" not in loaded:
        raise DataError(f"{name}: has no split 'train'; it has {', '.join(loaded)}. Name the splits in hf_dataset.")
    found = {part: label for part, label in _LABELS if label in loaded}
    sets = {part: rows(part, label, loaded[label]) for part, label in found.items()}
    return Dataset(sets["train"], sets.get("valid"), sets.get("test"))


_LABELS: tuple[tuple[Split, str], ...] = (
    ("train", "train"),
    ("valid", "validation"),
    ("valid", "valid"),
    ("test", "test"),
)


def _load(datasets: Any, name: str, /, **options: Any) -> Any:
    try:
        return datasets.load_dataset(name, **options)
    except Exception as error:  # the library raises many kinds; each means that the data can't be had
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{name}: no such folder, and the Hugging Face dataset can't be loaded ({reason}). "
            "Check the name and the network, or export the rows to a folder with train.jsonl."
        ) from None


def _numbered(records: Any) -> Iterator[tuple[int, Mapping[str, Any]]]:
    yield from enumerate(records, start=1)
