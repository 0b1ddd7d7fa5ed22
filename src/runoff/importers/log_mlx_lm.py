"""The lines that mlx-lm printed from its first version to 0.31, and mlx-lm-lora's, which grew out of them.

    Iter 1: Val loss 2.381, Val took 16.942s
    Iter 1800: Train loss 1.443, Learning Rate 1.000e-05, It/sec 0.417, Tokens/sec 180.235, Trained Tokens 751673, ...

Source: mlx_lm/tuner/trainer.py and lora.py of each version; mlx_lm_lora/trainer/sft_trainer.py. Must not: apply rules.
"""

from __future__ import annotations

import functools
import re

from runoff.importers.facts import Clue
from runoff.importers.lines import half_width, number, shared_rounding
from runoff.importers.logs import LogReader
from runoff.importers.objectives import by_its_objective
from runoff.runs import MetricRow

__all__ = ["GIGABYTE_DOUBT", "mlx_lm_lines"]

_N = r"(-?(?:nan|inf|[\d.]+(?:e[+-]?\d+)?))"
_TRAIN = re.compile(
    r"Iter (\d+): Train loss ([^\s,]+), (?:Learning Rate ([^\s,]+), )?It/sec ([^\s,]+), Tokens/sec ([^\s,]+)"
    r"(?:, Trained Tokens ([^\s,]+)(?:, Peak mem ([^\s,]+) (GB))?)?"
)
_VALIDATION = re.compile(rf"Iter (\d+): Val loss {_N}(.*?), Val took {_N}s")
_LORA_TRAIN = re.compile(rf"Iter (\d+): loss {_N}, (.*)")
_PAIR = re.compile(rf"([a-z_/]+) {_N}(GB)?")
_SAVED = re.compile(r"Iter (\d+): Saved adapter weights to (\S+?)(?: and (\S+?))?\.?\s*$")
_FINAL = re.compile(r"Saved final (adapter )?weights to (.+?)\.?\s*$")
_TEST = re.compile(rf"Test loss {_N}, Test ppl {_N}\.")
_START = re.compile(r"Starting training\.\.\., iters: (\d+)")
_CONFIG = re.compile(r"Loading configuration file (.+\.ya?ml)\s*$")
_TRAINABLE = re.compile(r"Trainable parameters: [\d.]+% \(([\d.]+)M/([\d.]+)M\)")
_LONGEST = re.compile(r"longer than (\d+) tokens\. The longest sentence (\d+) will be truncated")
_RESUMED = re.compile(r"Loading (?:pretrained/)?fine-tuned weights from (\S.*)")
_NODES = re.compile(r"Node \d+ of (\d+)")

_OLD_ROWS = "rows with peak memory"
GIGABYTE_DOUBT = 2**30 / 1e9 - 1
OLD = Clue(
    "mlx-lm", "its lines are of the form `Iter N: Train loss ...`, which mlx-lm printed before 0.32", before="0.32.0"
)
OLD_ARGUMENTS = Clue("mlx-lm", "`Trained Tokens` and `Peak mem` are printed from 0.3 on", since="0.3.0")
FINAL = Clue("mlx-lm", "`Saved final weights to` is printed from 0.19 on", since="0.19.0")
FINAL_ADAPTER = Clue("mlx-lm", "`Saved final adapter weights to` is printed before 0.19", before="0.19.0")
NPZ = Clue("mlx-lm", "it saves .npz files, as before 0.6", before="0.6.0")
SAFETENSORS = Clue("mlx-lm", "it saves .safetensors files, as from 0.6 on", since="0.6.0")
LORA = Clue("mlx-lm-lora", "its lines are of the form `Iter N: loss ..., lr ...`")


def mlx_lm_lines(log: LogReader, text: str, place: str, whole: bool) -> bool:
    """Rows, saves, announcements."""
    at = text.find("Iter ")
    if at >= 0:
        return _train(log, text, place, whole) or _validation(log, text, place) or _other_rows(log, text, place)
    return _announcement(log, text, place)


def _train(log: LogReader, text: str, place: str, whole: bool) -> bool:
    match = _TRAIN.match(text, text.find("Iter ")) or _TRAIN.search(text)
    if match is None or not (whole or match[8] or match.end() < len(text)):
        return False
    iteration, loss, rate, speed, tokens, trained, memory, _ = match.groups()
    try:
        row = MetricRow(
            "train",
            int(iteration),
            nats_per_target_token=float(loss),
            target_tokens=int(float(trained)) if trained else None,
            learning_rate=float(rate) if rate else None,
            tokens_per_second=float(tokens),
            iterations_per_second=float(speed),
            peak_memory_bytes=round(float(memory) * 1e9) if memory else None,
            place=place,
            segment=log.advance("train", int(iteration)),
            rounding=_rounding(_decimals(loss), rate, _decimals(speed), _decimals(tokens), memory),
        )
    except (ValueError, OverflowError):
        return False
    section = log.sections[-1]
    if section.heading != _OLD_ROWS:  # asked once a section: looking clues up takes a tenth of the time of a row
        section.clues |= {OLD: None, OLD_ARGUMENTS: None} if memory else {OLD: None}
        section.heading = _OLD_ROWS if memory else ""
    section.rows.append(row)
    return True


def _decimals(text: str | None) -> int:
    return len(text) - text.find(".") - 1 if text and "." in text else -1


@functools.lru_cache(maxsize=4096)
def _rounding(loss: int, rate: str | None, speed: int, tokens: int, memory: str | None) -> dict[str, float]:
    """Half-widths by the digits printed behind each point; -1 where there is none.

    Peak memory is in doubt by 7 %: a log does not tell whether its GB are 10^9 bytes or (before 0.20) 2^30.
    """
    digits = {"nats_per_target_token": loss, "iterations_per_second": speed, "tokens_per_second": tokens}
    widths: dict[str, float | None] = {key: 0.5 * 10.0**-count for key, count in digits.items() if count > 0}
    widths["learning_rate"] = half_width(rate) if rate else None
    printed = half_width(memory) if memory else None
    widths["peak_memory_bytes"] = (printed + float(memory or 0) * GIGABYTE_DOUBT) * 1e9 if printed else None
    return {key: width for key, width in widths.items() if width is not None}


def _validation(log: LogReader, text: str, place: str) -> bool:
    match = _VALIDATION.search(text)
    if match is None:
        return False
    iteration, loss, extra, seconds = match.groups()
    log.advance("validation", int(iteration))
    log.section.clues[LORA if "Val chosen" in extra else OLD] = None
    row = MetricRow(
        "validation",
        int(iteration),
        nats_per_target_token=float(loss),
        seconds=float(seconds),
        text=extra.strip(", ") or None,
        place=place,
        segment=log.segment,
        rounding=shared_rounding(("nats_per_target_token", half_width(loss)), ("seconds", half_width(seconds))),
    )
    log.section.rows.append(by_its_objective(row, ["chosen_r"] if "Val chosen" in extra else []))
    return True


def _other_rows(log: LogReader, text: str, place: str) -> bool:
    saved = _SAVED.search(text)
    if saved:
        log.section.labels |= dict.fromkeys(_folder(saved[2]))
        log.section.clues |= dict.fromkeys(_saved_as(saved[2]))
        log.section.rows.append(
            MetricRow("checkpoint", int(saved[1]), text=saved[3] or saved[2], place=place, segment=log.segment)
        )
        return True
    match = _LORA_TRAIN.search(text)
    found = {name: value for name, value, _ in _PAIR.findall(match[3])} if match else {}
    if match is None or "it/s" not in found or "peak_mem" not in found or not text.rstrip().endswith("GB"):
        return False
    return _lora_row(log, int(match[1]), match[2], found, place)


def _lora_row(log: LogReader, iteration: int, loss: str, found: dict[str, str], place: str) -> bool:
    log.advance("train", iteration)
    log.section.clues[LORA] = None
    names = {"lr": "learning_rate", "it/s": "iterations_per_second", "tok/s": "tokens_per_second"}
    known = {"nats_per_target_token": loss} | {names[key]: text for key, text in found.items() if key in names}
    memory = found["peak_mem"]
    extra = ", ".join(f"{key} {found[key]}" for key in ("chosen_r", "rejected_r", "acc", "margin") if key in found)
    widths = [*((key, half_width(text)) for key, text in known.items())]
    widths.append(("peak_memory_bytes", (half_width(memory) or 0) * 1e9 or None))
    row = MetricRow(
        "train",
        iteration,
        **{key: number(text) for key, text in known.items()},  # type: ignore[arg-type]
        target_tokens=int(float(found["trained_tok"])) if "trained_tok" in found else None,
        peak_memory_bytes=round(float(memory) * 1e9),
        text=extra or None,
        place=place,
        segment=log.segment,
        rounding=shared_rounding(*widths),
    )
    log.section.rows.append(by_its_objective(row, found))
    return True


def _announcement(log: LogReader, text: str, place: str) -> bool:
    if match := _CONFIG.search(text):
        log.begin()
        log.section.configs[_stem(match[1])] = None
    elif text.startswith("Loading pretrained model"):
        log.begin()
    elif match := _START.search(text):
        log.begin()
        log.section.tell("iters", int(match[1]), place)
        log.section.clues[OLD] = None
    elif match := _TRAINABLE.search(text):
        for key, millions in zip(("trainable_parameters", "base_parameters"), match.groups(), strict=True):
            log.section.count(key, round(float(millions) * 1e6), place, (half_width(millions) or 0) * 1e6 or None)
    elif match := _FINAL.search(text):
        log.section.labels |= dict.fromkeys(_folder(match[2]))
        log.section.clues |= dict.fromkeys((FINAL_ADAPTER if match[1] else FINAL, *_saved_as(match[2])))
        log.section.finished = True
    elif match := _TEST.search(text):
        log.section.rows.append(
            MetricRow(
                "event", None, text=f"test loss {match[1]}, perplexity {match[2]}", place=place, segment=log.segment
            )
        )
    else:
        return _rare(log, text, place)
    return True


def _rare(log: LogReader, text: str, place: str) -> bool:
    if match := _LONGEST.search(text):
        longest = int(match[2])
        known = log.section.counts.get("longest_row_tokens")
        if known is None or known.value < longest:
            log.section.counts.pop("longest_row_tokens", None)
            log.section.count("longest_row_tokens", longest, place)
        log.section.tell("max_seq_length", int(match[1]), place)
        log.once(text)
        return True
    if match := _RESUMED.search(text):
        log.section.tell("resume_adapter_file", match[1].strip(), place)
        return True
    if match := _NODES.search(text):
        log.section.count("processes", int(match[1]), place)
        return True
    return False


def _saved_as(path: str) -> tuple[Clue, ...]:
    return (NPZ,) if path.endswith(".npz") else (SAFETENSORS,) if path.endswith(".safetensors") else ()


def _folder(path: str) -> list[str]:
    """The adapter folder's name; a path in a log is only ever a label."""
    parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    return parts[-2:-1]


def _stem(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2].rpartition(".")[0]
