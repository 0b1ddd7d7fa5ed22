"""The torch engine: transformers' model code and PEFT's adapter layers, or the lean pass where it gives the same.

Owns: putting adapters in and out of a base, forward and backward. Must not: know runs, settings or files of adapters.
"""

from __future__ import annotations

import platform
import resource
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import transformers
from torch import nn

from runoff.data import Batch, Forked, make_batch
from runoff.engines.base import EngineFacts, Vector
from runoff.engines.forked import RowScore, forks_as_rows
from runoff.engines.generation import Decoder
from runoff.engines.recent import Recent
from runoff.engines.seeds import Seeds
from runoff.engines.torch.arrays import forked_targets, packed_targets
from runoff.engines.torch.decoder import TorchDecoder
from runoff.engines.torch.full import OwnBlocks, lean_with, own_blocks, own_tensor
from runoff.engines.torch.head import head_of, log_chances, ranked_nats, summed_nats, token_nats
from runoff.engines.torch.layers import Adapted, Patch
from runoff.engines.torch.lean import Blocks, Rows
from runoff.engines.torch.lean_decoder import Reader
from runoff.engines.torch.openings import Opening, after, read, rows_behind
from runoff.engines.torch.peft import adapter_tensor, inject
from runoff.engines.torch.recognized import Unrecognized, recognize
from runoff.engines.torch.trunk import Trunk
from runoff.engines.torch.views import above, final_states, recomputed
from runoff.engines.trunk import OPENINGS
from runoff.plan import AdapterSpec, FullSpec, LoraSpec, Slot, layout

__all__ = ["TorchBase", "TorchEngine"]


class TorchBase:
    """A transformers causal model; implements `runoff.engines.base.Base`."""

    def __init__(self, model: Any, device: torch.device, dtype: torch.dtype, *, lean: bool = True) -> None:
        self.model = model
        self.device = device
        self.dtype = dtype
        self.lean, self._notes = _lean_blocks(model) if lean else (None, ())
        self.head = head_of(model)
        self.trunk = Trunk(self.inner, model.config.vocab_size, device, self.lean)
        self.reader = Reader(self.lean, self.trunk.embedded, self._final_logits) if self.lean else None
        self._own_blocks = tuple(self.blocks)
        self._adapters: list[TorchEngine] = []
        self._active: TorchEngine | None = None

    @property
    def facts(self) -> EngineFacts:
        """What computes."""
        import peft

        return EngineFacts(
            "torch",
            self.device.type,
            str(self.dtype).removeprefix("torch."),
            {"torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__},
            self._notes,
            "lean" if self.lean else "",
        )

    @property
    def blocks(self) -> nn.ModuleList:
        """The model's blocks; a run's own where the active engine has trained them whole."""
        blocks: nn.ModuleList = self.inner.layers
        return blocks

    @property
    def inner(self) -> Any:
        """The model without its head."""
        return self.model.model

    def attach(self, spec: AdapterSpec | None, *, seed: int = 0, checkpointing: bool = False) -> TorchEngine:
        """An engine with an adapter of this shape, or the bare base."""
        if spec is None:
            return TorchEngine(self, None, "base", seed, checkpointing)
        self._put_blocks({})
        engine = TorchEngine(self, spec, f"adapter{len(self._adapters)}", seed, checkpointing)
        self._adapters.append(engine)
        self._active = None
        return engine

    def share_trunk(self, lowest_block: int, *, budget_bytes: int, folder: Path | None = None) -> str:
        """Split the model below `lowest_block`, if the split gives what the whole gives."""
        return self.trunk.share(lowest_block, budget_bytes=budget_bytes, folder=folder)

    def peak_memory_bytes(self) -> int | None:
        """Peak of the device's memory, or of the process on a CPU."""
        if self.device.type == "cuda":
            return int(torch.cuda.max_memory_allocated())
        if self.device.type == "mps":
            return None
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return int(peak) * (1 if platform.system() == "Darwin" else 1024)

    def hidden(self, batch: Batch, lowest_block: int) -> torch.Tensor:
        """Final hidden states (rows, width, d) under the active adapter; from the trunk if it ends below that."""
        inner = self.inner
        if start := self.trunk.serving(lowest_block):
            rows = [self.trunk.states(Forked(example)) for example in batch.examples]
            inner = above(inner, start, nn.utils.rnn.pad_sequence(rows, batch_first=True))
        return final_states(inner, self._ids(batch))

    def packed(self, batch: Batch, lowest_block: int) -> tuple[torch.Tensor, Rows]:
        """Packed states (tokens, d) below the lowest adapted block, by the lean pass; from the trunk if it can."""
        assert self.lean is not None
        rows = self.lean.rows(batch.lengths - batch.shared, batch.shared)
        parts = list(zip(batch.examples, batch.shared, strict=True))
        if start := self.trunk.serving(lowest_block):
            states = torch.cat([self.trunk.states(Forked(example))[before:] for example, before in parts])
        else:
            states = self.trunk.embedded(np.concatenate([example.ids[before:] for example, before in parts]))
        return self.lean.forward(states, rows, range(start, lowest_block), {}), rows

    def _final_logits(self, states: torch.Tensor) -> torch.Tensor:
        return self.head.logits(self.inner.norm(states))

    def _ids(self, batch: Batch) -> torch.Tensor:
        return torch.from_numpy(batch.ids).to(self.device, torch.long)

    def activate(self, engine: TorchEngine) -> None:
        """Make one adapter (for the bare base: none) the one that computes; PEFT passes over layers without it."""
        if self._active is not engine:
            for module in {id(module): module for other in self._adapters for module in other.modules}.values():
                module.set_adapter([engine.name])
            self._put_blocks(engine.own)
            self._active = engine

    def _put_blocks(self, own: OwnBlocks) -> None:
        for index, block in enumerate(self._own_blocks):
            self.blocks[index] = own.get(index, block)


class TorchEngine:
    """One adapter on a TorchBase; implements `runoff.engines.base.Engine`."""

    def __init__(
        self, base: TorchBase, spec: AdapterSpec | None, name: str, seed: int = 0, checkpointing: bool = False
    ) -> None:
        self.base = base
        self.spec = spec
        self.name = name
        self._lowest_block = spec.lowest_block if spec else len(base.blocks)
        self._checkpointing = checkpointing
        self._seeds = Seeds(seed)
        self._slots = layout(spec) if spec else ()
        self.modules = inject(base.model, spec, name) if isinstance(spec, LoraSpec) else []
        self.own = own_blocks(base.blocks, spec.blocks) if isinstance(spec, FullSpec) else {}
        self._own_lean: Blocks | None = None
        self._openings: Recent[Opening] = Recent(OPENINGS)
        self._tensors = [self._tensor(slot) for slot in self._slots]
        self._patches = self._made_patches()

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The adapter's tensors in the flat vector's order."""
        return self._slots

    def parameters(self) -> Vector:
        """The adapter as a flat vector."""
        parts = [tensor.detach().float().flatten().cpu().numpy() for tensor in self._tensors]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.float32)

    def set_parameters(self, parameters: Vector) -> None:
        """Load the adapter."""
        with torch.no_grad():
            for slot, tensor in zip(self._slots, self._tensors, strict=True):
                tensor.copy_(_part(parameters, slot))
        for patches in self._patches.values():
            for patch in patches.values():
                patch.refresh()
        self._own_lean, self._openings = None, Recent(OPENINGS)

    def accumulate(self, batch: Batch, weight: float = 1.0) -> float:
        """Forward and backward."""
        lean = self.base.lean
        if lean is not None and isinstance(self.spec, LoraSpec) and self.spec.dropout == 0:
            return self._accumulate_lean(lean, batch, weight)
        self.base.activate(self)
        for module in self.modules:
            module.train()
        torch.manual_seed(self._seeds.draw())
        with recomputed(self.base.blocks[self._lowest_block :] if self._checkpointing else ()):
            hidden, targets = self._at_targets(batch)
            nats = summed_nats(hidden, self.base.head, targets)
            (nats * weight).backward()
        return float(nats.detach())

    def take_gradient(self) -> Vector:
        """Collect and clear the gradients."""
        flat = np.zeros(self._slots[-1].stop if self._slots else 0, dtype=np.float32)
        for slot, tensor in zip(self._slots, self._tensors, strict=True):
            if tensor.grad is not None:
                flat[slot.start : slot.stop] = tensor.grad.float().flatten().cpu().numpy()
                tensor.grad = None
        return flat

    def add_gradient(self, gradient: Vector) -> None:
        """Put a gradient back."""
        for slot, tensor in zip(self._slots, self._tensors, strict=True):
            tensor.grad = _part(gradient, slot).to(tensor.device)

    def score(self, batch: Batch) -> list[npt.NDArray[np.float64]]:
        """Nats of each row's target tokens."""
        with torch.no_grad():
            hidden, targets = self._predicting(batch)
            nats = token_nats(hidden, self.base.head, targets).double().cpu().numpy()
        return list(np.split(nats, np.cumsum(batch.targets.sum(axis=1))[:-1]))

    def score_alone(self, forked: Forked) -> RowScore:
        """Nats of a row's target tokens and of its forks'."""
        own = forked.row.target_tokens
        with torch.no_grad():
            if self.base.lean is None:
                hidden, targets = self._predicting(make_batch([forked.row]))
                found, rank = ranked_nats(hidden, self.base.head, targets, own - 1)
                return RowScore(found.double().cpu().numpy(), rank, forks_as_rows(self.score, forked))
            at, targets, sizes = forked_targets(forked)
            final = self.base.inner.norm(self._behind_opening(forked)[at - forked.opening])
            found, rank = ranked_nats(final, self.base.head, targets, own - 1)
        nats, *forks = np.split(found.double().cpu().numpy(), np.cumsum(sizes)[:-1])
        return RowScore(nats, rank, tuple(forks))

    def log_chances(self, batch: Batch) -> list[npt.NDArray[np.float32]]:
        """Logs of all tokens' chances at each row's targets."""
        with torch.no_grad():
            hidden, _ = self._predicting(batch)
            chances = log_chances(hidden, self.base.head).cpu().numpy()
        return list(np.split(chances, np.cumsum(batch.targets.sum(axis=1))[:-1]))

    def _predicting(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Final hidden states that predict a target, and the targets: (n, d) and (n,), row after row, no dropout."""
        if self.base.lean is None:
            self._evaluating()
            return self._at_targets(batch)
        states, rows = self.base.packed(batch, self._lowest_block)
        at, targets = packed_targets(batch)
        return self._normed(states, rows, at), targets

    def _behind_opening(self, forked: Forked) -> torch.Tensor:
        """What the last block gives of a row and its forks, (tokens, d), by the lean pass; the opening left out."""
        lean, trunk, opening = self._lean(), self.base.trunk, forked.opening
        start = trunk.serving(self._lowest_block)
        states = trunk.states(forked) if start else trunk.embedded(forked.ids)
        span = range(start, len(lean.blocks))
        key = start, forked.ids[:opening].tobytes()
        before = self._openings.get(key, lambda: read(lean, states[:opening], span, self._patches))
        return after(lean, states[opening:], rows_behind(lean, forked, opening), span, self._patches, before)

    def _normed(self, states: torch.Tensor, rows: Rows, at: torch.Tensor) -> torch.Tensor:
        """Final hidden states of packed positions, by the lean pass on from the lowest adapted block."""
        lean = self._lean()
        states = lean.forward(states, rows, range(self._lowest_block, len(lean.blocks)), self._patches)
        normed: torch.Tensor = self.base.inner.norm(states[at])
        return normed

    def _lean(self) -> Blocks:
        """The lean pass, with this run's own blocks in it."""
        assert self.base.lean is not None
        if self._own_lean is None:
            self._own_lean = lean_with(self.base.lean, self.own) if self.own else self.base.lean
        return self._own_lean

    def _evaluating(self) -> None:
        self.base.activate(self)
        for module in self.modules:
            module.eval()

    def decoder(self, prompts: Sequence[npt.NDArray[np.int32]]) -> Decoder:
        """Start to continue these prompts."""
        if self.base.reader is not None:
            boundary = self.base.trunk.serving(self._lowest_block)
            return self.base.reader.decoder(prompts, self._lean(), self._patches, boundary)
        self._evaluating()
        return TorchDecoder(self.base.model, prompts, self.base.device)

    def random_state(self) -> bytes:
        """The generator of the dropout's seeds."""
        return self._seeds.state()

    def set_random_state(self, state: bytes) -> None:
        """Set the generator of the dropout's seeds."""
        self._seeds.restore(state)

    def _accumulate_lean(self, lean: Blocks, batch: Batch, weight: float) -> float:
        """The same by the lean pass, for adapters without dropout."""
        self._seeds.draw()
        at, targets = packed_targets(batch)
        if not len(targets):
            return 0.0
        states, rows = self.base.packed(batch, self._lowest_block)
        final, kept = lean.forward_kept(states, rows, self._lowest_block, self._patches, recompute=self._checkpointing)
        picked = final[at].requires_grad_()
        nats = summed_nats(self.base.inner.norm(picked), self.base.head, targets)
        (of_picked,) = torch.autograd.grad(nats * weight, picked)
        # Rows that begin alike may have targets there: what one position is given by several adds up.
        lean.backward(kept, self._patches, torch.zeros_like(final).index_add_(0, at, of_picked))
        return float(nats.detach())

    def _made_patches(self) -> dict[int, dict[str, Patch]]:
        """The adapter for the lean pass: for each block, the parts that it changes."""
        lean, spec = self.base.lean, self.spec
        if lean is None or not isinstance(spec, LoraSpec):
            return {}
        found: dict[tuple[int, str], dict[str, nn.Parameter]] = {}
        for slot, tensor in zip(self._slots, self._tensors, strict=True):
            found.setdefault((slot.block, slot.module), {})[slot.part] = tensor
        patches: dict[int, dict[str, Patch]] = {}
        for block in sorted({block for block, _ in found}):
            for part, linears in lean.blocks[block].parts.items():
                named = zip(linears.names, linears.outs, strict=True)
                layers = [Adapted(outs, **found[block, name]) for name, outs in named if (block, name) in found]
                if layers:
                    patches.setdefault(block, {})[part] = Patch(linears, tuple(layers), spec.scale)
        return patches

    def _at_targets(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Hidden states that predict a target, and the targets: (n, d) and (n,), row after row."""
        hidden = self.base.hidden(batch, self._lowest_block)
        rows, columns = np.nonzero(batch.targets)
        picked = hidden[torch.from_numpy(rows).to(hidden.device), torch.from_numpy(columns - 1).to(hidden.device)]
        targets = torch.from_numpy(batch.ids[rows, columns]).to(hidden.device, torch.long)
        return picked, targets

    def _tensor(self, slot: Slot) -> nn.Parameter:
        if slot.part == "whole":
            return own_tensor(self.own, slot)
        return adapter_tensor(self.base.blocks, slot, self.name)


def _part(flat: Vector, slot: Slot) -> torch.Tensor:
    """A copy of one tensor."""
    return torch.from_numpy(np.array(flat[slot.start : slot.stop])).view(slot.shape)


def _lean_blocks(model: Any) -> tuple[Blocks | None, tuple[str, ...]]:
    try:
        return recognize(model), ()
    except Unrecognized as why:
        return None, (f"The model's own code computes its blocks, not the lean pass: {why}.",)
