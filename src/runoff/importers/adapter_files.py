"""Adapter folders: the settings and the tensors that mlx-lm and PEFT leave behind.

mlx-lm writes all of its arguments into adapter_config.json before the training starts, keys that it never reads
included. PEFT writes the adapter's shape alone. Source: mlx_lm/lora.py, peft/tuners/lora/config.py. Must not: apply
rules, read weights, or follow a path that a file names.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from runoff.errors import ImportFailed, ModelError
from runoff.importers.facts import AdapterTensors, Clue, Facts, Importer, Reading, SourceFile, Tally, Told
from runoff.importers.lines import json_line, read_object
from runoff.importers.versions import parse_version, range_of
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
_OUTSIDE = re.compile(r"(?:^|\.)([^.]+)\.(lora_A|lora_a|lora_embedding_A)(?:\.default)?(?:\.weight)?$")
"""Of a layer that is in no block: the embeddings, the head."""
_DOWN = ("lora_A", "lora_a", "lora_embedding_A")
_FROZEN = ".base_layer.weight"
"""PEFT saves an adapted embedding's own weights too."""
_PEFT_WHOLE = re.compile(r"^base_model\.(?!.*(?:lora_|trainable_tokens)).*\.weight$")
_WHOLE = re.compile(r"(?:^|\.)layers\.(\d+)\.(.+)\.(?:weight|bias)$")
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
    """What the arguments tell of the version.

    mlx-lm writes all the arguments it has, so one that is missing is sure evidence. One that is there may come from the
    YAML, of which every key is copied: it counts at its default only, and only where the missing ones don't say no.
    """
    if "train_mode" in body:
        yield Clue("mlx-lm-lora", "train_mode in adapter_config.json")
        return
    missing: list[Clue] = []
    if len(_ALWAYS_WRITTEN.difference(body)) <= 1:
        missing = [*_missing(body)]
    yield Clue(_TOOL, "adapter_config.json is written from 0.6 on", since="0.6.0")
    yield from missing
    possible = range_of(missing)
    for clue in _present(body) if missing else ():
        if clue.since and parse_version(clue.since) < possible.before:
            yield clue


def _missing(body: Mapping[str, Any]) -> Iterator[Clue]:
    for key, since in _ARGUMENTS.items():
        if key not in body:
            yield Clue(_TOOL, f"no {key} in adapter_config.json", before=since)
    if "lora_layers" not in body:
        yield Clue(_TOOL, "no lora_layers in adapter_config.json", since="0.19.0")
    if "use_dora" not in body and "fine_tune_type" not in body:
        yield Clue(_TOOL, "no use_dora in adapter_config.json", before="0.13.1")
    if "report_to" in body and "wandb" not in body:
        yield Clue(_TOOL, "report_to without wandb in adapter_config.json", since="0.28.3")


def _present(body: Mapping[str, Any]) -> Iterator[Clue]:
    for key, since in _ARGUMENTS.items():
        if key in body and any(body[key] is default or body[key] == default for default in _DEFAULTS.get(key, ())):
            yield Clue(_TOOL, f"{key} at its default in adapter_config.json", since=since)
    config = body.get("optimizer_config")
    if isinstance(config, Mapping) and "muon" in config:
        yield Clue(_TOOL, "muon in optimizer_config", since="0.26.1")


_TOOL = "mlx-lm"
_ALWAYS_WRITTEN = frozenset(
    ("adapter_path", "batch_size", "iters", "learning_rate", "max_seq_length", "steps_per_eval")
)
_ARGUMENTS = {
    "lr_schedule": "0.6.0",
    "fine_tune_type": "0.19.0",
    "num_layers": "0.19.0",
    "mask_prompt": "0.21.5",
    "optimizer": "0.22.0",
    "optimizer_config": "0.22.0",
    "report_to": "0.26.4",
    "project_name": "0.26.4",
    "grad_accumulation_steps": "0.28.3",
    "clear_cache_threshold": "0.31.2",
    "trust_remote_code": "0.32.0",
}
"""Argument -> the first release that has it (checked by running the releases, from 0.3.0 to 0.32.2)."""
_DEFAULTS: dict[str, tuple[Any, ...]] = {
    "optimizer_config": ({"adam": {}, "adamw": {}}, {"adam": {}, "adamw": {}, "muon": {}, "sgd": {}, "adafactor": {}}),
    "report_to": (None,),
    "project_name": (None,),
    "grad_accumulation_steps": (1,),
    "clear_cache_threshold": (0,),
    "trust_remote_code": (False,),
}


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
    tensors = _whole(header, source) or _adapter(header, source.name)
    numbered = _NUMBERED.match(source.path.name)
    checkpoint = _CHECKPOINT.match(source.folder) or _CHECKPOINT.match(source.path.resolve().parent.parent.name)
    rows: tuple[MetricRow, ...] = ()
    if numbered:
        rows = (MetricRow("checkpoint", int(numbered[1]), text=source.path.name, place=source.name),)
    elif checkpoint:
        text = f"{checkpoint[0]}/{source.path.name}"
        rows = (MetricRow("checkpoint", None, optimizer_updates=int(checkpoint[1]), text=text, place=source.name),)
    return Reading((Facts("tensors", tensors=tensors, rows=rows),), Tally(len(header)))


def _whole(header: Mapping[str, TensorInfo], source: SourceFile) -> AdapterTensors | None:
    """Weights of a full fine-tuning: parameters of blocks and nothing else, in a file of mlx-lm's name for adapters.

    Without that name they may be a part of a base model.
    """
    found = [_WHOLE.search(name) for name in header]
    if not source.path.name.endswith("adapters.safetensors") or not header or None in found:
        return None
    blocks = sorted({int(match[1]) for match in found if match})
    layers = sorted({match[2] for match in found if match})
    parameters = sum(math.prod(tensor.shape) for tensor in header.values())
    return AdapterTensors(source.name, (), tuple(blocks), tuple(layers), parameters, "full")


def _adapter(header: Mapping[str, TensorInfo], place: str) -> AdapterTensors:
    ranks: set[int] = set()
    blocks: set[int] = set()
    layers: set[str] = set()
    dora = False
    for name, tensor in header.items():
        match = _TENSOR.search(name) or _OUTSIDE.search(name)
        if not match or not tensor.shape:
            continue
        *block, layer, part = match.groups()
        blocks.update(map(int, block))
        layers.add(layer)
        dora = dora or part in ("m", "lora_magnitude_vector")
        if part in _DOWN:
            ranks.add(tensor.shape[-1] if part == "lora_a" else tensor.shape[0])
    if not ranks or not blocks:
        raise ImportFailed(
            f"{place}: holds no LoRA tensors, so it is no adapter; its {len(header)} tensors were not read."
        )
    kind: Literal["lora", "dora"] = "dora" if dora else "lora"
    sizes = {name: math.prod(tensor.shape) for name, tensor in header.items() if not name.endswith(_FROZEN)}
    whole = sum(size for name, size in sizes.items() if _PEFT_WHOLE.search(name))
    trained = sum(sizes.values()) - whole
    return AdapterTensors(
        place, tuple(sorted(ranks)), tuple(sorted(blocks)), tuple(sorted(layers)), trained, kind, whole
    )


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
