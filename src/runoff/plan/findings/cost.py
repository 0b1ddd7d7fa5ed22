"""Findings about memory and disk. Must not: ask the machine (plan/machine.py does)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from runoff.plan.adapter import adapter_spec
from runoff.plan.findings.check import Seen, check
from runoff.plan.memory import checkpoint_bytes, memory_parts
from runoff.words import count_of

if TYPE_CHECKING:
    from runoff.plan.draft import Draft

__all__ = ["CHECKS"]

_USABLE = 0.9
"""The system and other programs need the rest."""


@check("M401", "warning")
def memory_beyond_the_machine(draft: Draft) -> Iterator[Seen]:
    """The parts of the run's memory come to more than nine tenths of the machine's.

    The weights, the adapter and the optimizer are exact; activations and logits are estimates. The trunk cache is left
    out: it takes what is free and no more. A GPU with memory of its own is not looked at, since that needs its library.
    """
    parts = [part for part in draft.memory if part.name != "trunk cache"]
    needed, machine = sum(part.bytes for part in parts), draft.bytes_of_memory()
    if needed > _USABLE * machine:
        largest = max(parts, key=lambda part: part.bytes)
        yield Seen(
            draft.place("batch_size"),
            f"The run takes about {_gb(needed)} and the machine has {_gb(machine)}; the largest part is "
            f"{largest.name}, {_gb(largest.bytes)}.",
            "It would stop for want of memory, or swap.",
            _less_memory(draft),
        )


def _less_memory(draft: Draft) -> str:
    """The settings that take less memory for the same updates, as far as they help."""
    settings = draft.settings
    lines = ["grad_checkpoint: true"] if not settings.grad_checkpoint else []
    changed: dict[str, object] = {"grad_checkpoint": True}
    if settings.batch_size > 1:
        changed |= {"batch_size": 1}
        each = settings.batch_size * settings.grad_accumulation_steps
        lines += ["batch_size: 1", f"grad_accumulation_steps: {each}"]
    after = memory_parts(settings.model_copy(update=changed), draft.model, draft.adapter, draft.data)
    needed = sum(part.bytes for part in after if part.name != "trunk cache")
    if needed > _USABLE * draft.bytes_of_memory():
        return "a smaller or quantized model" if settings.fine_tune_type != "full" else "fine_tune_type: lora"
    return "\n".join(lines)


@check("M402", "warning")
def checkpoints_beyond_the_disk(draft: Draft) -> Iterator[Seen]:
    """The run's checkpoints and snapshots take more than what is free on the disk of the run folder."""
    free = draft.machine.free_disk_bytes
    validated = draft.rows.split("valid") is not None
    needed = checkpoint_bytes(draft.settings, draft.adapter, draft.pace.checkpoints, validated=validated)
    if free is not None and needed > free:
        yield Seen(
            draft.place("save_every"),
            f"{count_of(draft.pace.checkpoints, 'checkpoint')} take {_gb(needed)} and {_gb(free)} are free.",
            "The run would stop with a full disk.",
            f"save_every: {draft.settings.save_every * 4}",
        )


@check("M403", "note")
def adapter_folder_in_use(draft: Draft) -> Iterator[Seen]:
    """adapter_path holds an adapter already.

    Runoff saves elsewhere; mlx-lm would overwrite it, and mix the checkpoints.
    """
    folder, files = draft.machine.adapter_folder, draft.machine.adapter_files
    if folder is not None:
        yield Seen(
            draft.place("adapter_path"),
            f"{folder} holds {count_of(len(files), 'adapter file')} of an earlier run ({files[-1]}).",
            "Runoff saves in its own run folder; mlx-lm would overwrite it.",
            f"adapter_path: {folder}-2",
        )


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"


@check("M404", "note")
def room_for_whole_weights(draft: Draft) -> Iterator[Seen]:
    """What fine_tune_type: full takes: memory for the weights' copies, gradients and optimizer state, and disk.

    Every checkpoint keeps the trained weights in float32; how many there are is iters / save_every. What LoRA on the
    same blocks would train stands beside it.
    """
    if draft.settings.fine_tune_type != "full":
        return
    memory = sum(part.bytes for part in draft.memory if part.name in ("whole weights", "optimizer"))
    lora = draft.settings.model_copy(update={"fine_tune_type": "lora"})
    validated = draft.rows.split("valid") is not None
    disk = checkpoint_bytes(draft.settings, draft.adapter, draft.pace.checkpoints, validated=validated)
    yield Seen(
        draft.place("fine_tune_type"),
        f"full trains {draft.adapter.trainable_parameters:,} parameters: {_gb(memory)} of memory beside the base, and "
        f"{_gb(disk)} of disk with {count_of(draft.pace.checkpoints, 'checkpoint')}.",
        f"LoRA of rank {lora.lora_parameters.rank} on the same blocks trains "
        f"{adapter_spec(lora, draft.model).trainable_parameters:,}.",
    )


CHECKS = (memory_beyond_the_machine, checkpoints_beyond_the_disk, adapter_folder_in_use, room_for_whole_weights)
