"""Facts that can't be had. Owns: `Unknown`, and how a check stops at one. Must not: know any fact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

__all__ = ["NotKnown", "Unknown", "known"]

Fact = TypeVar("Fact")


@dataclass(frozen=True, slots=True)
class Unknown:
    """In the place of a fact: why it can't be had, as the end of a sentence that starts with "because".

    broken: what it would be made from is there and can't be used; else it is only absent.
    """

    why: str
    broken: bool = False


class NotKnown(Exception):
    """A check reached for an unknown fact; it is then listed as not made."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def known(fact: Fact | Unknown) -> Fact:
    """The fact itself.

    Raises:
        NotKnown: there is none.
    """
    if isinstance(fact, Unknown):
        raise NotKnown(fact.why)
    return fact
