"""The torch engine: transformers' model code, PEFT's adapter layers, our loop.

Owns: loading a base, splitting it into trunk and top, forward and backward. Must not: know runs, settings or files of
adapters. The trunk (the blocks below the lowest adapted one) never changes, gets no gradient, and can be kept.
"""

from __future__ import annotations

import copy
import io
import platform
import resource
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.utils.checkpoint
import transformers
from torch import nn

from runoff.data import Batch
from runoff.engines.base import EngineFacts, Vector
from runoff.engines.torch_head import summed_nats, token_nats
from runoff.engines.trunk import TrunkCache
from runoff.errors import EngineError, ModelError
from runoff.plan import AdapterSpec, Slot, layout

__all__ = ["TorchBase", "TorchEngine", "open_torch"]


class _Passthrough(nn.Module):
    """Stands in for a block that another part of the model computes."""

    def forward(self, hidden_states: torch.Tensor, *_args: Any, **_options: Any) -> torch.Tensor:
        return hidden_states


def open_torch(folder: Path, *, dtype: str) -> TorchBase:
    """Load a model folder on the best device at hand.

    Raises:
        ModelError: transformers can't load it.
    """
    device = _device()
    chosen = _dtype(dtype, device)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        model = transformers.AutoModelForCausalLM.from_pretrained(
            folder, dtype=chosen, local_files_only=True, attn_implementation="sdpa"
        )
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(f"{folder}: transformers can't load this model ({reason}).") from None
    model.requires_grad_(False)
    return TorchBase(model.to(device).eval(), device, chosen)


def _device() -> torch.device:
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _dtype(wanted: str, device: torch.device) -> torch.dtype:
    if wanted != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[wanted]
    if device.type == "cpu":
        # Without these instructions bfloat16 products are several times slower than float32 ones.
        capability = torch.backends.cpu.get_cpu_capability()
        fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        return torch.bfloat16 if fast and capability != "DEFAULT" else torch.float32
    return torch.bfloat16


class TorchBase:
    """A transformers causal model; implements `runoff.engines.base.Base`."""

    def __init__(self, model: Any, device: torch.device, dtype: torch.dtype) -> None:
        self.model = model
        self.device = device
        self.dtype = dtype
        self.cache: TrunkCache[torch.Tensor] | None = None
        self._boundary = 0
        self._trunk: Any = None
        self._top: Any = model.model
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
        )

    @property
    def blocks(self) -> nn.ModuleList:
        """The model's blocks."""
        blocks: nn.ModuleList = self.model.model.layers
        return blocks

    @property
    def head(self) -> torch.Tensor:
        """(vocabulary, d) output matrix."""
        weight: torch.Tensor = self.model.lm_head.weight
        return weight

    def attach(self, spec: AdapterSpec | None, *, seed: int = 0, checkpointing: bool = False) -> TorchEngine:
        """An engine with an adapter of this shape, or the bare base."""
        if spec is None:
            return TorchEngine(self, None, "base")
        if spec.lowest_block < self._boundary:
            raise EngineError("an adapter reaches below the trunk; this is a bug of Runoff's, please report it.")
        torch.manual_seed(seed)
        engine = TorchEngine(self, spec, f"adapter{len(self._adapters)}")
        self._adapters.append(engine)
        self._active = None
        if checkpointing:
            _checkpoint(self.blocks[spec.lowest_block :])
        return engine

    def share_trunk(self, lowest_block: int, *, budget_bytes: int) -> str:
        """Split the model below `lowest_block`, if the split gives what the whole gives."""
        if lowest_block <= 0:
            return "Trunk cache off: the first block is adapted, so nothing below it stays the same."
        trunk, top = self._split(lowest_block)
        ids = torch.arange(16, device=self.device)[None] % self.model.config.vocab_size
        with torch.inference_mode():
            whole = self.model.model(input_ids=ids, use_cache=False).last_hidden_state
            states = trunk(input_ids=ids, use_cache=False).last_hidden_state
            parts = top(inputs_embeds=states, use_cache=False).last_hidden_state
        if not torch.equal(whole, parts):
            return "Trunk cache off: this architecture's upper blocks take more than the states below them (self-test)."
        self._boundary, self._trunk, self._top = lowest_block, trunk, top
        self.cache = TrunkCache(budget_bytes, lambda state: state.nbytes)
        return f"Trunk cache on: the {lowest_block} lowest of {len(self.blocks)} blocks are computed once for each row."

    def peak_memory_bytes(self) -> int | None:
        """Peak of the device's memory, or of the process on a CPU."""
        if self.device.type == "cuda":
            return int(torch.cuda.max_memory_allocated())
        if self.device.type == "mps":
            return None
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return int(peak) * (1 if platform.system() == "Darwin" else 1024)

    def _split(self, block: int) -> tuple[Any, Any]:
        """Two views of the same modules: blocks below, and blocks from `block` on with the final norm."""
        inner = self.model.model
        skip = _Passthrough()
        below, above = copy.copy(inner), copy.copy(inner)
        below._modules = {**inner._modules, "norm": skip}
        below._modules["layers"] = nn.ModuleList([*inner.layers[:block], *[skip] * (len(inner.layers) - block)])
        above._modules = dict(inner._modules)
        above._modules["layers"] = nn.ModuleList([*[skip] * block, *inner.layers[block:]])
        return below, above

    def hidden(self, batch: Batch) -> torch.Tensor:
        """Final hidden states (rows, width, d) under the active adapter."""
        if self._trunk is None:
            states: torch.Tensor = self.model.model(input_ids=self._ids(batch), use_cache=False).last_hidden_state
            return states
        top: torch.Tensor = self._top(inputs_embeds=self._boundary_states(batch), use_cache=False).last_hidden_state
        return top

    def _ids(self, batch: Batch) -> torch.Tensor:
        return torch.from_numpy(batch.ids).to(self.device, torch.long)

    def _boundary_states(self, batch: Batch) -> torch.Tensor:
        """States below the boundary, from the cache where all rows are there."""
        cache = self.cache
        kept = [cache.get(example.key) if cache else None for example in batch.examples]
        if any(state is None for state in kept):
            with torch.no_grad():
                states: torch.Tensor = self._trunk(input_ids=self._ids(batch), use_cache=False).last_hidden_state
            if cache is not None:
                for row, example in enumerate(batch.examples):
                    cache.put(example.key, states[row, : len(example.ids)].clone())
            return states
        found = [state for state in kept if state is not None]
        return nn.utils.rnn.pad_sequence(found, batch_first=True)

    def activate(self, engine: TorchEngine) -> None:
        """Make one adapter (for the bare base: none) the one that computes; PEFT passes over layers without it."""
        if self._active is not engine:
            for module in {id(module): module for other in self._adapters for module in other.modules}.values():
                module.set_adapter([engine.name])
            self._active = engine


class TorchEngine:
    """One adapter on a TorchBase; implements `runoff.engines.base.Engine`."""

    def __init__(self, base: TorchBase, spec: AdapterSpec | None, name: str) -> None:
        self.base = base
        self.spec = spec
        self.name = name
        self._slots = layout(spec) if spec else ()
        self.modules = _inject(base, spec, name) if spec else []
        self._tensors = [self._tensor(slot) for slot in self._slots]

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
        flat = torch.from_numpy(np.array(parameters))
        with torch.no_grad():
            for slot, tensor in zip(self._slots, self._tensors, strict=True):
                tensor.copy_(flat[slot.start : slot.stop].view(slot.shape))

    def accumulate(self, batch: Batch, weight: float = 1.0) -> float:
        """Forward and backward."""
        self.base.activate(self)
        for module in self.modules:
            module.train()
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
        flat = torch.from_numpy(np.array(gradient))
        for slot, tensor in zip(self._slots, self._tensors, strict=True):
            tensor.grad = flat[slot.start : slot.stop].view(slot.shape).to(tensor.device, tensor.dtype)

    def score(self, batch: Batch) -> list[npt.NDArray[np.float64]]:
        """Nats of each row's target tokens."""
        self.base.activate(self)
        for module in self.modules:
            module.eval()
        with torch.no_grad():
            hidden, targets = self._at_targets(batch)
            nats = token_nats(hidden, self.base.head, targets).double().cpu().numpy()
        counts = batch.targets.sum(axis=1)
        return list(np.split(nats, np.cumsum(counts)[:-1]))

    def random_state(self) -> bytes:
        """Torch's generators."""
        states = {"cpu": torch.get_rng_state()}
        if self.base.device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state()
        buffer = io.BytesIO()
        np.savez(buffer, **{name: state.numpy() for name, state in states.items()})
        return buffer.getvalue()

    def set_random_state(self, state: bytes) -> None:
        """Set torch's generators."""
        with np.load(io.BytesIO(state), allow_pickle=False) as stored:
            torch.set_rng_state(torch.from_numpy(stored["cpu"]))
            if "cuda" in stored and self.base.device.type == "cuda":
                torch.cuda.set_rng_state(torch.from_numpy(stored["cuda"]))

    def _at_targets(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Hidden states that predict a target, and the targets: (n, d) and (n,), row after row."""
        hidden = self.base.hidden(batch)
        rows, columns = np.nonzero(batch.targets)
        picked = hidden[torch.from_numpy(rows).to(hidden.device), torch.from_numpy(columns - 1).to(hidden.device)]
        targets = torch.from_numpy(batch.ids[rows, columns]).to(hidden.device, torch.long)
        return picked, targets

    def _tensor(self, slot: Slot) -> nn.Parameter:
        block = self.base.blocks[slot.layer.block]
        module: Any = block.get_submodule(slot.layer.name)
        if slot.part == "magnitude":
            found = module.lora_magnitude_vector[self.name].weight
        else:
            found = {"lora_a": module.lora_A, "lora_b": module.lora_B}[slot.part][self.name].weight
        parameter: nn.Parameter = found
        return parameter


def _inject(base: TorchBase, spec: AdapterSpec, name: str) -> list[Any]:
    """Put PEFT's LoRA layers in place; returns them."""
    from peft import LoraConfig
    from peft.mapping import inject_adapter_in_model

    config = LoraConfig(
        r=spec.rank,
        lora_alpha=spec.alpha,
        lora_dropout=spec.dropout,
        use_dora=spec.kind == "dora",
        target_modules=[f"model.layers.{layer.block}.{layer.name}" for layer in spec.layers],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        inject_adapter_in_model(config, base.model, adapter_name=name)
    modules: list[Any] = [base.blocks[layer.block].get_submodule(layer.name) for layer in spec.layers]
    if any(name not in module.lora_A for module in modules):
        raise EngineError("PEFT put no adapter on some layers; this is a bug of Runoff's, please report it.")
    for module in modules:
        for part in (module.lora_A, module.lora_B):
            part[name].weight.data = part[name].weight.data.float()
    return modules


def _checkpoint(blocks: nn.ModuleList) -> None:
    """Recompute these blocks in the backward pass; the trunk below keeps nothing anyway."""
    for block in blocks:
        block.gradient_checkpointing = True
        block._gradient_checkpointing_func = partial(torch.utils.checkpoint.checkpoint, use_reentrant=False)
        block.training = True  # the flag of the block alone: transformers asks it, dropout inside does not
