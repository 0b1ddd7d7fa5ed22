"""Which models the lean pass may compute: recognized by their parts, and believed only after a self-test.

Owns: reading a transformers model's blocks, and the comparison with its own code in float32. A model that is not
recognized, or whose own code gives something else, is computed by that code. Must not: compute batches.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from runoff.engines.torch.layers import Adapted, Linears, Norm, Patch
from runoff.engines.torch.lean import Block, Blocks
from runoff.engines.torch.views import only

__all__ = ["BOUND", "Unrecognized", "lean_block", "recognize"]

BOUND = 1e-4
"""How far the lean pass may be from the model's own code in float32: norm of the difference over the norm."""

_LENGTHS = (150, 1, 9)
"""Rows of the self-test: more than one block of queries, a single token, a few."""

_BLOCK = {"self_attn", "mlp", "input_layernorm", "post_attention_layernorm"}
_ATTENTION = {"q_proj", "k_proj", "v_proj", "o_proj"}
_UNIT = {"gate_proj", "up_proj", "down_proj"}


class Unrecognized(Exception):
    """Why a model is left to its own code, as half a sentence."""


def recognize(model: Any) -> Blocks:
    """The model's blocks for the lean pass. Stacks weights that read the same input; the model's become views of it.

    Raises:
        Unrecognized: it has other parts, or the self-test disagrees.
    """
    inner = model.model
    if any(parameter.device.type != "cpu" for parameter in model.parameters()):
        raise Unrecognized("that is for CPUs")
    turns = _turns(inner)
    tested: set[Any] = set()
    with torch.no_grad():
        for index, module in enumerate(inner.layers):
            _check_parts(module)
            _check_reach(inner.config, module, index)
            if (kind := _kind(module)) not in tested:
                _self_test(inner, index, turns)
                tested.add(kind)
        _copy_from_the_file(model)
        return Blocks(tuple(lean_block(module) for module in inner.layers), turns)


def _copy_from_the_file(model: Any) -> None:
    """Weights may be pages of the mapped file. Stacked ones are copies; with the rest copied too, the file can go."""
    stacked = {id(layer.weight) for module in model.model.layers for layer in _linears(module)}
    for parameter in model.parameters():
        if id(parameter) not in stacked:
            parameter.data = parameter.data.clone()


def _check_parts(module: Any) -> None:
    for owner, required, optional in (
        (module, _BLOCK, set()),
        (getattr(module, "self_attn", None), _ATTENTION, {"q_norm", "k_norm"}),
        (getattr(module, "mlp", None), _UNIT, {"act_fn"}),
    ):
        parts = {name for name, _ in owner.named_children()} if owner is not None else set()
        if not required <= parts <= required | optional:
            raise Unrecognized("its blocks have other parts than a Llama's")
    if any(type(layer) is not nn.Linear or not layer.weight.is_floating_point() for layer in _linears(module)):
        raise Unrecognized("its linear layers are not plain ones")
    probe = torch.linspace(-4, 4, 9)
    if not torch.allclose(module.mlp.act_fn(probe), nn.functional.silu(probe)):
        raise Unrecognized("its gated units use another function than SiLU")


def _check_reach(config: Any, module: Any, index: int) -> None:
    """Every token must see all before it. A window wider than its rows would escape the self-test: ask the config."""
    kinds = getattr(config, "layer_types", None)
    window = getattr(module.self_attn, "sliding_window", None)
    if kinds is None:
        window = window or getattr(config, "sliding_window", None)
    if window or (kinds is not None and kinds[index] != "full_attention"):
        raise Unrecognized("its attention is limited to a window")


def _linears(module: Any) -> list[Any]:
    attention, unit = module.self_attn, module.mlp
    inner = [attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj]
    return [*inner, unit.gate_proj, unit.up_proj, unit.down_proj]


def _kind(module: Any) -> tuple[Any, ...]:
    """Blocks that agree in all of this compute the same function of their weights: one self-test stands for them."""
    plain = (int, float, bool, str, type(None))
    facts = [
        (name, key, value)
        for name, part in (("", module), ("attention", module.self_attn), ("mlp", module.mlp))
        for key, value in sorted(vars(part).items())
        if isinstance(value, plain) and key not in ("layer_idx", "training")
    ]
    shapes = [(name, tuple(parameter.shape)) for name, parameter in module.named_parameters()]
    return (type(module), *facts, *shapes)


def _turns(inner: Any) -> Callable[[int], tuple[torch.Tensor, torch.Tensor]]:
    """The model's own rotations, kept for the longest row so far."""
    rotary = getattr(inner, "rotary_emb", None)
    if rotary is None or getattr(rotary, "rope_type", "default") in ("dynamic", "longrope"):
        raise Unrecognized("its positions are not rotations that depend on the position alone")
    kept = torch.zeros(2, 0, 0)

    def turns(positions: int) -> tuple[torch.Tensor, torch.Tensor]:
        nonlocal kept
        if positions > kept.shape[1]:
            whole = -(-positions // 256) * 256
            try:
                kept = torch.cat(rotary(torch.zeros(1), torch.arange(whole)[None])).float()
            except (TypeError, AttributeError):
                raise Unrecognized("its rotations take more than positions") from None
        return kept[0, :positions], kept[1, :positions]

    return turns


def lean_block(module: Any) -> Block:
    """A block for the lean pass. Stacks its weights; the module's become views of the stacks."""
    attention, unit = module.self_attn, module.mlp
    width = attention.head_dim
    heads, kv_heads = attention.q_proj.out_features // width, attention.k_proj.out_features // width
    heads_norm = None
    if hasattr(attention, "q_norm"):
        q, k = _norm(attention.q_norm), _norm(attention.k_norm)
        if q.weight.shape != (width,) or k.weight.shape != (width,) or q.epsilon != k.epsilon:
            raise Unrecognized("it norms queries and keys otherwise than head by head")
        heads_norm = Norm(torch.cat([q.weight.expand(heads, width), k.weight.expand(kv_heads, width)]), q.epsilon)
    use_rope = getattr(attention, "use_rope", True)
    return Block(
        heads=heads,
        kv_heads=kv_heads,
        width=width,
        scaling=float(attention.scaling),
        turned=bool(use_rope),
        before=_norm(module.input_layernorm),
        inner=_stack(attention, "self_attn", "q_proj", "k_proj", "v_proj"),
        heads_norm=heads_norm,
        out=_stack(attention, "self_attn", "o_proj"),
        between=_norm(module.post_attention_layernorm),
        gate_up=_stack(unit, "mlp", "gate_proj", "up_proj"),
        down=_stack(unit, "mlp", "down_proj"),
    )


def _stack(owner: Any, prefix: str, *names: str) -> Linears:
    return Linears.of([f"{prefix}.{name}" for name in names], [getattr(owner, name) for name in names])


def _norm(module: Any) -> Norm:
    epsilon = getattr(module, "variance_epsilon", getattr(module, "eps", None))
    if not isinstance(epsilon, float) or [name for name, _ in module.named_parameters()] != ["weight"]:
        raise Unrecognized("its norms have other parts than a Llama's")
    return Norm(module.weight.data, epsilon)


def _self_test(inner: Any, index: int, turns: Callable[[int], tuple[torch.Tensor, torch.Tensor]]) -> None:
    """One block in float32 on random states, with an adapter on every layer, against the model's own code.

    The model's own code computes it with the adapter merged into the weights: the gradient of a merged weight gives
    those of A and B by the chain rule, so that nothing of the lean pass is used on that side.
    """
    random = torch.Generator().manual_seed(0)
    theirs = copy.deepcopy(inner.layers[index]).float()
    ours = lean_block(copy.deepcopy(theirs))
    patches = {part: _random_patch(linears, random) for part, linears in ours.parts.items()}
    layers = {
        name: layer for patch in patches.values() for name, layer in zip(patch.linears.names, patch.layers, strict=True)
    }
    for name, layer in layers.items():
        theirs.get_submodule(name).weight.data += 0.5 * layer.lora_b @ layer.lora_a
    x = torch.randn(sum(_LENGTHS), ours.inner.weight.shape[1], generator=random)
    of_y = torch.randn(x.shape, generator=random)
    try:
        expected, expected_gradients = _their_pass(inner, index, theirs, x, of_y, layers)
    except Exception as error:  # whatever a foreign architecture trips over
        raise Unrecognized(f"block {index} can't be run alone ({type(error).__name__})") from error
    blocks = Blocks((ours,), turns)
    y, kept = blocks.forward_kept(x, blocks.rows(_LENGTHS), 0, {0: patches}, recompute=False)
    of_x = ours.backward(kept.blocks[0], kept.rows, patches, of_y, onward=True)
    gradients = [of_x, *(part.grad for layer in layers.values() for part in (layer.lora_a, layer.lora_b))]
    for found, wanted in zip([y, *gradients], [expected, *expected_gradients], strict=True):
        distance = torch.linalg.vector_norm(found - wanted) / torch.linalg.vector_norm(wanted)
        if not distance <= BOUND:
            raise Unrecognized(f"block {index} of the model's own code gives something else ({distance:.1e} off)")


def _random_patch(linears: Linears, random: torch.Generator) -> Patch:
    layers = []
    for outs in linears.outs:
        a = torch.randn(4, linears.weight.shape[1], generator=random) / linears.weight.shape[1] ** 0.5
        b = 0.1 * torch.randn(outs.stop - outs.start, 4, generator=random)
        layers.append(Adapted(outs, nn.Parameter(a), nn.Parameter(b)))
    return Patch(linears, tuple(layers), 0.5)


def _their_pass(
    inner: Any, index: int, block: Any, x: torch.Tensor, of_y: torch.Tensor, layers: dict[str, Adapted]
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The block's output, and the gradients of its input and of each layer's A and B, row by row."""
    weights = [block.get_submodule(name).weight for name in layers]
    x = x.clone().requires_grad_()
    for weight in weights:
        weight.requires_grad_()
    with torch.enable_grad():
        alone = only(inner, index, block)
        rows = [alone(inputs_embeds=row[None], use_cache=False).last_hidden_state[0] for row in x.split(_LENGTHS)]
        y = torch.cat(rows)
        of_x, *of_weights = torch.autograd.grad(y, [x, *weights], of_y)
    found = [of_x]
    for layer, of_weight in zip(layers.values(), of_weights, strict=True):
        found += [0.5 * layer.lora_b.T @ of_weight, 0.5 * of_weight @ layer.lora_a.T]
    return y, found
