"""The MLX engine: mlx_lm's model code, LoRA and DoRA layers and quantized bases, our loop.

Owns: loading a base, putting adapters in and out of it, forward and backward. Must not: know runs, settings or files of
adapters. The trunk (the blocks below the lowest adapted one) never changes, gets no gradient, and can be kept.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import mlx.core as mx
import numpy as np
import numpy.typing as npt
from mlx import nn
from mlx.utils import tree_flatten, tree_unflatten
from mlx_lm.utils import load_config, load_model, maybe_set_recommended_wired_limit

from runoff.data import Batch, Encoded, Forked, make_batch
from runoff.engines.base import EngineFacts, Vector
from runoff.engines.forked import RowScore, forks_as_rows
from runoff.engines.mlx.decoder import MlxDecoder
from runoff.engines.mlx.head import log_chances, nats_and_gradient, place_among_all, token_nats
from runoff.engines.mlx.lanes import Lanes, fast_blas
from runoff.engines.mlx.memory import Memory
from runoff.engines.mlx.trained import key_of, replaced
from runoff.engines.mlx.views import Blocks, own_head, resumed, run_blocks, seeded, states_below
from runoff.engines.quantized import mlx_bits
from runoff.engines.seeds import Seeds
from runoff.engines.trunk import State, TrunkStates, open_states
from runoff.errors import ModelError
from runoff.plan import AdapterSpec, LoraSpec, Slot, layout

__all__ = ["MlxBase", "MlxEngine", "open_mlx"]

WORTH_SHARING = 64
"""Positions that must be spared, or a second and smaller pass through the blocks costs more than it saves."""

Arrays = dict[str, Any]
"""mx.array by its path in an adapter's tree of parameters."""

_SLOW_BLAS = (
    "MLX's Linux wheel brings the reference BLAS, some ten to forty times slower in float32 than OpenBLAS. {} OpenBLAS "
    "(apt install libopenblas0-pthread) in its place: LD_PRELOAD=libopenblas.so.0 runoff ..."
)


def open_mlx(folder: Path, *, dtype: str) -> MlxBase:
    """Load a model folder on MLX's default device.

    Raises:
        ModelError: mlx_lm can't load it, or its blocks are not where this engine looks for them.
    """
    maybe_set_recommended_wired_limit()
    try:
        model, config = load_model(folder, lazy=True, model_config=_rope(load_config(folder)))
    except (OSError, ValueError, KeyError, TypeError, ImportError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(f"{folder}: mlx_lm can't load this model ({reason}).") from None
    if not hasattr(getattr(model, "model", None), "layers"):
        raise ModelError(f"{folder}: the MLX engine can't train {config['model_type']} models yet. Set engine: torch.")
    chosen = _dtype(dtype, model)
    model.set_dtype(chosen)
    model.freeze()
    model.eval()
    mx.eval(model.parameters())
    return MlxBase(model, chosen, torch_can=mlx_bits(folder) is None)


def _rope(config: dict[str, Any]) -> dict[str, Any]:
    """The rotary settings under the names that mlx_lm reads.

    transformers 5 writes `rope_parameters`; most of mlx_lm 0.32's models don't read that, and take a default base.
    """
    given = config.get("rope_parameters") or {}
    whole = given.get("full_attention", given)
    named = {
        "rope_theta": whole.get("rope_theta"),
        "rope_local_base_freq": given.get("sliding_attention", {}).get("rope_theta"),
        "partial_rotary_factor": whole.get("partial_rotary_factor"),
        "rope_scaling": None if whole.get("rope_type", "default") == "default" else whole,
    }
    return {name: value for name, value in named.items() if value is not None and config.get(name) is None}


def _dtype(wanted: str, model: Any) -> mx.Dtype:
    """`auto`: float32 on a CPU, where MLX has no fast 16-bit products; on a GPU the file's own 16-bit type."""
    if wanted != "auto":
        return {"float32": mx.float32, "bfloat16": mx.bfloat16}[wanted]
    if mx.default_device().type == mx.DeviceType.cpu:
        return mx.float32
    stored = {array.dtype for _, array in tree_flatten(model.parameters())}
    return mx.float16 if mx.float16 in stored else mx.bfloat16


def _notes(*, torch_can: bool) -> tuple[str, ...]:
    """torch_can: compute with this base."""
    on_cpu = mx.default_device().type == mx.DeviceType.cpu
    slow = on_cpu and platform.system() == "Linux" and fast_blas() is None
    return (_SLOW_BLAS.format("Set engine: torch, or put" if torch_can else "Put"),) if slow else ()


class Part(NamedTuple):
    """Rows that are computed together. states: (tokens, d) below the trunk's boundary of each, if it serves them."""

    batch: Batch
    states: list[mx.array] | None


class MlxBase:
    """An mlx_lm model; implements `runoff.engines.base.Base`."""

    def __init__(self, model: Any, dtype: mx.Dtype, *, torch_can: bool = True) -> None:
        self.model = model
        self._torch_can = torch_can
        self.inner = model.model
        self.head = own_head(model)
        self.lanes = Lanes.on_this_device()
        self.states: TrunkStates | None = None
        self._dtype = dtype
        self._boundary = 0
        self._active: MlxEngine | None = None

    @property
    def facts(self) -> EngineFacts:
        """What computes."""
        return EngineFacts(
            "mlx",
            mx.default_device().type.name,
            str(self._dtype).removeprefix("mlx.core."),
            {name: version(name) for name in ("mlx", "mlx-lm")},
            _notes(torch_can=self._torch_can),
        )

    @property
    def blocks(self) -> Blocks:
        """The model's blocks."""
        return list(self.inner.layers)

    def attach(self, spec: AdapterSpec | None, *, seed: int = 0, checkpointing: bool = False) -> MlxEngine:
        """An engine with an adapter of this shape, or the bare base."""
        self.activate(None)
        return MlxEngine(self, spec, seed, checkpointing)

    def activate(self, engine: MlxEngine | None) -> None:
        """Put one adapter's layers in the model (for None the base's own), in place of those that are there."""
        if self._active is engine:
            return
        if self._active is not None:
            self._put(self._active.originals)
        if engine is not None:
            self._put(engine.adapted)
        self._active = engine

    def _put(self, modules: dict[str, Any]) -> None:
        self.inner.update_modules(tree_unflatten(list(modules.items())))

    def share_trunk(self, lowest_block: int, *, budget_bytes: int, folder: Path | None = None) -> str:
        """Split the model below `lowest_block`, if the split gives what the whole gives."""
        if lowest_block <= 0:
            return "Trunk cache off: the first block is adapted, so nothing below it stays the same."
        if self.states is None or lowest_block != self._boundary:
            if not self._splits_at(lowest_block):
                return "Trunk cache off: this architecture's upper blocks take more than the states below (self-test)."
            self._boundary = lowest_block
            self.states = open_states(budget_bytes, folder)
        return f"Trunk cache on: the {lowest_block} lowest of {len(self.blocks)} blocks are computed once for each row."

    def _splits_at(self, boundary: int) -> bool:
        ids = mx.arange(16)[None] % self.model.args.vocab_size
        whole = run_blocks(self.inner, self.blocks, ids)
        try:
            states = states_below(self.inner, boundary, ids)
            parts = run_blocks(self.inner, resumed(self.blocks, boundary, states), ids)
        except Exception:  # whatever a foreign architecture trips over when its lower blocks stand still
            return False
        return bool(mx.array_equal(whole, parts))

    def peak_memory_bytes(self) -> int | None:
        """Peak of the memory that MLX held."""
        return int(mx.get_peak_memory())

    def parts(self, groups: Sequence[Sequence[Encoded]], lowest_block: int) -> list[Part]:
        """Batches of these rows, with their states below the boundary if the trunk ends below the adapter."""
        rows = [row for group in groups for row in group]
        served = 0 < self._boundary <= lowest_block
        states = iter(self.row_states(rows) if served else [])
        return [Part(make_batch(group), [next(states) for _ in group] if served else None) for group in groups]

    def hidden(self, part: Part, blocks: Blocks, shared: int) -> mx.array:
        """Final hidden states (positions, d) of these blocks.

        Those of the first `shared` positions, alike in all rows, come first, once; then the rest of each row, padded.
        """
        ids = mx.array(part.batch.ids)
        states = None if part.states is None else _padded(part.states)

        def run(rows: slice, places: slice, memories: list[Memory] | None) -> mx.array:
            own = blocks if states is None else resumed(blocks, self._boundary, states[rows, places])
            return run_blocks(self.inner, own, ids[rows, places], memories).flatten(0, 1)

        if not shared:
            return run(slice(None), slice(None), None)
        memories = [Memory() for _ in blocks]
        first = run(slice(1), slice(shared), memories)
        rest = run(slice(None), slice(shared, None), [Memory(one) for one in memories])
        return mx.concatenate([first, rest])

    @cached_property
    def remembers(self) -> bool:
        """Whether the architecture's own code goes on from a memory as from the positions themselves.

        What differs must be little against what those positions do at all: last bits only.
        """
        ids, half = mx.arange(16)[None] % self.model.args.vocab_size, 8
        memories = [Memory() for _ in self.blocks]
        try:
            whole = run_blocks(self.inner, self.blocks, ids)[:, half:]
            run_blocks(self.inner, self.blocks, ids[:, :half], memories)
            onward = run_blocks(self.inner, self.blocks, ids[:, half:], [Memory(one) for one in memories])
            alone = run_blocks(self.inner, self.blocks, ids[:, half:])
        except Exception:  # whatever a foreign architecture trips over when it is given another cache than its own
            return False
        wrong, effect = (mx.linalg.norm((states - whole).astype(mx.float32)) for states in (onward, alone))
        return bool(wrong < 0.1 * effect)

    def row_states(self, rows: Sequence[Encoded]) -> list[mx.array]:
        """States below the boundary, each row's by itself: kept ones are then the same as fresh ones to the bit."""
        kept = [self.states.get(row.key) if self.states else None for row in rows]
        fresh = iter(self._fresh_states([row for row, states in zip(rows, kept, strict=True) if states is None]))
        return [next(fresh) if states is None else _from_array(states) for states in kept]

    def _fresh_states(self, rows: Sequence[Encoded]) -> Iterator[mx.array]:
        """On one thread each, whatever the number of rows, for other threads may give other last bits."""
        side_by_side = max(len(self.lanes.streams), 1)
        for start in range(0, len(rows), side_by_side):
            some = rows[start : start + side_by_side]
            found = self.lanes.each(some, self._states_below, threads=1)
            mx.eval(found)
            for row, states in zip(some, found, strict=True):
                if self.states is not None:
                    self.states.put(row.key, _to_array(states))
                yield states

    def _states_below(self, row: Encoded) -> mx.array:
        return states_below(self.inner, self._boundary, mx.array(row.ids)[None])[0]


class MlxEngine:
    """One adapter on an MlxBase; implements `runoff.engines.base.Engine`."""

    def __init__(self, base: MlxBase, spec: AdapterSpec | None, seed: int, checkpointing: bool) -> None:
        self.base = base
        self.spec = spec
        self._slots = layout(spec) if spec else ()
        self.originals, self.adapted = replaced(base.inner, spec)
        self._lowest_block = spec.lowest_block if spec else len(base.blocks)
        self._checkpointing = checkpointing
        self._drops_out = isinstance(spec, LoraSpec) and spec.dropout > 0
        self._seeds = Seeds(seed)
        self._gradient: Arrays = {}
        # What nn.value_and_grad differentiates by: the adapter's layers (or blocks), whose frozen parts don't count.
        self._adapter = nn.Module()
        self._adapter.layers = list(self.adapted.values())
        order = {name: index for index, name in enumerate(self.adapted)}
        self._keys = [key_of(slot, order) for slot in self._slots]
        held = dict(tree_flatten(self._adapter.trainable_parameters()))
        self._types = {key: held[key].dtype for key in self._keys}

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The adapter's tensors in the flat vector's order."""
        return self._slots

    def parameters(self) -> Vector:
        """The adapter as a flat vector."""
        return self._flat(dict(tree_flatten(self._adapter.trainable_parameters())))

    def set_parameters(self, parameters: Vector) -> None:
        """Load the adapter."""
        arrays = [(key, array.astype(self._types[key])) for key, array in self._arrays(parameters).items()]
        self._adapter.update(tree_unflatten(arrays))

    def accumulate(self, batch: Batch, weight: float = 1.0) -> float:
        """Forward and backward."""
        self.base.activate(self)
        self._adapter.train()
        blocks = self._seeded_blocks()

        def of_part(part: Part) -> tuple[mx.array, mx.array]:
            hidden, targets = self._at_targets(part, blocks)
            nats, gradient = nats_and_gradient(hidden, self.base.head, targets)
            return (hidden * gradient).astype(mx.float32).sum(), nats

        # Dropout is each row's own, and what is recomputed on the way back has left its stream.
        groups = [batch.examples] if self._drops_out or self._checkpointing else self.base.lanes.parts(batch.examples)
        parts = self.base.parts(groups, self._lowest_block)

        def loss() -> tuple[mx.array, mx.array]:
            sums, nats = zip(*self.base.lanes.each(parts, of_part), strict=True)
            return weight * mx.stack(list(sums)).sum(), mx.concatenate(list(nats))

        (_, nats), gradient = nn.value_and_grad(self._adapter, loss)()
        self._add(dict(tree_flatten(gradient)))
        mx.eval(nats, self._gradient)
        mx.clear_cache()  # widths differ from batch to batch, so that few buffers fit again
        return float(_float64(nats).sum())

    def take_gradient(self) -> Vector:
        """Collect and clear the gradients."""
        taken, self._gradient = self._gradient or self._arrays(np.zeros(_size(self._slots), np.float32)), {}
        return self._flat(taken)

    def add_gradient(self, gradient: Vector) -> None:
        """Put a gradient back."""
        self._add(self._arrays(gradient))

    def _add(self, gradient: Arrays) -> None:
        """In float32, whatever type the weights have."""
        before, found = self._gradient, {key: array.astype(mx.float32) for key, array in gradient.items()}
        self._gradient = {key: before[key] + array if before else array for key, array in found.items()}

    def score(self, batch: Batch) -> list[npt.NDArray[np.float64]]:
        """Nats of each row's target tokens."""
        nats = _float64(self._predicting(batch, lambda states, targets: token_nats(states, self.base.head, targets)))
        mx.clear_cache()
        return list(np.split(nats, np.cumsum(batch.targets.sum(axis=1))[:-1]))

    def score_alone(self, forked: Forked) -> RowScore:
        """Nats of a row's target tokens and of its forks', which are rows by themselves here."""
        places: list[Any] = []

        def look(states: mx.array, targets: mx.array) -> mx.array:
            if len(targets):
                places.append(place_among_all(states[-1:], self.base.head, targets[-1:]))
            return token_nats(states, self.base.head, targets)

        nats = _float64(self._predicting(make_batch([forked.row]), look))
        return RowScore(nats, int(places[0].item()) if places else None, forks_as_rows(self.score, forked))

    def log_chances(self, batch: Batch) -> list[npt.NDArray[np.float32]]:
        """Logs of all tokens' chances at each row's targets."""
        found = self._predicting(batch, lambda states, _: log_chances(states, self.base.head))
        chances: npt.NDArray[np.float32] = np.array(found)
        mx.clear_cache()
        return list(np.split(chances, np.cumsum(batch.targets.sum(axis=1))[:-1]))

    def decoder(self, prompts: Sequence[npt.NDArray[np.int32]]) -> MlxDecoder:
        """Start to continue these prompts."""
        self.base.activate(self)
        self._adapter.eval()
        self.base.lanes.together()
        return MlxDecoder(self.base.model, prompts)

    def random_state(self) -> bytes:
        """The generator of the dropout's seeds."""
        return self._seeds.state()

    def set_random_state(self, state: bytes) -> None:
        """Set the generator of the dropout's seeds."""
        self._seeds.restore(state)

    def _seeded_blocks(self) -> Blocks:
        """The model's blocks; from the lowest adapted one on each draws its dropout from a seed of its own."""
        blocks = self.base.blocks
        for index in range(self._lowest_block, len(blocks)):
            blocks[index] = seeded(blocks[index], self._seeds.draw(), recompute=self._checkpointing)
        return blocks

    def _at_targets(self, part: Part, blocks: Blocks) -> tuple[mx.array, mx.array]:
        """Hidden states that predict a target, and the targets: (n, d) and (n,), row after row."""
        batch, shared = part.batch, self._shared(part.batch)
        hidden = self.base.hidden(part, blocks, shared)
        rows, columns = np.nonzero(batch.targets)
        places = columns - 1
        at = places + np.where(places < shared, 0, rows * (batch.ids.shape[1] - shared))
        return hidden[mx.array(at.astype(np.int32))], mx.array(batch.ids[rows, columns])

    def _shared(self, batch: Batch) -> int:
        """How many positions that all rows begin with are computed once.

        None under dropout, which each row draws for itself, nor where blocks are recomputed and so remember nothing.
        """
        shared = min(batch.shared[1:], default=0)
        if shared * (len(batch.examples) - 1) < WORTH_SHARING or self._checkpointing or self._drops_out:
            return 0
        return shared if self.base.remembers else 0

    def _predicting(self, batch: Batch, look: Callable[[mx.array, mx.array], mx.array]) -> mx.array:
        """What `look` makes of the same without dropout, row after row."""
        self.base.activate(self)
        self._adapter.eval()
        lanes, blocks = self.base.lanes, self.base.blocks
        parts = self.base.parts(lanes.parts(batch.examples), self._lowest_block)
        return mx.concatenate(lanes.each(parts, lambda part: look(*self._at_targets(part, blocks))))

    def _flat(self, arrays: Arrays) -> Vector:
        """The adapter's arrays as one flat vector; mlx_lm's adapter matrices are ours transposed."""
        slots = zip(self._keys, self._slots, strict=True)
        turned = (arrays[key].T if slot.transposed else arrays[key] for key, slot in slots)
        parts = [np.array(array.astype(mx.float32)).ravel() for array in turned]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.float32)

    def _arrays(self, flat: Vector) -> Arrays:
        """`_flat` the other way."""
        tensors = (flat[slot.start : slot.stop].reshape(slot.shape) for slot in self._slots)
        return {
            key: mx.array(tensor.T if slot.transposed else tensor)
            for key, slot, tensor in zip(self._keys, self._slots, tensors, strict=True)
        }


def _padded(rows: Sequence[mx.array]) -> mx.array:
    """(rows, width, d), padded on the right with 0."""
    width = max(len(states) for states in rows)
    return mx.stack([mx.pad(states, [(0, width - len(states)), (0, 0)]) for states in rows])


def _to_array(states: mx.array) -> State:
    """numpy has no bfloat16: its bits are kept as 16-bit integers."""
    return np.array(states.view(mx.int16) if states.dtype == mx.bfloat16 else states)


def _from_array(array: State) -> mx.array:
    states = mx.array(array)
    return states.view(mx.bfloat16) if states.dtype == mx.int16 else states


def _size(slots: tuple[Slot, ...]) -> int:
    return slots[-1].stop if slots else 0


def _float64(array: mx.array) -> npt.NDArray[np.float64]:
    return np.array(array).astype(np.float64)
