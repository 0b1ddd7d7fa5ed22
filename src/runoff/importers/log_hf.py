"""What Hugging Face's Trainer prints, and TRL, axolotl, LLaMA-Factory and unsloth with it: one dictionary per report.

    {'loss': 2.345, 'grad_norm': 0.58, 'learning_rate': 1e-05, 'epoch': 0.15}         transformers 4
    {'loss': '6.402', 'grad_norm': '0.5798', 'learning_rate': '0.0009619', ...}       transformers 5: 4 digits, as text

The dictionary does not hold the number of updates. The progress bar redrawn right behind it does (stderr, so only where
both streams were kept). Source: transformers/trainer_callback.py, trainer.py. Must not: apply rules.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Mapping

from runoff.importers.facts import Clue
from runoff.importers.lines import number, shared_rounding
from runoff.importers.logs import LogReader
from runoff.importers.objectives import by_its_objective
from runoff.importers.trainer_speed import KEYS, RATE, SECONDS, speed_counts
from runoff.runs import MetricRow

__all__ = ["FIELDS", "OTHERS", "TRL", "hugging_face_lines", "is_time", "other_measures"]

FIELDS = {
    "loss": "nats_per_target_token",
    "eval_loss": "nats_per_target_token",
    "learning_rate": "learning_rate",
    "grad_norm": "gradient_norm",
    "epoch": "epoch",
    "eval_runtime": "seconds",
}
"""Their name -> ours. TRL's num_tokens counts prompts too, so it is not our target_tokens."""

OTHERS = {
    "entropy": "entropy_nats_per_target_token",
    "mean_token_accuracy": "top_token_share",
    "num_tokens": "read_tokens",
}
"""What TRL reports besides -> ours. Entropy of the model's next token, and the share of target tokens that it found the
likeliest: means over the target tokens of a micro-batch, averaged over the micro-batches since the last report. Tokens
read up to here by all devices: prompts too, padding not."""

_TIMES = ("runtime", "_per_second", "total_flos")
"""What says how long something took: a row's `seconds` do."""

_DICTIONARY = re.compile(r"\{'[^{}]*\}")
_PAIR = re.compile(r"'([^']+)': ('?)([^,'{}]+)'?")
_BAR_WITHIN = 400
_BAR = re.compile(r"\| *([\d,]+)/([\d,]+) \[")
_SAVED = re.compile(r"Saving model checkpoint to (\S+)")
_BANNER = {
    "num_train_epochs": re.compile(r"Num Epochs = ([\d,]+)", re.I),
    "max_steps": re.compile(r"Total (?:optimization )?steps = ([\d,]+)", re.I),
    "per_device_train_batch_size": re.compile(r"(?:Instantaneous batch size|Batch size) per device = ([\d,]+)", re.I),
    "gradient_accumulation_steps": re.compile(r"Gradient accumulation steps = ([\d,]+)", re.I),
}
_COUNTS = {
    "effective_batch_rows": re.compile(r"Total (?:train )?batch size \([^)]*\) = ([\d,]+)", re.I),
    "trainable_parameters": re.compile(r"trainable param(?:s:|eters =) ([\d,]+)", re.I),
    "base_and_adapter_parameters": re.compile(r"(?:all params: |eters = [\d,]+ of )([\d,]+)", re.I),
}
_EXAMPLES = re.compile(r"Num examples = ([\d,]+)", re.I)

TRAINER = Clue("transformers", "its lines are the dictionaries that Hugging Face's Trainer prints")
UNSLOTH = Clue("unsloth", "Unsloth's banner stands before the training")
TRL = Clue("trl", "its reports hold mean_token_accuracy, as TRL's trainers write it")
FOUR = Clue("transformers", "the dictionaries hold numbers, as transformers 4 prints them", before="5.0.0")
FIVE = Clue("transformers", "the dictionaries hold numbers as text, which came with transformers 5", since="5.0.0")


def hugging_face_lines(log: LogReader, text: str, place: str, whole: bool) -> bool:
    """Dictionaries and the banner."""
    match = _DICTIONARY.search(text)
    if match:
        return _report(log, match[0], place)
    return _banner(log, text, place) if whole else False


def is_time(key: str) -> bool:
    """Trainer's name of how long something took, or of work by time."""
    return key.endswith(_TIMES)


def other_measures(numbers: Mapping[str, float]) -> dict[str, float]:
    """What a report holds besides FIELDS, under a name with its unit where that is known, else under its own."""
    names = {key: key.removeprefix("eval_") for key in numbers if key not in FIELDS and not is_time(key)}
    return {OTHERS.get(name, name): numbers[key] for key, name in names.items()}


def _numbers(found: Mapping[str, tuple[str, bool]]) -> dict[str, float]:
    """The values that are numbers; a callback of one's own may report anything."""
    numbers = {}
    for key, (value, _) in found.items():
        with contextlib.suppress(ValueError):
            numbers[key] = number(value)
    return numbers


def _report(log: LogReader, text: str, place: str) -> bool:
    found = {key: (value, bool(quote)) for key, quote, value in _PAIR.findall(text)}
    kind = "train" if "loss" in found else "validation" if "eval_loss" in found else None
    try:
        values = {key: number(value) for key, (value, _) in found.items() if key in FIELDS or key == "train_runtime"}
    except ValueError:
        return False
    for told in speed_counts(_speed(found), place):
        log.section.count(told.key, told.value, place, told.rounding)
    if "train_runtime" in values:
        log.section.finished = True
        log.section.clues[TRAINER] = None
        if "epoch" in values:
            log.section.count("epochs", values["epoch"], place, _width("epoch", *found["epoch"]))
        return True
    if kind is None or "epoch" not in values:
        return False
    if kind == "validation" and log.section.finished and log.section.last.get(kind) == values["epoch"]:
        text = f"evaluated again after the training: loss {found['eval_loss'][0]}"
        log.section.rows.append(MetricRow("event", epoch=values["epoch"], text=text, place=place, segment=log.segment))
        return True
    log.advance(kind, values["epoch"])
    log.section.clues[FIVE if found["epoch"][1] else FOUR] = None
    if any(key.startswith("memory/") for key in found):
        log.section.clues[Clue("axolotl", "its reports hold memory/..., as axolotl's do")] = None
    if "mean_token_accuracy" in found or "eval_mean_token_accuracy" in found:
        log.section.clues[TRL] = None
    row = MetricRow(
        "train" if kind == "train" else "validation",
        None,
        optimizer_updates=_updates(log, kind, values["epoch"], place),
        **{FIELDS[key]: value for key, value in values.items() if key in FIELDS},  # type: ignore[arg-type]
        place=place,
        segment=log.segment,
        others=other_measures(_numbers({key: value for key, value in found.items() if key != "step"})),
        rounding=shared_rounding(*((FIELDS[key], _width(key, *found[key])) for key in values if key in FIELDS)),
    )
    log.section.rows.append(by_its_objective(row, found))
    return True


def _speed(found: Mapping[str, tuple[str, bool]]) -> dict[str, tuple[float, float]]:
    """Rates and runtimes with their half-widths: what Trainer rounds, and what transformers 5 rounds in print."""
    numbers = {key: found[key] for key in KEYS if key in found}
    widths = {key: SECONDS if key.endswith("runtime") else RATE for key in numbers}
    return {key: (number(text[0]), widths[key] + (_width("", *text) or 0.0)) for key, text in numbers.items()}


def _width(key: str, text: str, quoted: bool) -> float | None:
    """transformers 5 prints 4 digits of everything; 4 rounds the loss to 4 decimals and the epoch to 2."""
    if quoted:
        value = abs(float(text))
        return 5 * 10.0 ** (math.floor(math.log10(value)) - 4) if value and math.isfinite(value) else None
    return {"loss": 5e-5, "epoch": 5e-3}.get(key)


def _updates(log: LogReader, kind: str, epoch: float, place: str) -> int | None:
    """From the bar redrawn behind a report; behind a validation its own bar is drawn too, and the totals tell which."""
    last = log.section.last
    bars = [(int(number(done)), int(number(total))) for done, total in _BAR.findall(log.following(_BAR_WITHIN))]
    if kind == "train":
        if not bars or last.setdefault("bar total", bars[0][1]) != bars[0][1]:
            return None
        if last.get("updates", bars[0][0]) < bars[0][0]:  # the second bar with this total: it is the training's
            log.section.tell("max_steps", bars[0][1], place)
        last["updates"], last["epoch of updates"] = bars[0][0], epoch
        return bars[0][0]
    if last.get("epoch of updates") == epoch:
        return int(last["updates"])
    own = [done for done, total in bars if total == last.get("bar total") and done >= last.get("updates", 0)]
    return own[0] if own and len({total for _, total in bars}) > 1 else None


def _banner(log: LogReader, text: str, place: str) -> bool:
    section, understood = log.section, False
    if "Running training" in text:
        log.begin()
        log.section.heading = "train"
        return True
    if "Running Evaluation" in text or "Running Prediction" in text:
        section.heading = "valid"
        return True
    for key, pattern in _BANNER.items():
        if match := pattern.search(text):
            section.tell(key, int(number(match[1])), place)
            if key == "max_steps":
                section.count("planned_updates", int(number(match[1])), place)
            understood = True
    for key, pattern in _COUNTS.items():
        if match := pattern.search(text):
            section.count(key, int(number(match[1])), place)
            understood = True
    if match := _EXAMPLES.search(text):
        section.count("valid_rows" if section.heading == "valid" else "train_rows", int(number(match[1])), place)
        understood = True
    if match := _SAVED.search(text):
        section.labels |= dict.fromkeys(match[1].rstrip("/").split("/")[-2:-1])
        section.rows.append(MetricRow("checkpoint", None, text=match[1], place=place, segment=log.segment))
        understood = True
    if "Unsloth" in text and "finetuning" in text:
        section.clues[UNSLOTH] = None
        return True
    if understood:
        section.clues[TRAINER] = None
    return understood
