"""What is odd about a row that can be trained on. Owns: seeing it. Must not: judge it (findings do)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

from runoff.data import Row

__all__ = ["Oddity", "oddities"]

Oddity = Literal["no question", "same role", "unknown role", "repeated key", "unread field", "empty message"]

_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function", "ipython"})
"""The roles that the chat templates of the models here have, those of tools included."""


def _says(message: Mapping[str, Any]) -> bool:
    return bool(str(message.get("content") or "").strip())


def oddities(row: Row, repeated_keys: Sequence[str] = ()) -> Iterator[tuple[Oddity, str]]:
    """Each kind with the role, key or field that makes it one. `repeated_keys`: those of its line."""
    roles = [str(message["role"]) for message in row.messages]
    if roles and not {"user", "tool", "function", "ipython"} & set(roles):
        yield "no question", ""
    doubled = dict.fromkeys(one for one, after in pairwise(roles) if one == after and one in ("user", "assistant"))
    yield from (("same role", role) for role in doubled)
    yield from (("unknown role", role) for role in dict.fromkeys(roles) if role not in _ROLES)
    empty = dict.fromkeys(
        str(message["role"]) for message in row.messages[:-1] if not (message.get("tool_calls") or _says(message))
    )
    yield from (("empty message", role) for role in empty)
    yield from (("repeated key", key) for key in repeated_keys)
    yield from (("unread field", field) for field in row.unread)
