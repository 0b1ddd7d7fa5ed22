"""Lines of a text of any size, and printed numbers with their rounding.

Owns: streaming (memory bounded by two blocks), terminal escapes, carriage returns, half-widths. Must not: know
what a line means.
"""

from __future__ import annotations

import codecs
import functools
import json
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from runoff.errors import ImportFailed
from runoff.importers.facts import SourceFile

__all__ = [
    "blocks",
    "clean",
    "half_width",
    "json_line",
    "lines_with",
    "number",
    "read_object",
    "read_text",
    "shared_rounding",
    "without_redraws",
]

BLOCK_BYTES = 1 << 20
KEPT_REDRAWS = 3
_REPORTS = ("Iter ", "{'", "|Loss: ")
"""What a piece between carriage returns holds that is more than a bar."""
MAX_DOCUMENT_BYTES = 64 << 20
_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_=>])")

_COLLECTED = re.compile(
    r"^(?:\[?20\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?\]?|\[?\d\d:\d\d:\d\d(?:[.,]\d+)?\]?"
    r"|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d [\w.-]+ [\w./-]+(?:\[\d+\])?:|\[rank ?\d+\]:|std(?:out|err) [FP]"
    r"|[\w.-]+ +\||\[?(?:DEBUG|INFO|WARNING)\]?:?)(?: |$)"
)
"""What collectors put before a line: a time, journald's host and process, a rank, Kubernetes' stream, Docker's name."""
_GROUPED = re.compile(r"\s*[+-]?\d{1,3}(?:,\d{3})+(?:\.\d*)?(?:e[+-]?\d+)?\s*", re.I)


def blocks(file: BinaryIO, encoding: str = "utf-8-sig") -> Iterator[tuple[str, bool]]:
    """Pieces of about 1 MiB that end where a line ends, and whether that end is there (not at a file cut short).

    The bytes come as Latin-1, which keeps every one of them: Python searches text faster than bytes. UTF-16 becomes
    UTF-8 first. A line of more than 1 MiB is none of a log's and is passed over.
    """
    rest = ""
    wide = codecs.getincrementaldecoder(encoding)("replace") if encoding.startswith("utf-16") else None
    while chunk := file.read(BLOCK_BYTES):
        is_last = len(chunk) < BLOCK_BYTES
        chunk = wide.decode(chunk).encode("utf-8", "replace") if wide else chunk
        text = rest + chunk.decode("latin-1")
        end = text.rfind("\n") + 1 or text.rfind("\r") + 1
        if is_last and end < len(text):  # a bar behind the last line break belongs to the report before it
            yield text, False
            return
        if end:
            yield text[:end], True
        rest = text[end:] if len(text) - end <= BLOCK_BYTES else ""
    if rest:
        yield rest, False


def without_redraws(block: str) -> str:
    """A block without most of the redrawn progress bars (`40%|####    | 4/10`), which can be nearly all of it.

    No line break goes; of each row of redraws a few stay, since Hugging Face's tell the updates.
    """
    if "%|" not in block or "\r" not in block:
        return block
    kept, redraws = [], 0
    for piece in block.split("\r"):
        if "%|" in piece and "\n" not in piece and not any(sign in piece for sign in _REPORTS):
            redraws += 1
            if redraws > KEPT_REDRAWS:
                continue
        else:
            redraws = 0
        kept.append(piece)
    return "\r".join(kept)


def lines_with(block: str, needles: Sequence[str]) -> Iterator[tuple[int, int, int]]:
    """(line breaks before it, start, end) of each line of a block that holds a needle, in order.

    Searches the block a needle at a time, at memory speed, instead of looking at every line. Carriage returns part
    lines too (bars and terminals redraw with them), but editors number lines by line breaks alone, and so do we.
    """
    flat = block.replace("\r", "\n") if "\r" in block else block
    starts = set()
    for needle in needles:
        at = flat.find(needle)
        while at >= 0:
            starts.add(flat.rfind("\n", 0, at) + 1)
            end = flat.find("\n", at)
            at = flat.find(needle, end) if end >= 0 else -1
    breaks = before = 0
    for start in sorted(starts):
        breaks += block.count("\n", before, start)
        before = start
        end = flat.find("\n", start)
        yield breaks, start, end if end >= 0 else len(flat)


def clean(raw: str) -> str:
    """A raw line as text without colours, cursor movements, and what log collectors put before it."""
    if "\x1b" in raw:
        raw = _ESCAPES.sub("", raw)
    if not raw.startswith(("Iter ", " ")):
        while found := _COLLECTED.match(raw):
            raw = raw[found.end() :]
    return raw if raw.isascii() else raw.encode("latin-1").decode("utf-8", "replace")


def number(text: str) -> float:
    """A printed number: thousands separators, nan and inf. A decimal comma (`2,5`) is not taken for a separator.

    Raises:
        ValueError: it is none.
    """
    if "," not in text:
        return float(text)
    if not _GROUPED.fullmatch(text):
        raise ValueError(f"{text!r} is no number with thousands separators")
    return float(text.replace(",", ""))


@functools.lru_cache(maxsize=4096)
def _half_width(decimals: int, exponent: int) -> float:
    return float(f"5e{exponent - decimals - 1}")


def half_width(text: str) -> float | None:
    """Half of the last printed digit: 0.0005 for `1.443`; None for whole numbers and for what is no finite number."""
    mantissa, _, exponent = text.lower().partition("e")
    point = mantissa.find(".")
    if point < 0:
        return None
    width = _half_width(len(mantissa) - point - 1, int(exponent or 0))
    return width if 0 < width < math.inf else None


@functools.lru_cache(maxsize=4096)
def shared_rounding(*items: tuple[str, float | None]) -> dict[str, float]:
    """One dictionary for all rows that are rounded alike; callers must not change it."""
    return {key: width for key, width in items if width is not None}


def read_text(source: SourceFile) -> str:
    """A whole small document.

    Raises:
        ImportFailed: too large to be one, or not to be read.
    """
    if source.size > MAX_DOCUMENT_BYTES:
        raise ImportFailed(f"{source.name}: has {source.size:,} bytes, too many for a document of this kind.")
    try:
        return source.path.read_bytes().decode(source.encoding, "replace")
    except OSError as error:
        raise ImportFailed(f"{source.name}: can't be read ({error.strerror}).") from None


def read_object(source: SourceFile) -> tuple[dict[str, Any], str]:
    """A JSON object and its text.

    Raises:
        ImportFailed: no JSON, cut short, or another kind of value.
    """
    text = read_text(source)
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ImportFailed(f"{source.name}: is not whole JSON ({error}). Was the copy interrupted?") from None
    if not isinstance(body, dict):
        raise ImportFailed(f"{source.name}: holds a JSON {type(body).__name__}, but an object was expected.")
    return body, text


def json_line(text: str, key: str) -> int:
    """The line that a dotted key stands on in a JSON text; 1 where it can't be found."""
    position = 0
    for part in key.split("."):
        found = re.compile(rf'"{re.escape(part)}"\s*:').search(text, position)
        if found is None:
            return 1
        position = found.start()
    return text.count("\n", 0, position) + 1
