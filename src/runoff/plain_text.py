"""Text from files and models, made safe to print. Owns: what is not printed as it is. Must not: know any markup."""

from __future__ import annotations

import re

__all__ = ["visible"]

# Control characters (a terminal obeys them), lone surrogates (no file can hold them), and marks that turn the direction
# of writing (what is read is then not what is there). New lines and tabs stay.
_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")


def visible(text: str) -> str:
    r"""The text with each unsafe character written out, as `\x1b`."""
    if text.isascii() and text.isprintable():
        return text
    return _UNSAFE.sub(_written, text.replace("\r\n", "\n"))


def _written(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
