"""Adapter folders: the settings and the tensors that mlx-lm and PEFT leave behind.

mlx-lm writes all of its arguments into adapter_config.json before the training starts, keys that it never reads
included. PEFT writes the adapter's shape alone. Source: mlx_lm/lora.py, peft/tuners/lora/config.py. Must not: apply
rules, read weights, or follow a path that a file names.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from runoff.errors import ImportFailed, ModelError
from runoff.importers.facts import AdapterTensors, Clue, Facts, Importer, Reading, SourceFile, Tally, Told
from runoff.importers.lines import json_line, read_object
from runoff.plan import TensorInfo, read_header
from runoff.runs import MetricRow

__all__ = ["MLX_CONFIG", "PEFT_CONFIG", "TENSORS", "opened"]

_OPENED = ("lora_parameters", "lr_schedule")
_NUMBERED = re.compile(r"^(\d+)_adapters\.safetensors$")
_CHECKPOINT = re.compile(r"checkpoint-(\d+)$")
_TENSOR = re.compile(
    r"(?:^|\.)(?:layers|h|blocks)\.(\d+)\.(.+?)\."
    r"(lora_A|lora_B|lora_a|lora_b|lora_magnitude_vector|m)(?:\.default)?(?:\.weight)?$"
)
_GENERIC_FOLDERS = ("", "final", "best", "last", "adapter", "output", "outputs", "models")


def opened(body: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Dotted keys; lora_parameters and lr_schedule are opened, other mappings stay whole."""
    for key, value in body.items():
        if key in _OPENED and isinstance(value, Mapping):
            yield from ((f"{key}.{inner}", deep) for inner, deep in value.items())
        else:
            yield str(key), value


def _names(*paths: object) -> tuple[str, ...]:
    """Names that paths inside a file give: the last part, as a label only."""
    parts = (str(path).replace("\\", "/").rstrip("/").rpartition("/")[2] for path in paths if isinstance(path, str))
    return tuple(part for part in parts if part not in (*_GENERIC_FOLDERS, "."))


def _read_mlx(source: SourceFile) -> Reading:
    body, text = read_object(source)
    told = tuple(Told(key, value, f"{source.name}:{json_line(text, key)}") for key, value in opened(body))
    config = body.get("config")
    stem = _names(config)[0].rpartition(".")[0] if _names(config) else ""
    labels = (*_names(body.get("adapter_path")), stem)
    facts = Facts("record", tuple(filter(None, labels)), told, clues=tuple(_mlx_clues(body)))
    return Reading((facts,), Tally(len(told)))


def _mlx_clues(body: Mapping[str, Any]) -> Iterator[Clue]:
    """Arguments that mlx-lm always writes from some version on, or never again (checked against its git history)."""
    tool = "mlx-lm"
    yield Clue(tool, "adapter_config.json is written from 0.6 on", since="0.6.0")
    if set(body) <= {"lora_parameters", "num_layers", "fine_tune_type", "model"}:
        return
    if "num_layers" in body:
        yield Clue(tool, "num_layers in adapter_config.json", since="0.19.0")
    elif "lora_layers" in body:
        yield Clue(tool, "lora_layers without num_layers in adapter_config.json", before="0.19.0")
    for key, since in (("optimizer_config", "0.22.0"), ("report_to", "0.26.4"), ("project_name", "0.26.4")):
        if body.get(key, 0) in (None, *_DEFAULT_CONFIGS) and key in body:
            yield Clue(tool, f"{key} at its default in adapter_config.json", since=since)
        elif key not in body:
            yield Clue(tool, f"no {key} in adapter_config.json", before=since)
    if "report_to" in body and "wandb" not in body:
        yield Clue(tool, "report_to without wandb in adapter_config.json", since="0.28.3")
    if isinstance(body.get("optimizer_config"), Mapping) and "muon" in body["optimizer_config"]:
        yield Clue(tool, "muon in optimizer_config", since="0.26.1")
    for key, since in (
        ("grad_accumulation_steps", "0.28.3"),
        ("clear_cache_threshold", "0.31.2"),
        ("trust_remote_code", "0.32.0"),
    ):
        if key not in body:
            yield Clue(tool, f"no {key} in adapter_config.json", before=since)
        elif body[key] in (0, 1, False):
            yield Clue(tool, f"{key} at its default in adapter_config.json", since=since)


_DEFAULT_CONFIGS: tuple[dict[str, Any], ...] = (
    {"adam": {}, "adamw": {}},
    {"adam": {}, "adamw": {}, "sgd": {}, "adafactor": {}},
    {"adam": {}, "adamw": {}, "muon": {}, "sgd": {}, "adafactor": {}},
)


def _read_peft(source: SourceFile) -> Reading:
    body, text = read_object(source)
    told = tuple(Told(key, value, f"{source.name}:{json_line(text, key)}") for key, value in body.items())
    clues = [Clue("peft", "peft_type in adapter_config.json")]
    version = body.get("peft_version")
    if isinstance(version, str):
        clues.append(Clue("peft", f"adapter_config.json names PEFT {version[:40]}"))
    return Reading((Facts("record", (), told, clues=tuple(clues)),), Tally(len(told)))


def _read_tensors(source: SourceFile) -> Reading:
    try:
        header = read_header(source.path)
    except ModelError as error:
        raise ImportFailed(str(error).replace(str(source.path), source.name, 1)) from None
    tensors = _adapter(header, source.name)
    numbered = _NUMBERED.match(source.path.name)
    checkpoint = _CHECKPOINT.match(source.folder)
    rows: tuple[MetricRow, ...] = ()
    if numbered:
        rows = (MetricRow("checkpoint", int(numbered[1]), text=source.path.name, place=source.name),)
    elif checkpoint:
        text = f"{source.folder}/{source.path.name}"
        rows = (MetricRow("checkpoint", None, optimizer_updates=int(checkpoint[1]), text=text, place=source.name),)
    return Reading((Facts("tensors", tensors=tensors, rows=rows),), Tally(len(header)))


def _adapter(header: Mapping[str, TensorInfo], place: str) -> AdapterTensors:
    ranks, blocks, layers, parameters, dora = set(), set(), set(), 0, False
    for name, tensor in header.items():
        match = _TENSOR.search(name)
        parameters += math.prod(tensor.shape)
        if not match or not tensor.shape:
            continue
        blocks.add(int(match[1]))
        layers.add(match[2])
        dora = dora or match[3] in ("m", "lora_magnitude_vector")
        if match[3] in ("lora_A", "lora_a"):
            ranks.add(tensor.shape[0] if match[3] == "lora_A" else tensor.shape[-1])
    if not ranks:
        raise ImportFailed(
            f"{place}: holds no LoRA tensors, so it is no adapter; its {len(header)} tensors were not read."
        )
    return AdapterTensors(place, tuple(sorted(ranks)), tuple(sorted(blocks)), tuple(sorted(layers)), parameters, dora)


def _is_peft(source: SourceFile) -> bool:
    head = source.text_head
    return source.is_object and ('"peft_type"' in head or ('"r"' in head and '"lora_alpha"' in head))


def _is_mlx(source: SourceFile) -> bool:
    head = source.text_head
    if source.path.name == "adapter_config.json":
        return not _is_peft(source)
    return source.is_object and ('"lora_parameters"' in head and '"adapter_path"' in head)


def _is_safetensors(source: SourceFile) -> bool:
    return source.path.suffix == ".safetensors" or (source.head[8:10] == b'{"' and b'"data_offsets"' in source.head)


PEFT_CONFIG = Importer("PEFT adapter_config.json", _is_peft, _read_peft)
MLX_CONFIG = Importer("mlx-lm adapter_config.json", _is_mlx, _read_mlx)
TENSORS = Importer("adapter tensors", _is_safetensors, _read_tensors)
