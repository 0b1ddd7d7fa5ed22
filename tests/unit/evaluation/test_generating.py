"""`runoff generate`: what may be asked, and that everyone is asked the same, once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support.fake_engine import FakeBase, FakeEngine
from tests.support.runs import chat_row, fake_train, make_config, make_data, write_rows

from runoff.engines.generation import Sampling
from runoff.errors import DataError
from runoff.evaluation import Answering, evaluate, generate_answers
from runoff.evaluation.prompt_files import read_asked
from runoff.plan import AdapterSpec
from runoff.runs import Run

GREEDY = Sampling(max_tokens=5)


@pytest.fixture
def runs(tiny_model: Path, tmp_path: Path) -> list[Run]:
    data = make_data(tmp_path / "data")
    write_rows(data / "test.jsonl", [chat_row(number) for number in range(30, 42)])
    return [fake_train(make_config(tiny_model, data, iters=4), name, tmp_path / "runs") for name in ("one", "two")]


class NoBase(FakeBase):
    """A base that must not be used."""

    def attach(self, spec: AdapterSpec | None, *, seed: int = 0, checkpointing: bool = False) -> FakeEngine:
        pytest.fail("nothing was left to compute")


def test_a_question_on_the_command_line() -> None:
    (asked,) = read_asked("What is the capital of France?")
    assert asked.question == "What is the capital of France?"
    assert asked.reference is None


def test_rows_with_and_without_an_answer(tmp_path: Path) -> None:
    path = write_rows(
        tmp_path / "asked.jsonl",
        [
            chat_row(1),
            {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]},
            {"prompt": "Who?", "completion": "Me.", "source": "b"},
            {"id": "mine", "question": "When?"},
        ],
    )
    asked = read_asked(str(path))
    assert [one.example for one in asked] == ["line 1", "line 2", "line 3", "mine"]
    assert [one.question for one in asked[1:]] == ["Why?", "Who?", "When?"]
    assert [one.reference is not None for one in asked] == [True, False, True, False]
    assert asked[0].messages[-1]["role"] == "user"
    assert asked[2].source == "b"


def test_a_yaml_of_prompts(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("prompts:\n- id: recall\n  turns: [I am Ada., Hello Ada., Who am I?]\n")
    (asked,) = read_asked(str(path))
    assert [one["role"] for one in asked.messages] == ["user", "assistant", "user"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "is empty. It needs at least one row"),
        ("nonsense", ":1: not JSON."),
        ("[1]", ":1: must be an object"),
        ('{"answer": "Me."}', ":1: asks nothing."),
        ('{"messages": "Why?"}', ":1: messages must be a list"),
        ('{"messages": [{"role": "assistant", "content": "Me."}]}', ":1: no message is the user's"),
        ('{"prompt": "Who?"}\n\n{"prompt": 3}', ":3: asks nothing."),
    ],
)
def test_what_can_not_be_asked_is_one_sentence(tmp_path: Path, content: str, sentence: str) -> None:
    path = tmp_path / "asked.jsonl"
    path.write_text(content)
    with pytest.raises(DataError) as error:
        read_asked(str(path))
    assert sentence in str(error.value)


@pytest.mark.parametrize("given", ["missing.jsonl", "missing.yaml"])
def test_a_file_that_is_not_there(given: str) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_asked(given)


def test_an_empty_question() -> None:
    with pytest.raises(DataError, match="the prompt is empty"):
        read_asked("  ")


def test_base_and_runs_answer_and_nothing_is_generated_twice(runs: list[Run], tmp_path: Path) -> None:
    path = write_rows(tmp_path / "asked.jsonl", [{"prompt": "Who?"}, {"id": "line 1", "prompt": "When?"}])
    found = generate_answers(runs, str(path), GREEDY, base=FakeBase())
    assert list(found) == ["base", "one", "two"]
    assert [one.example for one in found["one"]] == ["line 1", "line 1 (2)"]
    assert all(len(one.tokens) == 5 and one.finish_reason == "length" for one in found["one"])
    assert generate_answers(runs[::-1], str(path), GREEDY, base=NoBase()) == found


def test_sampled_answers_are_the_seeds_and_the_prompts_alone(runs: list[Run], tmp_path: Path) -> None:
    drawn = Sampling(max_tokens=8, temperature=1.0, top_p=0.9, seed=3)
    path = write_rows(tmp_path / "asked.jsonl", [{"prompt": "Who?"}, {"prompt": "When will it be?"}])
    both = generate_answers(runs, str(path), drawn, base=FakeBase())
    alone = generate_answers(runs, "Who?", drawn, base=FakeBase())
    assert [some[0].tokens for some in both.values()] == [some[0].tokens for some in alone.values()]
    other = generate_answers(runs, "Who?", Sampling(8, 1.0, 0.9, seed=4), base=FakeBase())
    assert other["one"][0].tokens != alone["one"][0].tokens


def test_a_prompt_that_does_not_fit_is_counted_and_the_others_are_asked(runs: list[Run], tmp_path: Path) -> None:
    said: list[str] = []
    path = write_rows(tmp_path / "asked.jsonl", [{"prompt": "x" * 5000}, {"prompt": "When?"}])
    found = generate_answers(runs, str(path), GREEDY, base=FakeBase(), say=said.append)
    assert [one.question for one in found["base"]] == ["When?"]
    assert any(text.startswith("1 of 2 prompts are not asked: with 5 tokens of answer") for text in said)
    with pytest.raises(DataError, match="none of the prompts fits"):
        generate_answers(runs, "x" * 5000, GREEDY, base=FakeBase())


def test_sampled_answers_are_measured_apart(runs: list[Run]) -> None:
    wanted = Answering(questions=4, training_questions=4, suite=False, sampled_temperature=0.8)
    (one, _) = evaluate(runs, base=FakeBase(), answering=wanted)
    assert {"broken", "broken_sampled", "style_sampled"} <= set(one.measures)
    assert one.measures["broken_sampled"].title == "Broken answers, sampled answers"
    assert len((one.folder / "sampled.jsonl").read_text().splitlines()) == 4
    assert len((one.folder / "base-sampled.jsonl").read_text().splitlines()) == 4


def test_drift_of_a_run_that_changed_nothing_is_exactly_zero(runs: list[Run]) -> None:
    import safetensors.numpy

    path = runs[0].folder.adapter / "adapter_model.safetensors"
    zeros = {name: array * 0 for name, array in safetensors.numpy.load_file(path).items()}
    safetensors.numpy.save_file(zeros, path)
    found = evaluate(runs, base=FakeBase(), answering=Answering(questions=2, training_questions=2))
    still, moved = (one.measures for one in found)
    for key in ("drift_nats", "drift_kl"):
        assert (still[key].run.value, still[key].base.value) == (0.0, 0.0)
    assert (moved["drift_kl"].run.value or 0) > 0
    assert found[0].rows == found[0].base_rows
    rows = [json.loads(line) for line in next(found[0].folder.glob("drift-*.jsonl")).read_text().splitlines()]
    assert len(rows) == moved["drift_kl"].run.n > 100
