"""Findings about rows that can be trained on and seldom mean what they say. Must not: read text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from runoff.plan.findings.check import Seen, check, listed
from runoff.words import count_of

if TYPE_CHECKING:
    from runoff.plan.draft import Draft
    from runoff.plan.oddities import Oddity
    from runoff.plan.row_facts import Odd

__all__ = ["CHECKS"]


def _seen(draft: Draft, kind: Oddity, one: str, many: str, why: str, fix: str = "") -> Iterator[Seen]:
    """One finding for each role, key or field: `one` and `many` follow the count, and may name it."""
    found: dict[str, list[Odd]] = {}
    for odd in draft.rows.odd:
        if odd.kind == kind:
            found.setdefault(odd.what, []).append(odd)
    for what, some in found.items():
        verb = (one if len(some) == 1 else many).format(what=what)
        split = draft.rows.split(some[0].at.split)
        place = f"{split.place if split else some[0].at.split}:{some[0].at.number}"
        rows = listed([odd.at for odd in some])
        yield Seen(place, f"{count_of(len(some), 'row')} {verb} ({rows}).", why.format(what=what), fix)


@check("D329", "warning")
def chat_without_a_question(draft: Draft) -> Iterator[Seen]:
    """A chat has no user message: its answer is trained on as one to nothing, and at use a question always comes first.

    Many templates refuse such a chat or write an empty turn into it.
    """
    yield from _seen(
        draft,
        "no question",
        "is a chat without a user message",
        "are chats without a user message",
        "The answer is trained on as one to no question, which is never asked when the model is used.",
        '{"role": "user", "content": "..."} before the answer',
    )


@check("D330", "warning")
def two_turns_of_one_role(draft: Draft) -> Iterator[Seen]:
    """A chat has two user messages in a row, or two of the assistant's.

    Templates that do not refuse it write both out: the model learns to see a question that nobody answers, or an answer
    to no question. With mask_prompt only the last answer of a chat is a target.
    """
    yield from _seen(
        draft,
        "same role",
        "has two {what} messages in a row",
        "have two {what} messages in a row",
        "Both are written out as turns of their own, the first without a turn of the other side between them.",
        "join the two messages, or add the turn that is missing",
    )


@check("D331", "warning")
def role_that_no_template_knows(draft: Draft) -> Iterator[Seen]:
    """A message has a role other than system, user, assistant or a tool's (such as ShareGPT's human).

    Templates refuse it, leave the message out without a word, or write out a role that the model has never seen.
    """
    yield from _seen(
        draft,
        "unknown role",
        "has a message of the role {what}",
        "have a message of the role {what}",
        "The template writes out a role that the model has never seen, or leaves the message out.",
        '"role": "user"',
    )


@check("D332", "warning")
def key_that_stands_twice(draft: Draft) -> Iterator[Seen]:
    """A JSON object holds a key twice. Readers of JSON take the last one and drop the first without a word."""
    yield from _seen(
        draft,
        "repeated key",
        "has the key {what} twice in one object",
        "have the key {what} twice in one object",
        "The last one is trained on; the others are read by nobody.",
        "rename or remove one of the two",
    )


@check("D333", "warning")
def field_beside_those_that_are_read(draft: Draft) -> Iterator[Seen]:
    """A row of one format also has a field of another (text beside messages), or a system prompt of its own.

    Of prompt and completion, messages, and text the first that is there is trained on, as in mlx-lm.
    """
    yield from _seen(
        draft,
        "unread field",
        "has a field {what} that is not read",
        "have a field {what} that is not read",
        "Nothing of it is trained on.",
        "make a message of it, or remove it",
    )


@check("D334", "warning")
def splits_of_two_forms(draft: Draft) -> Iterator[Seen]:
    """The training rows are plain text and the held-out rows chats, or the other way round.

    A loss on them is then of a form that was never trained, and says little of the training.
    """
    train = draft.rows.split("train")
    for split in draft.rows.splits:
        if train and (split.text_rows == split.rows) != (train.text_rows == train.rows):
            forms = ("plain text", "chats") if split.text_rows == split.rows else ("chats", "plain text")
            what = f"The {split.name} rows are {forms[0]}, and those of {train.place} are {forms[1]}."
            why = "Their loss is of a form that is not trained."
            yield Seen(split.place, what, why, "write both in one form")


@check("D335", "warning")
def message_without_text(draft: Draft) -> Iterator[Seen]:
    """A message before the last one is empty or white space: the answer is trained on as one to nothing."""
    yield from _seen(
        draft,
        "empty message",
        "has an empty {what} message",
        "have an empty {what} message",
        "The turn is written out with nothing in it.",
        "write the message, or remove the row",
    )


CHECKS = (
    chat_without_a_question,
    two_turns_of_one_role,
    role_that_no_template_knows,
    key_that_stands_twice,
    field_beside_those_that_are_read,
    splits_of_two_forms,
    message_without_text,
)
