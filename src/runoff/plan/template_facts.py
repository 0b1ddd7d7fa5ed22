"""What a chat template does besides setting out the messages.

Owns: finding it out by rendering a two-turn chat. Must not: judge it (findings do).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from runoff.data import Tokenizer
from runoff.data.template import FROZEN_CLOCK
from runoff.errors import ModelError

__all__ = ["TemplateFacts", "template_facts"]

_QUESTION, _ANSWER = "RUNOFF QUESTION", "RUNOFF ANSWER"
_CLOCK = re.compile(r"strftime_now\(\s*[\"'](.+?)[\"']\s*\)")


@dataclass(frozen=True, slots=True)
class TemplateFacts:
    """What the template adds to a chat that has no system message.

    system: the text before the first question. date: today's date as the template prints it, rendered for the frozen
    clock. thinking: where a thinking block is added, "" where none is.
    """

    present: bool
    system: str = ""
    date: str = ""
    thinking: str = ""


def template_facts(tokenizer: Tokenizer) -> TemplateFacts:
    """Render a chat and compare it with its messages."""
    if tokenizer.chat_template is None:
        return TemplateFacts(present=False)
    chat = [
        {"role": "user", "content": _QUESTION},
        {"role": "assistant", "content": _ANSWER},
        {"role": "user", "content": _QUESTION},
        {"role": "assistant", "content": _ANSWER},
    ]
    try:
        whole = tokenizer.render(chat, add_generation_prompt=False)
        prompt = tokenizer.render(chat[:3], add_generation_prompt=True)
    except ModelError:
        return TemplateFacts(present=True)
    if whole.count(_QUESTION) != 2:  # it leaves messages out; what it adds can't be told apart
        return TemplateFacts(present=True)
    start, between, _ = whole.split(_QUESTION)
    header = start[len(start) - _common_end(start, between) :]
    added = start.removesuffix(header).removeprefix(tokenizer.special_tokens.get("bos_token", "\0"))
    return TemplateFacts(
        present=True,
        system=added.strip() if re.search(r"\w", added) else "",
        date=_date(tokenizer.chat_template, whole),
        thinking=_thinking(whole, prompt),
    )


def _common_end(one: str, other: str) -> int:
    """How many last characters two texts share."""
    pairs = zip(reversed(one), reversed(other), strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _date(source: str, whole: str) -> str:
    printed = (FROZEN_CLOCK.strftime(pattern) for pattern in _CLOCK.findall(source))
    return next((date for date in printed if date in whole), "")


def _thinking(whole: str, prompt: str) -> str:
    """Empty thinking blocks are what a template puts before an answer that has no thoughts."""
    places = [
        name
        for name, text in (
            ("the answer", whole.rpartition(_QUESTION)[2]),
            ("the prompt that it generates from", prompt.rpartition(_QUESTION)[2]),
        )
        if "<think>" in text
    ]
    return " and ".join(places)
