"""One line per report, as unsloth's MLX trainer, torchtune, litgpt and nanochat print it.

    Step 5/60 | Loss: 1.2345 | Grad: 0.1234 | LR: 2.00e-04 | Tok/s: 812 | Peak: 8.08 GB        unsloth (MLX)
    Step 1 | loss:1.23 lr:0.0003 tokens_per_second_per_gpu:123                                  torchtune
    1|7|Loss: 2.2451:   4%|4         | 7/150 [00:04<01:38, 2.05s/it]                            torchtune's bar
    step 00010 (1.00%) | loss: 1.234567 | lrm: 1.00 | dt: 12.34ms | tok/sec: 1,234              nanochat
    Epoch 1 | iter 8 step 2 | loss train: 2.145, val: n/a | iter time: 612.12 ms (step)         litgpt

A step is an optimizer update in all of them; litgpt's iter is a micro-batch. Source: unsloth_zoo/mlx/trainer.py,
torchtune/training/metric_logging.py and recipes/lora_finetune_single_device.py, litgpt/finetune/lora.py, nanochat's
base_train.py. Must not: apply rules.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Literal

from runoff.importers.facts import Clue
from runoff.importers.lines import half_width, number, shared_rounding
from runoff.importers.logs import LogReader
from runoff.runs import MetricRow

__all__ = ["other_lines"]

_N = r"(-?(?:nan|inf|[\d.,]*\d(?:e[+-]?\d+)?))"
_UNSLOTH = re.compile(rf"(?:Step|Eval)\s+(\d+)/(\d+) \| (Loss|Val Loss): {_N} \|(.*)")
_TORCHTUNE = re.compile(rf"Step (\d+) \| (?:.*\s)?(loss|val_loss):{_N}(?: (.*))?")
_NANOCHAT = re.compile(rf"step (\d+) \([\d.]+%\) \| loss: {_N} \|(.*)")
_BAR = re.compile(rf"\b(\d+)\|(\d+)\|Loss: {_N}:")
_LITGPT = re.compile(rf"iter (\d+) step (\d+) \| loss train: {_N}, val: ({_N}|n/a) \| iter time: ")
_LITGPT_VALIDATION = re.compile(rf"iter (\d+): val loss {_N}, val time: {_N} ms")
_PAIR = re.compile(rf"([A-Za-z/_]+): ?{_N}(ms| GB)?")
_NAMES = {
    "Grad": "gradient_norm",
    "LR": "learning_rate",
    "lr": "learning_rate",
    "grad_norm": "gradient_norm",
    "Tok/s": "tokens_per_second",
    "tok/sec": "tokens_per_second",
    "tokens_per_second": "tokens_per_second",
}

UNSLOTH = Clue("unsloth-mlx", "its lines are of the form `Step 5/60 | Loss: ... | Grad: ...`")
TORCHTUNE = Clue("torchtune", "its lines are of the form `Step 1 | loss:...` or `1|1|Loss: ...`")
LITGPT = Clue("litgpt", "its lines are of the form `iter 8 step 2 | loss train: ..., val: ...`")
NANOCHAT = Clue("nanochat", "its lines are of the form `step 00010 (1.00%) | loss: ...`")


def other_lines(log: LogReader, text: str, place: str, whole: bool) -> bool:
    """Rows."""
    if "|" not in text:
        return _litgpt_validation(log, text, place)
    return _torchtune_bar(log, text, place) or _litgpt(log, text, place) or _piped(log, text, place, whole)


def _piped(log: LogReader, text: str, place: str, whole: bool) -> bool:
    if match := _UNSLOTH.search(text):
        if "GB" not in match[5] and "Perplexity" not in match[5]:
            return False
        log.section.tell("max_steps", int(match[2]), place)
        return _row(log, UNSLOTH, int(match[1]), match[3], match[4], match[5], place)
    if (match := _TORCHTUNE.search(text)) and whole:
        return _row(log, TORCHTUNE, int(match[1]), match[2], match[3], match[4] or "", place)
    if (match := _NANOCHAT.search(text)) and whole:
        return _row(log, NANOCHAT, int(match[1]), "loss", match[2], match[3], place)
    return False


def _torchtune_bar(log: LogReader, text: str, place: str) -> bool:
    """It is drawn several times for an update."""
    match = _BAR.search(text)
    if match is not None and log.section.last.get("train") != int(match[2]):
        log.advance("train", int(match[2]))
        log.section.clues[TORCHTUNE] = None
        loss = number(match[3])
        log.section.rows.append(MetricRow("train", None, int(match[2]), None, loss, place=place, segment=log.segment))
    return match is not None


def _litgpt(log: LogReader, text: str, place: str) -> bool:
    """The validation loss in the line is the latest one, which stands in a line of its own too."""
    match = _LITGPT.search(text)
    if match is None:
        return False
    log.advance("train", int(match[1]))
    log.section.clues[LITGPT] = None
    row = MetricRow("train", int(match[1]), int(match[2]), place=place, segment=log.segment)
    log.section.rows.append(_with_loss(row, match[3]))
    return True


def _litgpt_validation(log: LogReader, text: str, place: str) -> bool:
    match = _LITGPT_VALIDATION.search(text)
    if match is None:
        return False
    log.advance("validation", int(match[1]))
    log.section.clues[LITGPT] = None
    seconds = number(match[3]) / 1000
    row = MetricRow("validation", int(match[1]), seconds=seconds, place=place, segment=log.segment)
    log.section.rows.append(_with_loss(row, match[2]))
    return True


def _with_loss(row: MetricRow, loss: str) -> MetricRow:
    rounding = shared_rounding(("nats_per_target_token", half_width(loss)))
    return replace(row, nats_per_target_token=number(loss), rounding=rounding)


def _row(log: LogReader, clue: Clue, update: int, name: str, loss: str, rest: str, place: str) -> bool:
    kind: Literal["train", "validation"] = "validation" if name in ("Val Loss", "val_loss") else "train"
    log.advance(kind, update)
    log.section.clues[clue] = None
    found = _PAIR.findall(rest)
    values = {"nats_per_target_token": loss}
    values |= {_NAMES[key]: text for key, text, _ in found if key in _NAMES}
    memory = next((text for key, text, _ in found if key == "Peak"), None)
    log.section.rows.append(
        MetricRow(
            kind,
            None,
            optimizer_updates=update,
            **{key: number(text) for key, text in values.items()},  # type: ignore[arg-type]
            peak_memory_bytes=round(number(memory) * 1e9) if memory else None,
            place=place,
            segment=log.segment,
            rounding=shared_rounding(
                *((key, half_width(text)) for key, text in values.items()),
                ("peak_memory_bytes", (half_width(memory) or 0) * 1e9 or None if memory else None),
            ),
        )
    )
    return True
