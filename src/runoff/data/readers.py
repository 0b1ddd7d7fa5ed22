"""Questions and answers as people keep them, made into chat records: JSONL, JSON, CSV and Markdown.

Owns: the field names of each habit, and the sentence for what can't be read. Every record keeps its place and, where
the file names one, its source. Must not: split or write.

    {"messages": [...]}                      as it is
    {"conversations": [{"from", "value"}]}   ShareGPT
    prompt/completion, instruction(+input)/output, question/answer, ...   a user turn and an assistant turn
    {"text": ...}                            as it is: plain text has no turns
    Markdown   "Q: ... A: ..." pairs, or headings that are questions with the text below them
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runoff.data.lines import json_kind, repeated
from runoff.data.rows import SOURCE_KEYS
from runoff.errors import DataError

__all__ = ["Record", "read_records"]

PAIRS = (
    ("prompt", "completion"),
    ("prompt", "response"),
    ("instruction", "output"),
    ("instruction", "response"),
    ("question", "answer"),
    ("query", "response"),
    ("user", "assistant"),
    ("input", "output"),
    ("q", "a"),
)
ROLES = {"human": "user", "gpt": "assistant", "user": "user", "assistant": "assistant", "system": "system"}


@dataclass(frozen=True, slots=True)
class Record:
    """One row ready to be written: chat messages or plain text, with its source if it has one."""

    place: str
    body: Mapping[str, Any]
    source: str | None


def read_records(path: Path, source_key: str | None = None) -> list[Record]:
    """Read one file by its ending; `source_key` names the field that holds the source.

    Raises:
        DataError: the ending is not known, the file can't be read, or a row has no question and answer.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path}: rows are read from {', '.join(_READERS)} files. Rename it, or convert it.")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file.") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start + 1}). Save the file as UTF-8.") from None
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror}).") from None
    records = [_record(place, raw, source_key) for place, raw in reader(text, path)]
    if not records:
        raise DataError(f"{path}: no question and answer was found in it.")
    return records


def _jsonl(text: str, path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield f"{path}:{number}", _object(_parsed(line, f"{path}:{number}"), f"{path}:{number}")


def _json(text: str, path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """A list of objects, or an object with one list of objects in it."""
    whole = _parsed(text, str(path))
    if isinstance(whole, dict):
        lists = [value for value in whole.values() if isinstance(value, list)]
        whole = lists[0] if len(lists) == 1 and "messages" not in whole else [whole]
    if not isinstance(whole, list):
        raise DataError(f"{path}: must be a list of objects.")
    for number, raw in enumerate(whole, start=1):
        yield f"{path}: row {number}", _object(raw, f"{path}: row {number}")


def _csv(text: str, path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """A header line names the columns; the separator is the one of , ; and tab that the header has most of."""
    header = text.partition("\n")[0]
    separator = max(",;\t", key=header.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        for raw in reader:
            yield f"{path}:{reader.line_num}", {str(key).strip().lower(): value for key, value in raw.items() if key}
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num}: not CSV ({error}).") from None


_Q = re.compile(
    r"^\s*(?:[-*>]\s+|#+\s*)?(?:\*\*|__)?(?:Q|Question|Frage)\s*\d*\s*[:.](?:\*\*|__)?\s*(.*)$", re.IGNORECASE
)
_A = re.compile(
    r"^\s*(?:[-*>]\s+|#+\s*)?(?:\*\*|__)?(?:A|Answer|Antwort)\s*\d*\s*[:.](?:\*\*|__)?\s*(.*)$", re.IGNORECASE
)
_HEADING = re.compile(r"^(#{1,6})\s+(.*?)\s*#*$")


@dataclass(slots=True)
class _Pair:
    """A question and answer while their lines are read. `level`: of the heading that asks; 0 for a `Q:` line."""

    place: str
    source: str
    question: list[str]
    answer: list[str] | None = None
    level: int = 0

    @property
    def unanswered(self) -> bool:
        """Nothing but blank lines stands below."""
        return not any(line.strip() for line in self.answer or ())

    def raw(self) -> tuple[str, Mapping[str, Any]]:
        question, answer = "\n".join(self.question).strip("* \n"), "\n".join(self.answer or []).strip()
        return self.place, {"question": question, "answer": answer, "source": self.source}


def _markdown(text: str, path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """`Q:` and `A:` lines, and headings that end in a question mark. Any other heading, and a question that only holds
    further questions, is the source of what follows. Inside a code block nothing is a mark."""
    pair: _Pair | None = None
    source, fenced = path.stem, False
    for number, line in enumerate(text.splitlines(), start=1):
        fence = line.lstrip().startswith("```")
        fenced ^= fence
        question, answer, heading = (None, None, None) if fenced or fence else _marks(line)
        level = len(heading[1]) if heading else 0
        if question or heading:
            if pair is not None and pair.level and pair.unanswered and (question or level > pair.level):
                source = pair.question[0]
            elif pair is not None:
                yield pair.raw()
            pair = None
        if question:
            pair = _Pair(f"{path}:{number}", source, [question[1]])
        elif heading and heading[2].rstrip("*_ ").endswith("?"):
            pair = _Pair(f"{path}:{number}", source, [heading[2]], [], level)
        elif heading:
            source = heading[2]
        elif answer and pair is not None and pair.unanswered:
            pair.answer = [answer[1]]
        elif pair is not None:
            (pair.question if pair.answer is None else pair.answer).append(line)
    if pair is not None:
        yield pair.raw()


def _marks(line: str) -> tuple[re.Match[str] | None, re.Match[str] | None, re.Match[str] | None]:
    """As a question, an answer or a heading: one of them at most."""
    question = _Q.match(line)
    answer = None if question else _A.match(line)
    return question, answer, None if question or answer else _HEADING.match(line)


_READERS: dict[str, Callable[[str, Path], Iterator[tuple[str, Mapping[str, Any]]]]] = {
    ".jsonl": _jsonl,
    ".json": _json,
    ".csv": _csv,
    ".md": _markdown,
    ".markdown": _markdown,
}


def _parsed(text: str, place: str) -> Any:
    def made(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if twice := repeated(pairs):
            raise DataError(f"{place}: has the key {twice[0]} twice in one object. Rename or remove one of the two.")
        return dict(pairs)

    try:
        return json.loads(text, object_pairs_hook=made)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply"
        if isinstance(error, json.JSONDecodeError):
            line = f"line {error.lineno}, " if "\n" in text.strip() else ""
            reason = f"{error.msg}, {line}column {error.colno}"
        raise DataError(f"{place}: not JSON ({reason}).") from None


def _object(raw: Any, place: str) -> Mapping[str, Any]:
    if not isinstance(raw, dict):
        raise DataError(f"{place}: is {json_kind(raw)}, but must be an object with a question and an answer.")
    return raw


def _record(place: str, raw: Mapping[str, Any], source_key: str | None) -> Record:
    keys = (source_key,) if source_key else SOURCE_KEYS
    source = next((str(raw[key]) for key in keys if raw.get(key) not in (None, "")), None)
    return Record(place, _body(place, raw), source)


def _body(place: str, raw: Mapping[str, Any]) -> Mapping[str, Any]:
    extra = {"tools": raw["tools"]} if raw.get("tools") else {}
    if isinstance(raw.get("messages"), list):
        return {"messages": raw["messages"], **extra}
    if isinstance(raw.get("conversations"), list):
        return {"messages": [_turn(place, turn) for turn in raw["conversations"]], **extra}
    for asked, answered in PAIRS:
        if isinstance(raw.get(asked), str) and isinstance(raw.get(answered), str):
            return {"messages": _messages(place, raw, asked, answered)}
    if isinstance(raw.get("text"), str):
        return {"text": raw["text"]}
    fields = ", ".join(map(str, raw)) or "none"
    raise DataError(
        f"{place}: has no question and answer (its fields: {fields}). Name them question and answer, or prompt and "
        "completion, or write messages."
    )


def _messages(place: str, raw: Mapping[str, Any], asked: str, answered: str) -> list[dict[str, str]]:
    question, answer = raw[asked].strip(), raw[answered].strip()
    if not question or not answer:
        raise DataError(f"{place}: {asked if not question else answered} is empty. Fill it in or remove the row.")
    context = raw.get("input")
    if asked == "instruction" and isinstance(context, str) and context.strip():
        question = f"{question}\n\n{context.strip()}"
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    system = raw.get("system")
    return [{"role": "system", "content": system}, *turns] if isinstance(system, str) and system.strip() else turns


def _turn(place: str, turn: Any) -> dict[str, str]:
    role = ROLES.get(str(turn.get("from", turn.get("role")))) if isinstance(turn, dict) else None
    text = turn.get("value", turn.get("content")) if isinstance(turn, dict) else None
    if role is None or not isinstance(text, str):
        raise DataError(f'{place}: a turn must be like {{"from": "human", "value": "..."}}.')
    return {"role": role, "content": text}
