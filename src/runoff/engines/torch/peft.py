"""PEFT's adapter layers in a transformers model.

Owns: putting them in, and finding their tensors. Must not: activate or compute them.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import nn

from runoff.errors import EngineError
from runoff.plan import LoraSpec, Slot

__all__ = ["adapter_tensor", "inject"]


def inject(model: Any, spec: LoraSpec, name: str) -> list[Any]:
    """Put PEFT's LoRA layers in place, all zero but DoRA's magnitudes; returns them.

    Raises:
        EngineError: the model has no such layers.
    """
    from peft import LoraConfig
    from peft.mapping import inject_adapter_in_model

    there = dict(model.model.named_modules())
    for layer in spec.layers:
        if f"layers.{layer.block}.{layer.name}" not in there:
            raise EngineError(
                f"transformers has no layer {layer.name} in block {layer.block} of this model. "
                "Name others under lora_parameters.keys."
            )
    config = LoraConfig(
        r=spec.rank,
        lora_alpha=spec.alpha,
        lora_dropout=spec.dropout,
        use_dora=spec.kind == "dora",
        target_modules=[f"model.layers.{layer.block}.{layer.name}" for layer in spec.layers],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        inject_adapter_in_model(config, model, adapter_name=name)
    modules: list[Any] = [model.model.layers[layer.block].get_submodule(layer.name) for layer in spec.layers]
    if any(name not in module.lora_A for module in modules):
        raise EngineError("PEFT put no adapter on some layers; this is a bug of Runoff's, please report it.")
    for module in modules:
        module.eval()  # PEFT leaves its dropout on, and the trunk's self-test runs before anything is trained
        for part in (module.lora_A, module.lora_B):
            part[name].weight.data = torch.zeros_like(part[name].weight, dtype=torch.float32)
        if spec.kind == "dora":  # PEFT leaves these in the base's own type
            magnitude = module.lora_magnitude_vector[name].weight
            magnitude.data = magnitude.data.float()
    return modules


def adapter_tensor(blocks: nn.ModuleList, slot: Slot, name: str) -> nn.Parameter:
    """A tensor of the adapter of this name."""
    module: Any = blocks[slot.block].get_submodule(slot.module)
    if slot.part == "magnitude":
        found = module.lora_magnitude_vector[name].weight
    else:
        found = {"lora_a": module.lora_A, "lora_b": module.lora_B}[slot.part][name].weight
    parameter: nn.Parameter = found
    return parameter
