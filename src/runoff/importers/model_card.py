"""The README.md that Hugging Face's Trainer writes: its hyperparameters and the table of its validations.

    The following hyperparameters were used during training:
    - learning_rate: 0.0002
    - gradient_accumulation_steps: 4                    left out where it is 1

    | Training Loss | Epoch | Step | Validation Loss |

The table's training loss is of the latest report before the validation, at no step that it names: it is not read.
Source: transformers/modelcard.py extract_hyperparameters_from_trainer, parse_log_history. Must not: apply rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from runoff.errors import ImportFailed
from runoff.importers.facts import Clue, Facts, Importer, Reading, SourceFile, Tally, Told
from runoff.importers.lines import half_width, number, read_text, shared_rounding
from runoff.runs import MetricRow

__all__ = ["MODEL_CARD"]

_HEADING = "The following hyperparameters were used during training:"
_BULLET = re.compile(r"- (\w+): (.+)")
_NAMES = {
    "learning_rate": "learning_rate",
    "train_batch_size": "train_batch_size",
    "seed": "seed",
    "gradient_accumulation_steps": "gradient_accumulation_steps",
    "lr_scheduler_type": "lr_scheduler_type",
    "lr_scheduler_warmup_steps": "warmup_steps",
    "lr_scheduler_warmup_ratio": "warmup_ratio",
    "num_epochs": "num_train_epochs",
    "training_steps": "max_steps",
}
_OPTIMIZER = re.compile(r"(?:Use )?(?:OptimizerNames\.)?(\w+) with ")
_TRANSFORMERS = re.compile(r"- Transformers (\d+(?:\.\d+)*)")
_COLUMNS = ("epoch", "step", "validation loss")


def _read(source: SourceFile) -> Reading:
    lines = read_text(source).splitlines()
    start = next((index for index, line in enumerate(lines) if line.strip() == _HEADING), None)
    if start is None:
        raise ImportFailed(f"{source.name}: is no model card of Trainer's.")
    bullets = {key: (value, line) for line, key, value in _bullets(lines, start + 1)}
    settings = list(_settings(bullets, source.name))
    if "gradient_accumulation_steps" not in bullets:
        settings.append(Told("gradient_accumulation_steps", 1, f"{source.name}:{start + 1} (left out, so 1)"))
    version = next((match[1] for line in lines if (match := _TRANSFORMERS.match(line))), None)
    names = f" and names Transformers {version}" if version else ""
    tally = Tally(len(lines))
    rows = tuple(_rows(lines, source.name, tally))
    tally.skipped = len(lines) - len(bullets) - len(rows) - tally.not_understood
    facts = Facts(
        "log",
        settings=tuple(settings),
        counts=tuple(_counts(bullets, source.name)),
        rows=rows,
        clues=(Clue("transformers", f"{source.name} is a model card of Trainer's{names}"),),
        whole_folder=True,
    )
    return Reading((facts,), tally)


def _bullets(lines: list[str], start: int) -> Iterator[tuple[int, str, str]]:
    for index in range(start, len(lines)):
        match = _BULLET.match(lines[index])
        if match is None:
            return
        yield index + 1, match[1], match[2].strip()


def _settings(bullets: dict[str, tuple[str, int]], name: str) -> Iterator[Told]:
    for theirs, key in _NAMES.items():
        if theirs in bullets:
            text, line = bullets[theirs]
            yield Told(key, _plain(text), f"{name}:{line}")
    if "optimizer" in bullets and (match := _OPTIMIZER.match(bullets["optimizer"][0])):
        yield Told("optim", match[1].lower(), f"{name}:{bullets['optimizer'][1]}")


def _counts(bullets: dict[str, tuple[str, int]], name: str) -> Iterator[Told]:
    """The rows of an update are left out where they are those of a device."""
    key = "total_train_batch_size" if "total_train_batch_size" in bullets else "train_batch_size"
    text, line = bullets.get(key, ("", 0))
    if text.isdecimal():
        yield Told("effective_batch_rows", int(text), f"{name}:{line}")


def _plain(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _rows(lines: list[str], name: str, tally: Tally) -> Iterator[MetricRow]:
    header: list[str] = []
    for index, line in enumerate(lines):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if set(_COLUMNS) <= {cell.lower() for cell in cells}:
            header = [cell.lower() for cell in cells]
        elif header and cells and any(cell.strip(":-") for cell in cells):
            row = _row(dict(zip(header, cells, strict=False)), f"{name}:{index + 1}")
            if row is None:
                tally.puzzle(f"{name}:{index + 1}", line)
            else:
                yield row
        elif not cells:
            header = []


def _row(cells: Mapping[str, str], place: str) -> MetricRow | None:
    epoch, step, loss = (cells.get(column, "") for column in _COLUMNS)
    try:
        widths = shared_rounding(("epoch", half_width(epoch)), ("nats_per_target_token", half_width(loss)))
        return MetricRow("validation", None, int(step), number(epoch), number(loss), place=place, rounding=widths)
    except (ValueError, OverflowError):
        return None


def _is_card(source: SourceFile) -> bool:
    return source.path.suffix == ".md" and _HEADING in source.text_head


MODEL_CARD = Importer("model card", _is_card, _read, reads_prose=True)
