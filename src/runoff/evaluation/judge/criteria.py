"""What a judge is asked, one criterion a call, and how its reply is read. Owns: the wording and its version.

No model is named. What stands in an answer can't end the answer or give a verdict of its own. Must not: call, or count.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from runoff.evaluation.judge.server import Messages

__all__ = ["CRITERIA", "TEMPLATE", "Criterion", "Question", "Verdict", "read_verdict"]

TEMPLATE = "1"
"""Changes with the wording: replies to another wording do not count."""

Verdict = Literal["A", "B", "TIE"]

_LONGEST = 6000
_DELIMITER = re.compile(r"\[(?=\s*(?:END|ANSWER|TEXT|REFERENCE|QUESTION)\b)", re.IGNORECASE)
_VERDICT_WORD = re.compile("verdict", re.IGNORECASE)
_THOUGHT = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL)
_SAID = re.compile(r"\bVERDICT\b[\s:=*_\"'`(\[]*(?:ANSWER\s+)?(A|B|TIE)\b")
_BARE = re.compile(r"[\s*_\"'`(\[]*(A|B|TIE)[\s*_\"'`)\].]*")
_LAST_LINE = (
    "End with one line that holds your verdict and nothing else: VERDICT: A if it is answer A, VERDICT: B if it is "
    "answer B, VERDICT: TIE if neither."
)


@dataclass(frozen=True, slots=True)
class Question:
    """What two answers answer. anchors: the author's answers to other questions."""

    example: str
    cluster: str
    question: str
    reference: str
    anchors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Criterion:
    """key: in the names of measures. title: for tables. prompt: from a question and two answers to the text."""

    key: str
    title: str
    prompt: Callable[[Question, str, str], str]

    def messages(self, question: Question, first: str, second: str) -> Messages:
        """One user message: some models know no other role."""
        return ({"role": "user", "content": self.prompt(question, first, second)},)


def _style(question: Question, first: str, second: str) -> str:
    anchors = "\n\n".join(_quoted(f"TEXT {n}", text) for n, text in enumerate(question.anchors, start=1))
    return (
        f"Here are texts by one person.\n\n{anchors}\n\nSomebody was asked this:\n\n"
        f"{_quoted('QUESTION', question.question)}\n\nTwo answers were given.\n\n{_answers(first, second)}\n\n"
        "Which of the two answers is more likely to be by the person who wrote the texts above? Look at voice, rhythm, "
        f"layout and choice of words. Ignore correctness, length and quality.\n\n{_LAST_LINE}"
    )


def _correctness(question: Question, first: str, second: str) -> str:
    return (
        f"A question was put to an expert.\n\n{_quoted('QUESTION', question.question)}\n\nThe expert's own answer is "
        f"the reference.\n\n{_quoted('REFERENCE', question.reference)}\n\nTwo other answers were given.\n\n"
        f"{_answers(first, second)}\n\nFor each of the two, count the statements that contradict the reference, then "
        "the key points of the reference that are missing. The answer with fewer contradictions is better; if "
        f"they have equally many, the one with fewer missing points. Ignore tone, layout and length.\n\n{_LAST_LINE}"
    )


def _answers(first: str, second: str) -> str:
    return f"{_quoted('ANSWER A', first)}\n\n{_quoted('ANSWER B', second)}"


def _quoted(name: str, text: str) -> str:
    """Untrusted text between delimiters that it can't write itself."""
    text = text.strip()
    kept = text if len(text) <= _LONGEST else f"{text[:_LONGEST]} (cut here)"
    return f"[{name}]\n{_VERDICT_WORD.sub('verdict', _DELIMITER.sub('(', kept))}\n[END OF {name}]"


CRITERIA: tuple[Criterion, ...] = (
    Criterion("style", "Style", _style),
    Criterion("correctness", "Agreement with the reference", _correctness),
)


def read_verdict(text: str) -> Verdict | None:
    """The verdict of the last line that holds one; None if there is none, or if that line holds several.

    What a model thinks aloud before it answers does not count; a thought that was cut off leaves nothing.
    """
    lines = [line for line in _THOUGHT.sub("", text).split("\n") if line.strip()]
    for line in reversed(lines):
        found = set(_SAID.findall(line))
        if found:
            return _known(found.pop()) if len(found) == 1 and not re.search(r"(?:A|B|TIE)\s*[|/]", line) else None
    bare = _BARE.fullmatch(lines[-1]) if lines else None
    return _known(bare.group(1)) if bare else None


def _known(text: str) -> Verdict:
    return "A" if text == "A" else "B" if text == "B" else "TIE"
