"""How many ids a row begins with whatever is asked: a function of the template, the system prompt and the tools."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.runs import chat_row, write_rows
from tests.support.tiny import TEMPLATE, make_tiny_model

from runoff.data import Encoded, Fork, Forked, encode_for_scoring, encode_for_training, load_rows, load_tokenizer
from runoff.data.openings import SHORTEST

LONG = "You answer as a patient teacher of woodwork would, in two or three sentences."
STRICT = "{% if messages[-1]['content'] | length < 4 %}{{ raise_exception('too short') }}{% endif %}" + TEMPLATE


def row(number: int, system: str | None, **fields: Any) -> dict[str, Any]:
    before = [] if system is None else [{"role": "system", "content": system}]
    return {"messages": [*before, *chat_row(number)["messages"]], **fields}


def encoded(model: Path, folder: Path, rows: list[dict[str, Any]], *, limit: int = 2048) -> list[Encoded]:
    loaded = load_rows(write_rows(folder / "rows.jsonl", rows)).rows
    return encode_for_scoring(loaded, load_tokenizer(model), max_seq_length=limit)


def test_it_is_what_all_rows_with_the_system_prompt_begin_with(tiny_model: Path, tmp_path: Path) -> None:
    rows = encoded(tiny_model, tmp_path, [row(number, LONG) for number in range(5)])
    (opening,) = {example.opening for example in rows}
    text = load_tokenizer(tiny_model).decode(rows[0].ids[:opening].tolist())
    assert text.rstrip("\n").endswith(LONG + "\nuser") or text.rstrip("\n").endswith(LONG + "user")
    assert SHORTEST <= opening < min(example.target_start for example in rows)
    assert len({example.ids[:opening].tobytes() for example in rows}) == 1


def test_it_is_the_same_in_any_company(tiny_model: Path, tmp_path: Path) -> None:
    """A row that begins like the others by chance shares no more with them, and one alone shares as much."""
    twice = [row(1, LONG), row(1, LONG), row(2, LONG + " Always."), row(3, None)]
    together = encoded(tiny_model, tmp_path, twice)
    alone = [encoded(tiny_model, tmp_path, [one])[0] for one in twice]
    assert [example.opening for example in together] == [example.opening for example in alone]
    assert together[0].opening == together[1].opening < together[2].opening
    assert together[3].opening == 0  # fewer ids than are worth it


def test_training_and_scoring_find_the_same(tiny_model: Path, tmp_path: Path) -> None:
    loaded = load_rows(write_rows(tmp_path / "rows.jsonl", [row(1, LONG)])).rows
    tokenizer = load_tokenizer(tiny_model)
    (scored,) = encode_for_scoring(loaded, tokenizer, max_seq_length=2048)
    for masked in (True, False):
        (trained,) = encode_for_training(loaded, tokenizer, mask_prompt=masked, max_seq_length=2048)
        assert trained.opening == scored.opening > 0


def test_tools_are_part_of_it(tmp_path: Path) -> None:
    model = make_tiny_model(tmp_path / "model", template="{% if tools %}{{ tools | tojson }}\n{% endif %}" + TEMPLATE)
    tool = {"type": "function", "function": {"name": "timer", "parameters": {}}}
    with_tool, without = encoded(model, tmp_path, [row(1, None, tools=[tool]), row(2, None)])
    assert with_tool.opening > without.opening == 0


@pytest.mark.parametrize(
    ("rows", "template", "limit"),
    [
        ([{"text": "some text " * 20}], TEMPLATE, 2048),
        ([row(1, LONG)], STRICT, 2048),
        ([row(1, LONG)], TEMPLATE, SHORTEST),
    ],
    ids=["text", "a template that refuses the questions asked", "cut off within it"],
)
def test_where_there_is_none(rows: list[dict[str, Any]], template: str, limit: int, tmp_path: Path) -> None:
    (example,) = encoded(make_tiny_model(tmp_path / "model", template=template), tmp_path, rows, limit=limit)
    assert example.opening == 0


@pytest.mark.parametrize(("start", "at", "opening"), [(30, 35, 20), (30, 20, 0), (20, 35, 0), (21, 21, 20)])
def test_a_fork_or_target_within_it_leaves_none(
    start: int, at: int, opening: int, tiny_model: Path, tmp_path: Path
) -> None:
    (example,) = encoded(tiny_model, tmp_path, [row(1, LONG)])
    example = replace(example, target_start=start, opening=20)
    assert Forked(example, (Fork(at, np.array([1, 2], dtype=np.int32), at),)).opening == opening


def test_where_targets_are_predicted(tiny_model: Path, tmp_path: Path) -> None:
    """A fork's first id from the last position that it shares, its others from its own, behind the row's."""
    (example,) = encoded(tiny_model, tmp_path, [row(1, LONG)])
    size, start, end = len(example.ids), example.target_start, example.target_end
    forks = (
        Fork(start + 2, np.array([7, 8, 9], dtype=np.int32), start),
        Fork(end - 1, np.array([5], np.int32), end - 1),
    )
    at, targets, sizes = Forked(example, forks).predicted
    assert at.tolist() == [*range(start - 1, end - 1), start + 1, size, size + 1, end - 2]
    assert targets.tolist() == [*example.ids[start:end].tolist(), 7, 8, 9, 5]
    assert sizes == [end - start, 3, 1]
