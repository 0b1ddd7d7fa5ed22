"""A learning rate schedule longer than its run: its lengths count optimizer updates, people think of iterations.

Owns: the two sentences. Must not: know how a schedule is computed (plan/schedule.py).
"""

from __future__ import annotations

from collections.abc import Iterator

from runoff.comparison.facts import Sentence, Side
from runoff.words import count_of

__all__ = ["schedule_sentences"]

_LENGTH_ARGUMENT = {"cosine_decay": 1, "linear_schedule": 2}


def schedule_sentences(side: Side) -> Iterator[Sentence]:
    """What of one run's schedule never came; nothing where it is not known or came to its end."""
    updates, last = side.number("optimizer_updates"), side.number("last_learning_rate")
    if updates is None or last is None:
        return
    cites = (f"{side.label}.settings.lr_schedule", f"{side.label}.counts.optimizer_updates")
    warmup = side.setting("lr_schedule.warmup").value or 0
    made = count_of(int(updates), "optimizer update")
    if warmup >= updates:
        text = f"{side.label} is all warm-up: that takes {count_of(warmup, 'update')}, and the run makes {made}"
        yield Sentence(f"{text}; its last update has the rate {last:.3g}.", cites)
        return
    length, left = _length(side), updates - (warmup + 1 if warmup else 0)
    if length is not None and length > left:
        text = f"{side.label}'s learning rate never ends its decay: that takes {count_of(int(length), 'update')}"
        text += f" after {count_of(warmup, 'update')} of warm-up" if warmup else ""
        yield Sentence(f"{text}, and the run makes {made}; its last update has the rate {last:.3g}.", cites)


def _length(side: Side) -> float | None:
    arguments = side.setting("lr_schedule.arguments").value
    at = _LENGTH_ARGUMENT.get(str(side.setting("lr_schedule.name").value))
    known = isinstance(arguments, list | tuple) and at is not None and at < len(arguments)
    return float(arguments[at]) if known and at is not None else None
