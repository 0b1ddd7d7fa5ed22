"""`--where` expressions: `learning_rate<1e-4 and best_val_loss<1.6`.

Owns: the small language (comparisons, and, or, not, brackets, numbers, texts, dotted names) and what unknown means in
it: a comparison with an unknown value is not true. Must not: evaluate anything as Python.
"""

from __future__ import annotations

import ast
import difflib
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runoff.errors import RunError

__all__ = ["Where", "parse_where", "unknown_key"]

_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_EXAMPLE = "Write e.g. --where \"learning_rate < 1e-4 and status == 'finished'\"."


@dataclass(frozen=True)
class Where:
    """A parsed expression."""

    text: str
    keys: tuple[str, ...]
    tree: ast.expr

    def __call__(self, row: Mapping[str, Any]) -> bool:
        """Whether a run fits."""
        return _holds(self.tree, row)


def parse_where(text: str, known: Sequence[str]) -> Where:
    """Parse, and refuse names that no run has.

    Raises:
        RunError: not an expression of this language, or an unknown name (with the nearest).
    """
    try:
        tree = ast.parse(text.replace(" = ", " == "), mode="eval").body
    except SyntaxError:
        raise RunError(f"--where {text!r}: can't be read. {_EXAMPLE}") from None
    keys = tuple(dict.fromkeys(_names(tree, text)))
    for key in keys:
        if key not in known and key != "run":
            raise unknown_key("--where", key, known)
    return Where(text, keys, tree)


def unknown_key(option: str, key: str, known: Sequence[str]) -> RunError:
    """The sentence for a name that no run has, with the nearest one."""
    close = difflib.get_close_matches(key, [*known, "run"], n=1)
    hint = f"did you mean {close[0]}?" if close else "`runoff show RUN` lists what a run has."
    if option == "--where" and not close:
        hint = f"a text stands in quotes ('{key}'), and `runoff show RUN` lists what a run has."
    return RunError(f"{option}: no run has {key}; {hint}")


def _names(tree: ast.expr, text: str) -> list[str]:
    match tree:
        case ast.BoolOp(values=values):
            return [name for value in values for name in _names(value, text)]
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            return _names(operand, text)
        case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in _COMPARE for op in ops):
            return [name for side in (left, *others) for name in _names(side, text)]
        case ast.Constant(value=str() | int() | float()):
            return []
        case ast.Name() | ast.Attribute():
            return [_dotted(tree, text)]
    raise RunError(f"--where {text!r}: only comparisons, and, or, not and brackets can be used. {_EXAMPLE}")


def _dotted(tree: ast.expr, text: str) -> str:
    match tree:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attribute):
            return f"{_dotted(value, text)}.{attribute}"
    raise RunError(f"--where {text!r}: can't be read. {_EXAMPLE}")


def _holds(tree: ast.expr, row: Mapping[str, Any]) -> bool:
    match tree:
        case ast.BoolOp(op=ast.And(), values=values):
            return all(_holds(value, row) for value in values)
        case ast.BoolOp(values=values):
            return any(_holds(value, row) for value in values)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _holds(operand, row)
        case ast.Compare(left=left, ops=ops, comparators=others):
            sides = [_value(side, row) for side in (left, *others)]
            return all(_compare(op, a, b) for op, a, b in zip(ops, sides, sides[1:], strict=False))
    return bool(_value(tree, row))


def _compare(op: ast.cmpop, a: Any, b: Any) -> bool:
    if a is None or b is None:
        return False
    try:
        return _COMPARE[type(op)](a, b)
    except TypeError:
        return False


def _value(tree: ast.expr, row: Mapping[str, Any]) -> Any:
    match tree:
        case ast.Constant(value=value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = _value(operand, row)
            return None if inner is None else -inner
    return row.get(_dotted(tree, ""))
