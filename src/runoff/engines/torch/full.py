"""Blocks of a run's own, for full fine-tuning in torch: copies of the base's last blocks, whose weights are trained.

Owns: making them, and reading them as the lean pass wants them. Must not: know the base that they are put in, or train.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from runoff.engines.torch.lean import Blocks
from runoff.engines.torch.recognized import lean_block
from runoff.errors import EngineError
from runoff.plan import Slot

__all__ = ["OwnBlocks", "lean_with", "own_blocks", "own_tensor"]

OwnBlocks = Mapping[int, nn.Module]
"""By their place in the model."""


def own_blocks(blocks: nn.ModuleList, indices: tuple[int, ...]) -> OwnBlocks:
    """Copies of these blocks, without the adapters that may sit on them."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    made = {}
    for index in indices:
        adapted = [module for module in blocks[index].modules() if isinstance(module, BaseTunerLayer)]
        bare: dict[int, Any] = {id(module): copy.deepcopy(module.get_base_layer()) for module in adapted}
        made[index] = copy.deepcopy(blocks[index], bare)
    return made


def own_tensor(blocks: OwnBlocks, slot: Slot) -> nn.Parameter:
    """A trained parameter; its gradient adds up in float32, whatever its own type.

    Raises:
        EngineError: the library's block has no such parameter.
    """
    parts = dict(blocks[slot.block].named_parameters())
    found = parts.get(f"{slot.module}.{slot.tensor}".lstrip("."))
    if found is None or tuple(found.shape) != slot.shape:
        raise EngineError(
            f"transformers has no tensor {slot.name} of shape {slot.shape} in this model, so its blocks can't be "
            "trained whole. Set fine_tune_type: lora."
        )
    found.grad_dtype = torch.float32
    return found.requires_grad_()


def lean_with(lean: Blocks, own: OwnBlocks) -> Blocks:
    """The lean pass with a run's own blocks, as they are now, in place of the base's."""
    made = (lean_block(own[index]) if index in own else block for index, block in enumerate(lean.blocks))
    return replace(lean, blocks=tuple(made))
