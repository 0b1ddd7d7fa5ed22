"""What is said of a test set before its numbers, and that its prompts are the same tomorrow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.support.runs import chat_row, fake_train, make_config, make_data, write_rows
from tests.support.tiny import TEMPLATE, make_tiny_model

from runoff.data import load_tokenizer
from runoff.errors import DataError
from runoff.evaluation.testset import TestSet, read_test_set
from runoff.runs import Run


@pytest.fixture
def run(tiny_model: Path, tmp_path: Path) -> Run:
    return fake_train(make_config(tiny_model, make_data(tmp_path / "data"), iters=2), "run", tmp_path / "runs")


def read(run: Run, rows: Sequence[Mapping[str, Any]], model: Path, context: int | None = None) -> TestSet:
    path = write_rows(run.folder.path.parent / "held-out.jsonl", rows)
    return read_test_set([run], path, load_tokenizer(model), context)


def said(test: TestSet) -> str:
    return " ".join(test.notes())


def test_nothing_is_said_of_a_good_test_set(run: Run, tiny_model: Path) -> None:
    assert said(read(run, [chat_row(number) for number in range(30, 40)], tiny_model)) == ""


def test_one_source_only(run: Run, tiny_model: Path) -> None:
    test = read(run, [chat_row(30), chat_row(31)], tiny_model)
    assert "come from one source, so there are no intervals" in said(test)


def test_no_sources(run: Run, tiny_model: Path) -> None:
    rows = [{key: value for key, value in chat_row(number).items() if key != "source"} for number in (30, 31)]
    assert "names no sources, so each row counts as one of its own" in said(read(run, rows, tiny_model))


def test_a_prompt_longer_than_the_context(run: Run, tiny_model: Path) -> None:
    long = {"messages": [{"role": "user", "content": "x" * 500}, {"role": "assistant", "content": "y"}], "source": "b"}
    test = read(run, [chat_row(30), long, chat_row(40)], tiny_model, context=300)
    assert [one.row.number for one in test.encoded] == [1, 3]
    assert "1 row of" in said(test)
    assert "is left out: the prompt alone fills the 300 tokens that the model can read: line 2." in said(test)
    assert test.to_json()["too_long"] == [2]


def test_an_answer_that_is_cut(run: Run, tiny_model: Path) -> None:
    long = {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y" * 500}], "source": "b"}
    test = read(run, [chat_row(30), long], tiny_model, context=300)
    assert "is scored without its end: longer than 300 tokens." in said(test)


def test_training_rows_are_named_and_counted(run: Run, tiny_model: Path) -> None:
    test = read(run, [chat_row(number) for number in (0, 30, 1, 2, 3, 4, 5, 40)], tiny_model)
    assert "6 rows of" in said(test)
    assert "since run was trained on them: lines 1, 3, 4, 5, 6 and so on." in said(test)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "is empty"),
        ('{"messages": [{"role": "user", "content": "Why?"}]}', "there is no answer to learn"),
        ("not json", ":1: not JSON"),
    ],
)
def test_a_test_set_that_can_not_be_used_is_one_sentence(
    run: Run, tiny_model: Path, tmp_path: Path, content: str, sentence: str
) -> None:
    path = tmp_path / "test.jsonl"
    path.write_text(content)
    with pytest.raises(DataError) as error:
        read_test_set([run], path, load_tokenizer(tiny_model), None)
    assert sentence in str(error.value)


def test_a_template_that_prints_the_date_prints_the_same_one_every_day(run: Run, tmp_path: Path) -> None:
    dated = make_tiny_model(tmp_path / "dated", template="{{ strftime_now('%d %B %Y') }} " + TEMPLATE)
    test = read(run, [chat_row(30)], dated)
    assert load_tokenizer(dated).decode(test.encoded[0].ids.tolist()).startswith("01 January 2025 ")


def test_another_template_is_another_identity(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    other = make_tiny_model(tmp_path / "other", template=f"{TEMPLATE} ")
    one, two = (read(run, [chat_row(30)], model) for model in (tiny_model, other))
    assert one.key == two.key
    assert one.ids_sha256 != two.ids_sha256


def test_a_prompt_that_is_no_beginning_of_the_row_is_said(run: Run, tmp_path: Path) -> None:
    thinking = TEMPLATE.replace("assistant\n", "assistant\n<think>")
    test = read(run, [chat_row(30)], make_tiny_model(tmp_path / "thinking", template=thinking))
    assert "is not how the row begins when it is rendered whole" in said(test)
