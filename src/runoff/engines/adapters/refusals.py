"""What an adapter folder may hold that plain LoRA or DoRA on a base's linear layers can't: refused, by name.

Owns: the list, which the reader, the converter and docs/adapters.md share. Must not: read files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from runoff.errors import ModelError

__all__ = ["MLX_REFUSALS", "PEFT_REFUSALS", "TENSOR_REFUSALS", "Refusal", "refuse_config", "refuse_tensor"]

Config = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is refused, and the rest of the sentence: why, and what to do.

    found: the name of the setting (or of the tensor) if it is there, else nothing.
    """

    name: str
    found: Callable[[Any], str]
    because: str


_MERGE = "Merge it into the base with PEFT (merge_and_unload) and use the merged model"
_CHANGED_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")
_KNOWN_VARIANTS = frozenset({"use_dora", "use_rslora"})


def _given(name: str) -> Callable[[Config], str]:
    return lambda config: name if config.get(name) else ""


def _other_than(name: str, *fine: str) -> Callable[[Config], str]:
    return lambda config: name if config.get(name, fine[0]) not in fine else ""


def _starts_from_changed_base(config: Config) -> str:
    start = config.get("init_lora_weights", True)
    return "init_lora_weights" if isinstance(start, str) and start.lower().startswith(_CHANGED_BASE) else ""


def _other_variant(config: Config) -> str:
    switches = (name for name, value in config.items() if value and name.startswith("use_"))
    return next((name for name in switches if name not in _KNOWN_VARIANTS), "")


def _without_scale(config: Config) -> str:
    shape = config.get("lora_parameters")
    scale = shape.get("scale") if isinstance(shape, Mapping) else None
    return "" if isinstance(scale, int | float) else "lora_parameters"


PEFT_REFUSALS: tuple[Refusal, ...] = (
    Refusal(
        "peft_type",
        _other_than("peft_type", "LORA"),
        f"only LoRA and DoRA mean the same in both libraries. {_MERGE}",
    ),
    Refusal(
        "modules_to_save",
        _given("modules_to_save"),
        f"whole copies of these modules were trained, and an adapter of two matrices can't hold them. {_MERGE}",
    ),
    Refusal("lora_bias", _given("lora_bias"), f"mlx-lm's adapter layers have no bias of their own. {_MERGE}"),
    Refusal(
        "bias",
        _other_than("bias", "none"),
        f"the base's own biases were trained, and an adapter can't hold them. {_MERGE}",
    ),
    Refusal(
        "init_lora_weights",
        _starts_from_changed_base,
        "this start changed the base's weights, so the adapter does not fit the base as it is published. Save it with "
        "PEFT's path_initial_model_for_weight_conversion, which makes a plain LoRA of it",
    ),
    Refusal(
        "alora_invocation_tokens",
        _given("alora_invocation_tokens"),
        "an activated LoRA works only behind these tokens, and mlx-lm knows no such adapter. Train a plain LoRA",
    ),
    Refusal(
        "layer_replication",
        _given("layer_replication"),
        f"it gives the base blocks that its folder does not have. {_MERGE}",
    ),
    Refusal(
        "target_parameters",
        _given("target_parameters"),
        f"it adapts parameters that are not linear layers (experts of a mixture). {_MERGE}",
    ),
    Refusal(
        "trainable_token_indices",
        _given("trainable_token_indices"),
        f"rows of the embedding were trained, and an adapter of two matrices can't hold them. {_MERGE}",
    ),
    Refusal("fan_in_fan_out", _given("fan_in_fan_out"), "the base's weights are stored the other way round (Conv1D)"),
    Refusal("kasa_config", _given("kasa_config"), f"it is not the product of two matrices. {_MERGE}"),
    Refusal("monteclora_config", _given("monteclora_config"), f"it is not the product of two matrices. {_MERGE}"),
    Refusal("arrow_config", _given("arrow_config"), "it chooses among adapters as it goes. Use one of them"),
    Refusal("use_*", _other_variant, f"of the variants only use_dora and use_rslora can be carried over. {_MERGE}"),
)

MLX_REFUSALS: tuple[Refusal, ...] = (
    Refusal(
        "fine_tune_type",
        _other_than("fine_tune_type", "lora", "dora"),
        "only lora, dora and full are known. Use mlx_lm.fuse, and the fused folder as a model",
    ),
    Refusal(
        "lora_parameters",
        _without_scale,
        "they name no scale, and without it the adapter's strength is unknown (mlx-lm stops there too). Write in the "
        "scale that it was trained with",
    ),
)


def _matches(pattern: str) -> Callable[[str], str]:
    known = re.compile(pattern)
    return lambda name: name if known.search(name) else ""


TENSOR_REFUSALS: tuple[Refusal, ...] = (
    Refusal(
        "embed_tokens, lm_head",
        _matches(r"lora_embedding_|\b(embed_tokens|wte|lm_head)\b"),
        "an adapter on the embedding or the head: PEFT and mlx-lm give its two matrices each other's part. Train "
        "without it, or merge it into the base",
    ),
    Refusal(
        "switch_mlp, experts",
        _matches(r"\bswitch_mlp\b|\bexperts\b"),
        "experts of a mixture: the libraries stack them differently. Merge it into the base",
    ),
    Refusal(
        "bias",
        _matches(r"\bbias$"),
        "a trained bias, which an adapter of two matrices can't hold. Merge it into the base",
    ),
)


def refuse_config(refusals: Iterable[Refusal], config: Config, place: object) -> None:
    """Raise the sentence of the first refusal that holds.

    Raises:
        ModelError: one does.
    """
    for refusal in refusals:
        name = refusal.found(config)
        if name:
            value = str(config.get(name))
            shown = value if len(value) <= 60 else f"{value[:57]}..."
            raise ModelError(f"{place}: {name} ({shown}) can't be carried over: {refusal.because}.")


def refuse_tensor(name: str, place: object) -> None:
    """The same for a tensor's name.

    Raises:
        ModelError: it is one of those that are refused.
    """
    for refusal in TENSOR_REFUSALS:
        if refusal.found(name):
            raise ModelError(f"{place}: tensor {name} can't be carried over: {refusal.because}.")
