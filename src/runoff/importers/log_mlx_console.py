"""The console of mlx-lm 0.32: a panel of settings, then one row per report, coloured, redrawn on a terminal.

      5    6.825 ▼       89      0.6k
     10    val 6.551    0.52s
      save  0000010_adapters.safetensors

Tokens are printed in tenths of a thousand: known to +-50. Learning rate, iterations per second and peak memory are not
printed at all. The triangle is lost, or becomes other signs, where a code page has none. Source: mlx_lm/cli_ui.py of
0.32. Must not: apply rules.
"""

from __future__ import annotations

import re

from runoff.importers.facts import Clue
from runoff.importers.lines import half_width, number, shared_rounding
from runoff.importers.logs import LogReader
from runoff.runs import MetricRow

__all__ = ["mlx_console_lines"]

_TRAIN = re.compile(r"^\s*([\d,]+)\s{2,}(-?(?:nan|inf|[\d.]+))(?: \S{1,3})?\s+(nan|inf|[\d,]+)\s+([\d.]+)k\s*$")
_VALIDATION = re.compile(r"^\s*([\d,]+)\s+val\s+(-?(?:nan|inf|[\d.]+))\s+([\d.]+)s\s*$")
_SAVE = re.compile(r"^\s*save\s+(0*(\d+)_\S+\.safetensors)\s*$")
_PANEL = re.compile(r"│\s+(model|type|dataset|optimizer|batch · iters|max seq)\s+(\S.*?)\s*│")
_TYPE = re.compile(r"^(lora|dora) · (-?\d+) layers · rank (\d+)$")
_FULL = re.compile(r"^full · (-?\d+) layers$")
_OPTIMIZER = re.compile(r"^(\w+) · lr (\S+)$")
_BATCH = re.compile(r"^(\d+) · ([\d,]+)$")

NEW = Clue(
    "mlx-lm", "its console has the columns iter, train_loss, tok/s, tokens, which came with 0.32", since="0.32.0"
)


def mlx_console_lines(log: LogReader, text: str, place: str, whole: bool) -> bool:
    """Rows, saves and the panel."""
    if "╭" in text and "mlx_lm.lora" in text:
        log.begin()
        log.section.heading = "panel"
        return True
    if "│" in text:
        return log.section.heading == "panel" and _panel(log, text, place)
    if match := _TRAIN.match(text):
        return _train(log, match, place)
    if "val" in text:
        return _validation(log, text, place)
    if "save" in text and whole and (match := _SAVE.search(text)):
        log.section.rows.append(MetricRow("checkpoint", int(match[2]), text=match[1], place=place, segment=log.segment))
        return True
    return bool(re.match(r"\s*iter\s+train_loss\s+tok/s\s+tokens\s*$", text))


def _train(log: LogReader, match: re.Match[str], place: str) -> bool:
    iteration, loss, speed, thousands = match.groups()
    log.advance("train", number(iteration))
    log.section.clues[NEW] = None
    log.section.rows.append(
        MetricRow(
            "train",
            int(number(iteration)),
            nats_per_target_token=float(loss),
            target_tokens=round(number(thousands) * 1000),
            tokens_per_second=number(speed),
            place=place,
            segment=log.segment,
            rounding=shared_rounding(
                ("nats_per_target_token", half_width(loss)), ("target_tokens", 50.0), ("tokens_per_second", 0.5)
            ),
        )
    )
    return True


def _validation(log: LogReader, text: str, place: str) -> bool:
    match = _VALIDATION.match(text)
    if match is None:
        return False
    iteration, loss, seconds = match.groups()
    log.advance("validation", number(iteration))
    log.section.clues[NEW] = None
    log.section.rows.append(
        MetricRow(
            "validation",
            int(number(iteration)),
            nats_per_target_token=float(loss),
            seconds=float(seconds),
            place=place,
            segment=log.segment,
            rounding=shared_rounding(("nats_per_target_token", half_width(loss)), ("seconds", half_width(seconds))),
        )
    )
    return True


def _panel(log: LogReader, text: str, place: str) -> bool:
    match = _PANEL.search(text)
    if match is None:
        return False
    name, value = match.groups()
    tell = log.section.tell
    if name == "model":
        tell("model", value, place)
    elif name == "dataset":
        tell("data", value, place)
    elif name == "max seq" and re.fullmatch(r"[\d,]+", value):
        tell("max_seq_length", int(number(value)), place)
    elif name == "type" and (found := _TYPE.match(value)):
        for key, part in zip(("fine_tune_type", "num_layers", "lora_parameters.rank"), found.groups(), strict=True):
            tell(key, part if key == "fine_tune_type" else int(part), place)
    elif name == "type" and (found := _FULL.match(value)):
        tell("fine_tune_type", "full", place)
        tell("num_layers", int(found[1]), place)
    elif name == "optimizer" and (found := _OPTIMIZER.match(value)):
        tell("optimizer", found[1], place)
        if found[2] != "schedule":
            tell("learning_rate", float(found[2]), place, half_width(found[2]))
    elif name == "batch · iters" and (found := _BATCH.match(value)):
        tell("batch_size", int(found[1]), place)
        tell("iters", int(number(found[2])), place)
    return True
