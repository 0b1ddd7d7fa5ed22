"""The MLX engine: mlx_lm's model code, LoRA and DoRA layers and quantized bases, our loop.

Owns: putting adapters in and out of a base, forward and backward. Must not: know runs, settings or files of adapters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import mlx.core as mx
import numpy as np
import numpy.typing as npt
from mlx import nn
from mlx.utils import tree_flatten, tree_unflatten

from runoff.data import Batch, Encoded, Forked, make_batch
from runoff.engines.base import EngineFacts, Vector
from runoff.engines.forked import RowScore, forks_as_rows
from runoff.engines.mlx.decoder import MlxDecoder
from runoff.engines.mlx.head import log_chances, nats_and_gradient, place_among_all, token_nats
from runoff.engines.mlx.lanes import Lanes
from runoff.engines.mlx.memory import Memory, passes
from runoff.engines.mlx.trained import key_of, replaced
from runoff.engines.mlx.trunk import Trunk
from runoff.engines.mlx.views import Blocks, own_head, resumed, run_blocks, seeded
from runoff.engines.recent import Recent
from runoff.engines.seeds import Seeds
from runoff.engines.trunk import OPENINGS
from runoff.plan import AdapterSpec, LoraSpec, Slot, layout

__all__ = ["MlxBase", "MlxEngine"]

WORTH_SHARING = 64
"""Positions that must be spared, or a second and smaller pass through the blocks costs more than it saves."""

Arrays = dict[str, Any]
"""mx.array by its path in an adapter's tree of parameters."""


class Part(NamedTuple):
    """Rows that are computed together. states: (tokens, d) below the trunk's boundary of each, if it serves them."""

    batch: Batch
    states: list[mx.array] | None


class MlxBase:
    """An mlx_lm model; implements `runoff.engines.base.Base`."""

    def __init__(self, model: Any, dtype: mx.Dtype, lanes: Lanes, notes: tuple[str, ...] = ()) -> None:
        self.model = model
        self.lanes = lanes
        self._notes = notes
        self.inner = model.model
        self.head = own_head(model)
        self.trunk = Trunk(self.inner, model.args.vocab_size, self.lanes)
        self._dtype = dtype
        self._active: MlxEngine | None = None

    @property
    def facts(self) -> EngineFacts:
        """What computes."""
        return EngineFacts(
            "mlx",
            mx.default_device().type.name,
            str(self._dtype).removeprefix("mlx.core."),
            {name: version(name) for name in ("mlx", "mlx-lm")},
            self._notes,
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
        return self.trunk.share(lowest_block, budget_bytes=budget_bytes, folder=folder)

    def peak_memory_bytes(self) -> int | None:
        """Peak of the memory that MLX held."""
        return int(mx.get_peak_memory())

    def parts(self, groups: Sequence[Sequence[Encoded]], lowest_block: int) -> list[Part]:
        """Batches of these rows, with their states below the boundary if the trunk ends below the adapter."""
        rows = [Forked(row) for group in groups for row in group]
        served = self.trunk.serving(lowest_block) > 0
        states = iter(self.trunk.states(rows) if served else [])
        return [Part(make_batch(group), [next(states) for _ in group] if served else None) for group in groups]

    def hidden(self, part: Part, blocks: Blocks, shared: int) -> mx.array:
        """Final hidden states (positions, d) of these blocks.

        Those of the first `shared` positions, alike in all rows, come first, once; then the rest of each row, padded.
        """
        ids = mx.array(part.batch.ids)
        states = None if part.states is None else _padded(part.states)

        def run(rows: slice, places: slice, memories: list[Memory] | None) -> mx.array:
            part_states = None if states is None else states[rows, places]
            return self.run(blocks, ids[rows, places], part_states, memories)

        if not shared:
            return run(slice(None), slice(None), None)
        memories = [Memory() for _ in blocks]
        first = run(slice(1), slice(shared), memories)
        rest = run(slice(None), slice(shared, None), [Memory(one, shared) for one in memories])
        return mx.concatenate([first, rest])

    def run(
        self, blocks: Blocks, ids: mx.array, states: mx.array | None, memories: Sequence[Memory] | None
    ) -> mx.array:
        """Final hidden states (rows x width, d) of ids (rows, width), on from their states at the trunk's end."""
        own = blocks if states is None else resumed(blocks, self.trunk.boundary, states)
        return run_blocks(self.inner, own, ids, memories).flatten(0, 1)


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
        self._openings: Recent[list[Memory]] = Recent(OPENINGS)
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
        self._openings = Recent(OPENINGS)

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
        """Nats of a row's target tokens and of its forks'."""
        if not self.base.trunk.remembers and forked.forks:
            row = self.score_alone(Forked(forked.row))
            return row._replace(forks=forks_as_rows(self.score, forked))
        self._evaluating()
        (at, targets, sizes), own = forked.predicted, forked.row.target_tokens
        hidden = self._behind_opening(forked)[mx.array(at - self.base.trunk.opening(forked))]
        last, head, wanted = slice(own - 1, own), self.base.head, mx.array(targets)
        place = int(np.array(place_among_all(hidden[last], head, wanted[last]))) if own else None
        nats, *forks = np.split(_float64(token_nats(hidden, head, wanted)), np.cumsum(sizes)[:-1])
        mx.clear_cache()
        return RowScore(nats, place, tuple(forks))

    def log_chances(self, batch: Batch) -> list[npt.NDArray[np.float32]]:
        """Logs of all tokens' chances at each row's targets."""
        found = self._predicting(batch, lambda states, _: log_chances(states, self.base.head))
        chances: npt.NDArray[np.float32] = np.array(found)
        mx.clear_cache()
        return list(np.split(chances, np.cumsum(batch.targets.sum(axis=1))[:-1]))

    def decoder(self, prompts: Sequence[npt.NDArray[np.int32]]) -> MlxDecoder:
        """Start to continue these prompts."""
        self._evaluating()
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
        return shared if self.base.trunk.remembers else 0

    def _predicting(self, batch: Batch, look: Callable[[mx.array, mx.array], mx.array]) -> mx.array:
        """What `look` makes of the same without dropout, row after row."""
        self._evaluating()
        lanes, blocks = self.base.lanes, self.base.blocks
        parts = self.base.parts(lanes.parts(batch.examples), self._lowest_block)
        return mx.concatenate(lanes.each(parts, lambda part: look(*self._at_targets(part, blocks))))

    def _behind_opening(self, forked: Forked) -> mx.array:
        """Final hidden states of a row and its forks, (ids, d), without dropout; the opening left out."""
        base, trunk, ids = self.base, self.base.trunk, mx.array(forked.ids)[None]
        opening, start = trunk.opening(forked), trunk.serving(self._lowest_block)
        states = trunk.states([forked])[0][None] if start else None
        base.lanes.together()

        def run(span: slice, memories: Sequence[Memory] | None) -> mx.array:
            return base.run(base.blocks, ids[:, span], None if states is None else states[:, span], memories)

        def read() -> list[Memory]:
            memories = [Memory() for _ in base.blocks]
            if opening:
                run(slice(opening), memories)
            mx.eval([one.arrays for one in memories])
            return memories

        if not trunk.remembers:
            return run(slice(None), None)
        older = self._openings.get((start, forked.ids[:opening].tobytes()), read)
        return mx.concatenate([run(span, memories) for span, memories in passes(forked, opening, older)])

    def _evaluating(self) -> None:
        self.base.activate(self)
        self._adapter.eval()

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


def _size(slots: tuple[Slot, ...]) -> int:
    return slots[-1].stop if slots else 0


def _float64(array: mx.array) -> npt.NDArray[np.float64]:
    return np.array(array).astype(np.float64)
