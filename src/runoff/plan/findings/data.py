"""Findings about single rows and what the chat template makes of them. Must not: compare rows (sources.py does)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from runoff.plan.findings.check import Seen, check, listed
from runoff.plan.unknown import Unknown
from runoff.words import count_of

if TYPE_CHECKING:
    from runoff.plan.data_facts import SplitFacts
    from runoff.plan.draft import Draft

__all__ = ["CHECKS", "OF_ROWS"]


def _splits(draft: Draft) -> Iterator[tuple[str, SplitFacts]]:
    for name, facts in (("training", draft.data.train), ("validation", draft.data.valid)):
        if facts is not None:
            yield name, facts


def _row_problems(draft: Draft, kind: str, why: str, fix: str = "") -> Iterator[Seen]:
    found: dict[str, list[str]] = {}
    for problem in draft.rows.problems:
        if problem.kind == kind:
            found.setdefault(problem.text.removeprefix(f"{problem.place}: "), []).append(problem.place)
    for text, places in list(found.items())[:5]:
        more = f" {count_of(len(places) - 1, 'more row')} in the same way." if len(places) > 1 else ""
        yield Seen(places[0], text + more, why, fix)
    rest = [place for places in list(found.values())[5:] for place in places]
    if rest:
        yield Seen(rest[0], f"{count_of(len(rest), 'more row')} can't be used, from here on.", why, fix)


@check("D301", "error")
def row_that_cant_be_read(draft: Draft) -> Iterator[Seen]:
    """A row is not JSON, not UTF-8, or has none of the fields of a known format.

    All such rows are counted, and what is wrong with them is said once.
    """
    yield from _row_problems(draft, "row", "No run can start with it.")


@check("D302", "error")
def last_message_not_the_assistants(draft: Draft) -> Iterator[Seen]:
    """A chat row ends with the user's or the system's message, so there is no answer to learn.

    mlx-lm trains on such a row; with mask_prompt it takes the last message, whoever's it is, for the answer.
    """
    yield from _row_problems(draft, "last message", "mlx-lm trains on it all the same.")


@check("D303", "error")
def mixed_formats(draft: Draft) -> Iterator[Seen]:
    """One file holds rows of several formats.

    mlx-lm decides by the first row and reads all others as that: a KeyError while training, or the wrong fields.
    """
    yield from _row_problems(draft, "format", "mlx-lm reads all rows of a file as the first one's kind.")


@check("D304", "warning")
def rows_cut(draft: Draft) -> Iterator[Seen]:
    """Rows longer than max_seq_length lose their end and the end token, so the model is not shown where to stop."""
    limit = draft.settings.max_seq_length
    for name, facts in _splits(draft):
        if facts.rows_cut:
            kept = set(facts.rows_without_target)
            ends = sum(number not in kept for number in facts.rows_cut)
            yield Seen(
                draft.place("max_seq_length"),
                f"{len(facts.rows_cut):,} of {count_of(facts.rows, f'{name} row')} are longer than {limit:,} tokens "
                f"and lose "
                f"{count_of(facts.tokens_cut, 'token')} and {count_of(ends, 'end token')} (rows "
                f"{listed(facts.rows_cut)}).",
                "A row that is cut never shows the model where to stop.",
                f"max_seq_length: {facts.longest_tokens}",
            )


@check("D305", "warning")
def rows_without_target(draft: Draft) -> Iterator[Seen]:
    """The prompt alone fills max_seq_length, so nothing of the answer is left to learn. Runoff leaves the row out.

    mlx-lm with mask_prompt divides by 0 there, and every weight of the adapter becomes NaN and is saved.
    """
    for name, facts in _splits(draft):
        if facts.rows_without_target:
            numbers = facts.rows_without_target
            longer = facts.longest_tokens > draft.settings.max_seq_length
            yield Seen(
                draft.place("max_seq_length"),
                f"{count_of(len(numbers), f'{name} row')} of {facts.rows:,} {'has' if len(numbers) == 1 else 'have'} "
                f"no "
                f"target token within {draft.settings.max_seq_length:,} tokens (rows {listed(numbers)}) and "
                f"{'is' if len(numbers) == 1 else 'are'} left out.",
                "mlx-lm would divide by 0 there and save NaN.",
                f"max_seq_length: {facts.longest_tokens}" if longer else "write an answer, or remove the rows",
            )


@check("D306", "warning")
def no_valid_set(draft: Draft) -> Iterator[Seen]:
    """No rows are held out to look at while training: the best checkpoint is unknown, the last adapter is kept."""
    train = draft.rows.split("train")
    if train is not None and draft.rows.split("valid") is None:
        yield Seen(
            train.place,
            f"There is no valid.jsonl beside its {count_of(train.rows, 'row')}.",
            "The best checkpoint is unknown and early stopping can't work; the last adapter is kept.",
            f"runoff data split {train.place} --out data-split",
        )


@check("D307", "warning")
def empty_answers(draft: Draft) -> Iterator[Seen]:
    """The answer is empty or white space: the model learns to say nothing."""
    found = draft.rows.empty_answers
    if found:
        what = f"{count_of(len(found), 'answer')} {'is' if len(found) == 1 else 'are'} empty ({listed(found)})."
        yield Seen(_place(draft, found[0].split), what, "An empty answer teaches the model to say nothing.")


@check("D308", "note")
def one_word_answers(draft: Draft) -> Iterator[Seen]:
    """The answer is one word, which is right for a classifier and seldom for a voice."""
    found = draft.rows.one_word_answers
    if found:
        what = f"{count_of(len(found), 'answer')} {'is' if len(found) == 1 else 'are'} one word ({listed(found)})."
        yield Seen(_place(draft, found[0].split), what, "Short answers pull the length of all answers down.")


def _place(draft: Draft, split: str) -> str:
    found = draft.rows.split(split)
    return found.place if found else split


@check("D309", "error")
def chat_rows_without_a_template(draft: Draft) -> Iterator[Seen]:
    """The model has no chat template, so chat and prompt/completion rows can't be turned into tokens."""
    chats = [split for split in draft.rows.splits if split.text_rows < split.rows]
    if chats and not draft.template.present:
        yield Seen(
            chats[0].place,
            f"{count_of(chats[0].rows, 'row')} are chats, and {draft.settings.model} has no chat template.",
            "Without one the roles can't be written out.",
            f"model: {draft.settings.model}-Instruct",
        )


@check("D310", "note")
def system_prompt_of_the_template(draft: Draft) -> Iterator[Seen]:
    """The template writes a system prompt into chats that have none, so every row is trained behind it."""
    added = draft.template.system
    if added:
        shown = " ".join(added.split())
        shown = f"{shown[:80]}..." if len(shown) > 80 else shown
        yield Seen(
            draft.settings.model,
            f'The chat template adds "{shown}" to chats without a system message.',
            "Wherever the model is used, the same text has to stand there.",
            '{"role": "system", "content": "..."} as the first message of every row says what you want instead',
        )


@check("D311", "warning")
def date_in_the_template(draft: Draft) -> Iterator[Seen]:
    """The template prints today's date.

    Runoff freezes it, so that a prompt is the same tomorrow; other tools do not.
    """
    if draft.template.date:
        yield Seen(
            draft.settings.model,
            f'The chat template prints today\'s date; Runoff always writes "{draft.template.date}".',
            "In other tools the same rows give other tokens every day.",
        )


@check("D312", "note")
def thinking_template(draft: Draft) -> Iterator[Seen]:
    """The template puts a thinking block where the rows have none: the model is trained to think nothing."""
    if draft.template.thinking:
        yield Seen(
            draft.settings.model,
            f"The chat template writes a thinking block into {draft.template.thinking}, which the rows do not have.",
            "The block at use has to be the one that was trained on.",
        )


@check("D313", "warning")
def prompt_that_shifts(draft: Draft) -> Iterator[Seen]:
    """The template renders a prompt otherwise when its answer follows, so its tokens are not where a mask looks.

    Runoff starts the target where the two renderings part; mlx-lm counts the tokens of the prompt alone and masks the
    wrong ones.
    """
    for name, facts in _splits(draft):
        rows = facts.rows_of_shifting_prompt
        if rows:
            yield Seen(
                facts.place,
                f"The prompt of {len(rows):,} of {count_of(facts.rows, f'{name} row')} is rendered otherwise without "
                f"its "
                f"answer (rows {listed(rows)}).",
                "mlx-lm's mask_prompt masks the wrong tokens there; Runoff's targets start where the two part.",
            )


@check("D314", "warning")
def answers_without_an_end_token(draft: Draft) -> Iterator[Seen]:
    """No end token follows the answer, so the model is not taught to stop."""
    for name, facts in _splits(draft):
        rows = facts.rows_without_end
        if rows:
            yield Seen(
                facts.place,
                f"{len(rows):,} of {count_of(facts.rows, f'{name} row')} do not end in an end token (rows "
                f"{listed(rows)}).",
                "The model is not shown where an answer ends.",
            )


@check("D315", "warning")
def mask_prompt_on_text_rows(draft: Draft) -> Iterator[Seen]:
    """mask_prompt is on and the rows are plain text, which has no prompt. Runoff trains on all of it; mlx-lm stops."""
    texts = [split for split in draft.rows.splits if split.text_rows]
    if texts and draft.settings.mask_prompt:
        number = texts[0].text_rows
        are = "is" if number == 1 else "are"
        what = f"mask_prompt is true, and {count_of(number, f'{texts[0].name} row')} {are} plain text."
        why = "Plain text has no prompt: all of it is trained on; mlx-lm stops with a ValueError."
        yield Seen(draft.place("mask_prompt"), what, why, "mask_prompt: false")


@check("D316", "warning")
def test_without_a_test_set(draft: Draft) -> Iterator[Seen]:
    """test is true and there is no test.jsonl. mlx-lm stops with a ValueError before it trains."""
    if draft.settings.test and draft.rows.split("test") is None:
        why = "Nothing can be scored after training; mlx-lm stops before it."
        yield Seen(draft.place("test"), "test is true, and there is no test.jsonl.", why, "test: false")


@check("D317", "error")
def no_training_rows(draft: Draft) -> Iterator[Seen]:
    """The data folder has no train.jsonl, or no row in it can be read."""
    if draft.rows.split("train") is None:
        held_out = listed([split.name for split in draft.rows.splits]) or "nothing that can be read"
        what = f"There are no training rows; the folder holds {held_out}."
        yield Seen(draft.place("data"), what, "There is nothing to train on.")


@check("D318", "error")
def rows_that_the_template_refuses(draft: Draft) -> Iterator[Seen]:
    """The model's chat template refuses a row's messages: roles out of turn, or a role that it does not know."""
    data = draft.facts.data
    if isinstance(data, Unknown) and data.broken and draft.template.present:
        yield Seen(draft.place("data"), f"{data.why}.", "The row can't be turned into tokens.")


@check("D319", "warning")
def split_that_is_not_read(draft: Draft) -> Iterator[Seen]:
    """A file is named like a split, but not as a split is: validation.jsonl, val.jsonl, VALID.jsonl, valid.json.

    Only train.jsonl, valid.jsonl and test.jsonl are read, by Runoff and by mlx-lm.
    """
    for path, split in draft.rows.unread:
        taken = draft.rows.split(split) is not None
        fix = f"remove it, or add its rows to {split}.jsonl" if taken else f"mv {path} {path.with_name(split)}.jsonl"
        if not taken and path.suffix.lower() != ".jsonl":
            fix = f"write its rows to {path.with_name(split)}.jsonl, one JSON object a line"
        yield Seen(str(path), f"This file is not read; {split}.jsonl is.", "Its rows would count for nothing.", fix)


CHECKS = (
    row_that_cant_be_read,
    last_message_not_the_assistants,
    mixed_formats,
    rows_cut,
    rows_without_target,
    no_valid_set,
    empty_answers,
    one_word_answers,
    chat_rows_without_a_template,
    system_prompt_of_the_template,
    date_in_the_template,
    thinking_template,
    prompt_that_shifts,
    answers_without_an_end_token,
    mask_prompt_on_text_rows,
    test_without_a_test_set,
    no_training_rows,
    rows_that_the_template_refuses,
    split_that_is_not_read,
)
OF_ROWS = (
    row_that_cant_be_read,
    last_message_not_the_assistants,
    mixed_formats,
    no_valid_set,
    empty_answers,
    one_word_answers,
    split_that_is_not_read,
)
