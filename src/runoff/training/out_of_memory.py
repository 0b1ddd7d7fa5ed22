"""Out of memory: which setting would have fitted, by the plan's estimate.

Owns: telling such an error from others, and the sentence. Must not: try again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from runoff.config import Settings
from runoff.errors import EngineError
from runoff.plan import FullSpec, MachineFacts, Plan, machine_facts
from runoff.plan.memory import MemoryPart, memory_parts

__all__ = ["is_out_of_memory", "naming_what_fits", "what_fits"]

_SIGNS = ("out of memory", "can't allocate memory", "unable to allocate", "not enough memory")
"""In the messages of torch (CUDA, MPS, CPU), MLX and numpy."""

_USABLE = 0.9
_CLEARLY_LESS = 0.8


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of Python or of a tensor library is one of memory."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in _SIGNS)


@contextlib.contextmanager
def naming_what_fits(plan: Plan) -> Iterator[None]:
    """Turn an error of memory into the sentence.

    Raises:
        EngineError: that sentence.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        sentence = what_fits(plan, machine_facts(plan.config))
    else:
        return
    raise EngineError(sentence) from None


def what_fits(plan: Plan, machine: MachineFacts) -> str:
    """What the run takes, what there is, and the least change that is estimated to fit.

    An estimate is held against nine tenths of the machine's memory and against four fifths of the run's own: other
    programs, or a device of its own, may have left less than the machine has.
    """
    parts = _parts(plan, plan.settings)
    needed = _bytes(parts)
    limit = min([_CLEARLY_LESS * needed, *([_USABLE * machine.memory_bytes] if machine.memory_bytes else [])])
    largest = max(parts, key=lambda part: part.bytes)
    has = f" of the machine's {_gb(machine.memory_bytes)}" if machine.memory_bytes else ""
    start = (
        f"out of memory: the run takes about {_gb(needed)}{has}, most of it for {largest.name} ({_gb(largest.bytes)})."
    )
    for changes in _lighter(plan.settings, plan.data.train.longest_tokens):
        lighter = _bytes(_parts(plan, plan.settings.model_copy(update=changes)))
        if lighter <= limit:
            shown = ", ".join(f"{key}: {str(value).lower()}" for key, value in changes.items())
            return f"{start} With {shown} it takes about {_gb(lighter)}."
    if isinstance(plan.adapter, FullSpec):
        return f"{start} Train fewer blocks (num_layers), or with fine_tune_type: lora."
    return f"{start} No setting brings it below {_gb(limit)}: use a smaller or quantized model."


def _lighter(settings: Settings, longest_tokens: int) -> Iterator[dict[str, Any]]:
    """Changes of settings, the least first: the same updates in smaller batches, then slower, then shorter rows."""
    each = settings.batch_size * settings.grad_accumulation_steps
    smaller = [size for size in range(settings.batch_size - 1, 0, -1) if each % size == 0]
    batches: list[dict[str, Any]] = [{"batch_size": size, "grad_accumulation_steps": each // size} for size in smaller]
    yield from batches
    last = batches[-1] if batches else {}
    if not settings.grad_checkpoint:
        yield {"grad_checkpoint": True}
        last = last | {"grad_checkpoint": True}
        yield last
    length = min(longest_tokens, settings.max_seq_length) // 2
    while length >= 64:
        yield last | {"max_seq_length": length}
        length //= 2


def _parts(plan: Plan, settings: Settings) -> tuple[MemoryPart, ...]:
    """Without the trunk cache, which takes what is free and no more."""
    parts = memory_parts(settings, plan.model, plan.adapter, plan.data)
    return tuple(part for part in parts if part.name != "trunk cache")


def _bytes(parts: tuple[MemoryPart, ...]) -> int:
    return sum(part.bytes for part in parts)


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
