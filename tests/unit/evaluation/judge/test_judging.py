"""A judge's work on two runs, over real HTTP: exam, scores, memory, what it says when the server fails."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.chat_server import Script, chat_server
from tests.support.run_folders import make_run, random_losses
from typer.testing import CliRunner

from runoff.evaluation import Evaluation, load_evaluations
from runoff.evaluation.answers import Answer
from runoff.evaluation.judge import Judging, Patience, judge_runs
from runoff.evaluation.judge.results import DIMENSION
from runoff.evaluation.stored import StoredMeasure
from runoff.files import jsonl, write_bytes
from runoff.runs import Run

KEY = "sk-very-secret-4711"
WAITS: list[float] = []
PATIENT = Patience(5.0, sleep=WAITS.append)
HIDDEN = re.compile(r"\[ANSWER A\]\n(.*?)\n\[END OF ANSWER A\].*?\[ANSWER B\]\n(.*?)\n\[END OF ANSWER B\]", re.DOTALL)
RANK = ("Friend", "Hm", "I am an assistant")  # the author's own opening, the good run's, the base's and the bad run's


def author(number: int) -> str:
    return f"Friend, heat it to {20 + 2 * number} degrees, always, and wait beside it for the {number}th time."


def answers(style: str, questions: int) -> list[Answer]:
    """As a model would give them: `Hm` is nearer to the author than `I am an assistant`."""
    text = "{}, heat it to {} degrees." if style == "Hm" else "{}, and it depends on {} things."
    return [
        Answer(f"{n:016x}", f"tape {n // 2}", f"How hot is oven {n}?", author(n), text.format(style, 20 + 2 * n))
        for n in range(questions)
    ]


def honest(prompt: str) -> str:
    """A judge that knows: the author's voice for style, the author's facts for correctness."""
    first, second = HIDDEN.findall(prompt)[0]
    if "[REFERENCE]" in prompt:
        reference = prompt.split("[REFERENCE]\n")[1].split("\n[END OF")[0]
        worth = [sum(word in text.split() for word in reference.split()) - 0.01 * len(text) for text in (first, second)]
    else:
        worth = [-next(at for at, word in enumerate(RANK) if text.startswith(word)) for text in (first, second)]
    verdict = "TIE" if worth[0] == worth[1] else "A" if worth[0] > worth[1] else "B"
    return f"I looked at both.\nVERDICT: {verdict}"


@pytest.fixture
def runs(tmp_path: Path) -> list[Run]:
    """Two runs with stored answers to 12 questions from 4 sources: one like the author, one like the base."""
    made = []
    for name, style in (("good", "Hm"), ("bad", "I am an assistant")):
        run = make_run(tmp_path / "runs", name, losses=random_losses(1, sources=2, questions=6))
        folder = run.folder.evaluation("testset")
        write_bytes(folder / "answers.jsonl", jsonl(one.to_json() for one in answers(style, 12)))
        write_bytes(folder / "base-answers.jsonl", jsonl(one.to_json() for one in answers("I am an assistant", 12)))
        made.append(run)
    return made


@pytest.fixture
def server() -> Iterator[Script]:
    with chat_server(Script(honest)) as script:
        yield script


def evaluations(runs: list[Run]) -> list[Evaluation]:
    return [load_evaluations(run)[0] for run in runs]


def judge(runs: list[Run], script: Script, *, offline: bool = False, key: str | None = None) -> tuple[bool, list[str]]:
    said: list[str] = []
    judging = Judging(script.address, "referee", offline, questions=12)
    done = judge_runs(runs, evaluations(runs), judging, say=said.append, key=key, patience=PATIENT)
    return done, said


def measured(runs: list[Run]) -> dict[str, dict[str, StoredMeasure]]:
    return {one.run: {key: found for key, found in one.measures.items() if "judge" in key} for one in evaluations(runs)}


def test_an_honest_judge_passes_its_exam_and_tells_the_runs_apart(runs: list[Run], server: Script) -> None:
    done, said = judge(runs, server)
    assert done
    assert sum("exam passed" in text for text in said) == 2
    found = measured(runs)
    style = {run: measures["judge_style"] for run, measures in found.items()}
    assert (style["good"].run.value, style["bad"].run.value) == (1.0, 0.0)
    assert (style["good"].run.n, style["good"].run.clusters) == (12, 6)
    assert style["good"].base.value == 0.0
    assert style["good"].author.value == 1.0
    assert style["good"].dimension == DIMENSION
    assert style["good"].remarks == (
        "Style against the base: 12 wins, 0 losses and 0 ties on the 12 of 12 questions with a verdict in both orders, "
        "which contradict each other in 0. The first place was chosen in 12 of 24 calls; the longer answer won 0 of "
        "12 decided pairs.",
    )
    assert style["good"].flags == ()
    head = {run: measures["judge_style_head_to_head"].run.value for run, measures in found.items()}
    assert head == {"good": 1.0, "bad": -1.0}


def test_every_pair_is_asked_about_in_both_orders(runs: list[Run], server: Script) -> None:
    judge(runs, server)
    pairs = [HIDDEN.findall(prompt)[0] for prompt in server.prompts if "[REFERENCE]" not in prompt]
    assert all((second, first) in pairs for first, second in pairs)
    assert all(body["temperature"] == 0 and body["seed"] == 0 for body in server.bodies)
    assert not any(run in prompt for prompt in server.prompts for run in ("good", "bad", "referee", "smollm2"))


def test_nothing_is_asked_twice_and_offline_replays(runs: list[Run], server: Script) -> None:
    judge(runs, server)
    before, calls = measured(runs), len(server.prompts)
    judge(runs, server)
    assert len(server.prompts) == calls
    assert judge(runs, server, offline=True)[0]
    assert len(server.prompts) == calls
    assert measured(runs) == before


def test_offline_without_a_memory_is_one_sentence(runs: list[Run], server: Script) -> None:
    done, said = judge(runs, server, offline=True)
    assert not done
    assert said[-1].startswith("Not judged: nothing is kept of the judge referee at http://127.0.0.1")


@pytest.mark.parametrize(
    ("think", "told"),
    [
        (lambda _prompt: "VERDICT: A", "same verdict in both orders: 0 of 10"),
        (lambda _prompt: "VERDICT: TIE", "prefers the author's answer to the base's: 0 of 10"),
        (lambda _prompt: "They are both nice.", "15 unreadable"),
    ],
)
def test_a_judge_that_fails_its_exam_does_not_count_and_is_not_asked_on(
    runs: list[Run], think: object, told: str
) -> None:
    with chat_server(Script(think)) as script:  # type: ignore[arg-type]
        done, said = judge(runs, script)
    assert done
    assert any("style: exam failed" in text and told in text for text in said)
    style = measured(runs)["good"]["judge_style"]
    assert style.run.value is None
    assert style.run.unknown is not None
    assert told in style.run.unknown
    assert style.per_example == {}
    assert style.flags[0].startswith("The judge referee does not count: exam failed")
    assert len(script.prompts) < 100


def test_what_can_not_be_read_is_missing_and_never_a_tie(runs: list[Run]) -> None:
    """Half the verdicts on the good run (which the exam does not show) are mumbled."""

    def mumbling(prompt: str) -> str:
        first, second = HIDDEN.findall(prompt)[0]
        own = next((text for text in (first, second) if text.startswith("Hm")), "")
        return "Hard to say." if re.search(r"to (20|24|28|32|36|40) ", own) else honest(prompt)

    with chat_server(Script(mumbling)) as script:
        judge(runs, script)
    style = measured(runs)["good"]["judge_style"]
    assert (style.run.value, style.run.n, len(style.per_example)) == (1.0, 6, 6)
    assert style.flags[0] == (
        "Style against the base: no verdict could be read on 6 of 12 questions; they are left out."
    )


def test_a_rough_server_changes_no_number(runs: list[Run], server: Script) -> None:
    server.once_each = True
    server.faults = ["500", "429", "garbage", "cut", "503", "drop"] * 4
    judge(runs, server)
    style = measured(runs)["good"]["judge_style"]
    assert (style.run.value, style.run.n) == (1.0, 12)
    assert 7.0 in WAITS


def test_a_server_that_dies_half_way_costs_a_sentence_and_its_replies_are_kept(runs: list[Run], server: Script) -> None:
    def dying(prompt: str) -> str:
        if len(server.prompts) > 40:
            server.for_ever = "500"
        return honest(prompt)

    server.think = dying
    done, said = judge(runs, server)
    assert not done
    assert said[-1] == "Not judged: the judge referee has stopped answering: the server answered 500, 4 times."
    assert measured(runs) == {"good": {}, "bad": {}}
    server.think, server.for_ever, asked = honest, None, len(server.prompts)
    assert judge(runs, server)[0]
    with chat_server(Script(honest)) as other:
        whole = judge_runs(runs, evaluations(runs), Judging(other.address, "other", questions=12), patience=PATIENT)
    assert whole
    assert len(server.prompts) - asked <= len(other.prompts) - 36


def test_the_key_is_sent_and_never_kept(runs: list[Run], server: Script, tmp_path: Path) -> None:
    judge(runs, server, key=KEY)
    assert all(f"Bearer {KEY}" in headers.values() for headers in server.headers)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == ".judge.sqlite" for path in files)
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


def test_what_was_said_of_other_answers_does_not_count(runs: list[Run], server: Script) -> None:
    judge(runs, server)
    path = runs[0].folder.evaluation("testset") / "answers.jsonl"
    write_bytes(path, jsonl(one.to_json() for one in answers("Friend", 12)))
    found = measured(runs)
    assert found["good"] == {}
    assert found["bad"] != {}


def test_every_decision_is_kept(runs: list[Run], server: Script) -> None:
    judge(runs, server)
    lines = (runs[0].folder.evaluation("testset") / "judge-decisions.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert len(rows) == 2 * 2 * 12  # criteria, opponents, questions
    assert rows[0]["verdicts"] == ["A", "B"]
    assert {row["against"] for row in rows} == {"base", "bad"}


def test_a_judge_of_the_bases_family_is_named(runs: list[Run], server: Script) -> None:
    server.models = [{"id": "HuggingFaceTB/SmolLM2-1.7B-Instruct"}]
    judging = Judging(server.address, "HuggingFaceTB/SmolLM2-1.7B-Instruct", questions=12)
    judge_runs(runs, evaluations(runs), judging, patience=PATIENT)
    assert "seem to be of one family" in measured(runs)["good"]["judge_style"].flags[0]
    judge(runs, server)
    assert measured(runs)["good"]["judge_style"].flags == ()


def test_without_answers_there_is_nothing_to_judge(runs: list[Run], server: Script) -> None:
    (runs[0].folder.evaluation("testset") / "answers.jsonl").unlink()
    assert judge(runs, server) == (False, ["Not judged: there are no generated answers to judge. Add --generate."])
    assert server.prompts == []


def test_the_comparison_shows_the_judge_with_its_exam(runs: list[Run], server: Script, tmp_path: Path) -> None:
    from runoff.cli.main import app

    judge(runs, server)
    arguments = ["compare", *(str(run.folder.path) for run in runs), "-o", str(tmp_path / "report"), "--brief"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    text = re.sub(r"\\(.)", r"\1", (tmp_path / "report" / "report.md").read_text())
    assert DIMENSION in text
    assert "exam passed with 15 of 15" in text
    (row,) = [line for line in text.splitlines() if line.startswith("| Style, against the base, by the judge referee")]
    assert row.endswith("good better than bad |")
