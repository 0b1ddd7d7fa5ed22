"""Sentences of a comparison's report in pairs: one made-up comparison of which each is true, and one of which it is not."""

# ruff: noqa: E501  (a case stands whole)

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
import pytest
from tests.golden.comparison.said import lines
from tests.support.run_folders import Losses, Told, made_measure, make_run, random_losses, scored

from runoff.comparison import Aim, compare, verdict
from runoff.estimates.estimate import Estimate
from runoff.evaluation.stored import StoredMeasure
from runoff.plan import Finding
from runoff.report import Report, report
from runoff.report.model import Paragraph
from runoff.runs import MetricRow, Run, Value

LOSSES = random_losses(1)
RANDOM = np.random.Generator(np.random.PCG64(6))
NOISE = RANDOM.normal(0, 0.02, len(LOSSES))
WIDE = RANDOM.normal(0, 0.3, len(LOSSES))
STYLE = RANDOM.normal(0.5, 0.1, len(LOSSES))
BETTER: dict[str, Any] = {"a": LOSSES, "b": LOSSES + 0.1 + NOISE}
EVEN: dict[str, Any] = {"a": LOSSES, "b": LOSSES + WIDE}
NONE: dict[str, Any] = {"a": None, "b": None}
ALARM = MetricRow("alarm", 60, 15, text="A601 Overfitting: the loss rose. Next time: fewer epochs.")
METRICS = tuple(Told().metrics)
UNRECORDED = Told(settings={"learning_rate": Value.unknown("none of the files says it")})
OTHER_BASE = Told(identity={"model": {"name": "other", "sha256": "11" * 32}})
ROWS = {
    "train": {"rows": 100, "sha256": "cc" * 32, "row_sha256": ["f" * 16]},
    "valid": {"rows": 20, "sha256": "dd" * 32},
}
OTHER_VALIDATION = Told(identity={"data": ROWS | {"valid": {"rows": 30, "sha256": "ab" * 32}}})
TRAINED_ON_TEST = Told(identity={"data": ROWS | {"train": ROWS["train"] | {"row_sha256": ["0" * 15 + "1"]}}})


def measured(**given: float) -> list[StoredMeasure]:
    """All that a verdict asks for, nothing of it bad unless given."""
    values = {"style": 0.5, "facts": 0.5, "retention": 0.99, "broken": 0.0} | given
    return [
        made_measure(
            key,
            value,
            half=0.01,
            higher_is_better=key not in ("broken", "persona_bleed"),
            per_example=STYLE + (value if key == "persona_bleed" else 0.0) + NOISE,
            base_per_example=STYLE,
        )
        for key, value in values.items()
    ]


def made(
    root: Path,
    losses: dict[str, Losses | None] = BETTER,
    told: Told | None = None,
    measures: Sequence[StoredMeasure] = (),
    aim: Aim = Aim.GENERALIZATION,
    **options: Any,
) -> Report:
    """A report on runs with these losses; `told` is of the last one, the measures are of all."""
    *first, last = losses
    runs = [make_run(root, name, losses=losses[name], measures=measures) for name in first]
    comparison = compare([*runs, make_run(root, last, told, losses=losses[last], measures=measures)], **options)
    return report(comparison, verdict(comparison, aim))


def made_twice(root: Path, told: Told) -> Report:
    """A report on two runs of which this is told."""
    return report_on(*(make_run(root, name, told, losses=LOSSES) for name in "ab"))


def validations(*shifts: float, kept: int | None = None, status: str = "finished", planned: int = 3) -> Told:
    """A run whose validations kept rows with these shifts."""
    rows = {10 * at: scored(LOSSES + shift) for at, shift in enumerate(shifts, start=1)}
    metrics = [
        MetricRow("validation", at, at, 0.1, sum(row.nats for row in some) / (100 * len(some)), target_tokens=at)
        for at, some in rows.items()
    ]
    identity: dict[str, Any] = {"status": status, "result": {"adapter_iteration": kept}}
    return Told(metrics=metrics, validation_rows=rows, identity=identity, counts={"validations": planned})


def without_adapter(root: Path, identity: dict[str, Any]) -> Report:
    """The second run has no weights."""
    runs = [make_run(root, "a"), make_run(root, "b", Told(identity=identity))]
    rmtree(runs[1].folder.adapter)
    return report_on(*runs)


def changed_evaluation(root: Path, *, change: bool) -> Report:
    """The rows of one evaluation may have been touched after it was stored."""
    runs = [make_run(root, name, losses=LOSSES) for name in "ab"]
    if change:
        place = next(runs[1].folder.evaluation("").glob("*/rows.jsonl"))
        place.write_text(place.read_text() + "\n")
    return report_on(*runs)


def report_on(*runs: Run) -> Report:
    comparison = compare(runs)
    return report(comparison, verdict(comparison))


def finding(code: str) -> Finding:
    return Finding(code=code, level="warning", place="run.yaml:1", what="Some rows.", why="They are few.", fix="More.")


def close_runs(count: int) -> dict[str, Losses | None]:
    """Each a little worse than the one before, with noise of its own."""
    noise = np.random.Generator(np.random.PCG64(3)).normal(0, 0.05, (count, len(LOSSES)))
    return {f"r{at:02}": LOSSES + 0.008 * at + noise[at] for at in range(count)}


def settings_of(root: Path, *, seeds: int) -> Report:
    """Two settings with two seeds, or two of the worse and one of the better."""
    runs = [
        make_run(root, f"{name}{seed}", Told(settings={"seed": seed, "num_layers": blocks}), losses=LOSSES + shift)
        for name, blocks, shift, count in (("a", 4, 0.0, seeds), ("b", 8, 0.2, 2))
        for seed in range(count)
    ]
    comparison = compare(runs, replicates=True)
    return report(comparison, verdict(comparison))


Made = Callable[[Path], Report]
PAIRS: dict[str, tuple[str, Made, Made]] = {
    "why they can't be compared": (
        "These runs can't be compared by what was measured (base model), so none is recommended.",
        lambda root: made(root, told=OTHER_BASE),
        made,
    ),
    "no difference is shown of what can't be compared": (
        "These losses can't be compared (base model), so no difference between the runs is shown.",
        lambda root: made(root, told=OTHER_BASE),
        made,
    ),
    "a difference of what can be compared": (
        "a - b | -",
        made,
        lambda root: made(root, told=OTHER_BASE),
    ),
    "several runs at once": (
        "can't be told apart by held-out loss, with 20 runs compared at once (",
        lambda root: made(root, close_runs(20)),
        lambda root: made(root, {"a": LOSSES, "b": LOSSES + WIDE, "c": LOSSES + WIDE[::-1]}),
    ),
    "who is better by a measure": (
        "no difference detectable",
        lambda root: made(root, measures=measured()[:2]),
        lambda root: made(root, told=OTHER_BASE, measures=measured()[:2]),
    ),
    "only what beats the base": (
        "Only a run that is better than the base by held-out loss could be shipped; none of these is.",
        lambda root: made(root, {"a": LOSSES + 1.5, "b": LOSSES + 1.6 + NOISE}),
        made,
    ),
    "that nothing will make them comparable": (
        "No further measurement of these runs can change that: it takes runs on one base and with one tokenizer.",
        lambda root: made(root, told=OTHER_BASE),
        made,
    ),
    "scoring anew makes them comparable": (
        "Scoring all runs anew would give a first answer: rows that one of them was trained on are left out.",
        lambda root: made(root, told=TRAINED_ON_TEST),
        lambda root: made(root, told=OTHER_BASE),
    ),
    "the runs' own validations": (
        "The runs' own validation losses can't be compared (validation rows); this verdict does not use them.",
        lambda root: made(root, told=OTHER_VALIDATION),
        made,
    ),
    "what is to be shipped": (
        "Aim: generalization. Decision: better. To ship: a.",
        made,
        lambda root: made(root, measures=measured(broken=0.5)),
    ),
    "the one to ship has not ended": (
        "a is still running (iteration 100 of 100); it is compared as far as it went.",
        lambda root: report_on(
            make_run(root, "b", losses=LOSSES + 0.1 + NOISE),
            make_run(root, "a", Told(identity={"status": "running"}), losses=LOSSES),
        ),
        made,
    ),
    "any seed of a setting": (
        "Any of these adapters may be shipped, which differ in their seed alone: ",
        lambda root: settings_of(root, seeds=2),
        lambda root: settings_of(root, seeds=1),
    ),
    "only another setting helps": (
        "Only runs of another setting could turn up a better one. Between these chance alone moves the held-out loss by up to 0.",
        lambda root: made(root, told=Told(settings={"seed": 2})),
        made,
    ),
    "not to be ranked by": (
        "Not to be ranked by: held-out loss, validation loss.",
        lambda root: made(root, told=OTHER_BASE),
        made,
    ),
    "same base": (
        "Both runs adapt the same base, smollm2-135m.",
        made,
        lambda root: made(root, told=OTHER_BASE),
    ),
    "alarm in the summary": (
        "An alarm was raised while training b (A601 overfitting): see Training metrics.",
        lambda root: made(root, told=Told(metrics=(*METRICS, ALARM))),
        made,
    ),
    "alarm in full": (
        "b, alarm after iteration 60: A601 Overfitting: the loss rose. Next time: fewer epochs. The adapter that was kept is the one after iteration 100.",
        lambda root: made(root, told=Told(metrics=(*METRICS, ALARM))),
        made,
    ),
    "where the adapter is": (
        "The adapter to ship is in ",
        made,
        lambda root: made(root, EVEN),
    ),
    "unmeasured before shipping": (
        "Before you ship it: nobody measured style, facts in generated answers, what was forgotten and broken output.",
        made,
        lambda root: made(root, measures=measured()),
    ),
    "the next step": (
        "The next step:",
        lambda root: made(root, EVEN),
        lambda root: made(root, measures=measured()),
    ),
    "a failed gate in the summary": (
        "a: 60 of 120 answers are broken (50 %, 95 % interval 49 % to 51 %; base 0 %, at most 3 points above it allowed): failed.",
        lambda root: made(root, measures=measured(broken=0.5)),
        lambda root: made(root, measures=measured()),
    ),
    "every run failed": (
        "None of these runs is to be shipped: each failed a gate, a (broken output) and b (broken output).",
        lambda root: made(root, measures=measured(broken=0.5)),
        lambda root: report_on(
            make_run(root, "a", losses=LOSSES, measures=measured(broken=0.5)),
            make_run(root, "b", losses=LOSSES + 0.1 + NOISE, measures=measured()),
        ),
    ),
    "an undecided gate": (
        "a: 3 of 120 answers are broken (2.5 %, 95 % interval 1.5 % to 3.5 %; base 0 %, at most 3 points above it allowed): can't be decided with these answers.",
        lambda root: made(root, measures=measured(broken=0.025)),
        lambda root: made(root, measures=measured()),
    ),
    "forgetting": (
        "a still passes 72 of the 120 general prompts that the base passes (60 %, 95 % interval 59 % to 61 %; wanted 95 %): failed.",
        lambda root: made(root, measures=measured(retention=0.6)),
        lambda root: made(root, measures=measured()),
    ),
    "persona": (
        "The share of 120 general prompts that a answers in persona is",
        lambda root: made(root, measures=measured(persona_bleed=0.4)),
        lambda root: made(root, measures=measured()),
    ),
    "why a run failed": (
        "b failed (iteration 100 of 100); it is compared as far as it went. What it ended with: the loss jumped.",
        lambda root: made(root, told=Told(identity={"status": "failed", "result": {"reason": "the loss jumped."}})),
        made,
    ),
    "no setting differs": (
        "No setting that changes a weight differs between the runs.",
        made,
        lambda root: made(root, told=Told(settings={"num_layers": 4})),
    ),
    "no recorded setting differs": (
        "No recorded setting that changes a weight differs between the runs.",
        lambda root: made_twice(root, UNRECORDED),
        made,
    ),
    "settings recorded nowhere": (
        "Recorded for none of the runs, so that whether they differ is not known: learning_rate.",
        lambda root: made_twice(root, UNRECORDED),
        lambda root: made(root, told=UNRECORDED),
    ),
    "clipping holds back": (
        "gradient norm clipped at 1",
        lambda root: made(root, told=Told(settings={"max_grad_norm": 1.0})),
        made,
    ),
    "the share of answers that bear the leader out": (
        "a has the lower held-out loss on 100 % of the answers, compared with b; the median difference is -0.",
        made,
        lambda root: made(root, {"a": LOSSES, "b": LOSSES}),
    ),
    "exactly the same": (
        "a and b have exactly the same held-out loss on every answer.",
        lambda root: made(root, {"a": LOSSES, "b": LOSSES}),
        made,
    ),
    "the smallest difference to be seen": (
        "The smallest difference these rows could have shown is 0.",
        lambda root: made(root, EVEN),
        made,
    ),
    "the lead may be small": (
        "nats per target token, less than the margin of 0.5 that was said to matter.",
        lambda root: made(root, margin=0.5),
        made,
    ),
    "trained once": (
        "Each run was trained once: how much of the difference is the chance of one seed is not known.",
        made,
        lambda root: made(root, NONE),
    ),
    "nobody looked": (
        "Not measured here: style, facts in generated answers, what was forgotten and broken output.",
        made,
        lambda root: made(root, measures=measured()),
    ),
    "no adapter of a run trained here": (
        "b can't be measured as it is: no adapter was kept before the training ended. Train again, or compare the others without.",
        lambda root: without_adapter(root, {}),
        lambda root: made(root, NONE),
    ),
    "no weights among imported files": (
        "b can't be measured as it is: the adapter's weights are not among the files.",
        lambda root: without_adapter(root, {"imported": {"tool": "mlx-lm"}}),
        lambda root: without_adapter(root, {}),
    ),
    "the baseline's challengers": (
        "Against the baseline a, by held-out loss: b is worse.",
        lambda root: made(root, baseline="a"),
        made,
    ),
    "challengers that few sources can't tell": (
        "b is not told apart by so few sources",
        lambda root: made(root, {"a": LOSSES[:10], "b": LOSSES[:10] + 0.1}, baseline="a"),
        lambda root: made(root, baseline="a"),
    ),
    "what the gap can't say": (
        "the gap alone shows neither overfitting nor its absence.",
        made,
        lambda root: report_on(*(make_run(root, name, Told(metrics=METRICS[:1])) for name in "ab")),
    ),
    "validations that are not recorded": (
        "b: 2 of its 3 validations are recorded; one that is not may have been better.",
        lambda root: made(root, told=validations(0.2, 0.0)),
        lambda root: made(root, told=validations(0.2, 0.0, status="failed")),
    ),
    "the end is worse, and what was kept": (
        "The adapter that was kept is the one after iteration 10.",
        lambda root: made(root, told=validations(0.0, 0.3, kept=10, planned=2)),
        lambda root: made(root, told=validations(0.3, 0.0, kept=20, planned=2)),
    ),
    "losses that are no numbers": (
        "b: 2 reported losses are not numbers (nan or inf).",
        lambda root: made(
            root, told=Told(metrics=(*METRICS, *(replace(METRICS[1], nats_per_target_token=math.nan),) * 2))
        ),
        made,
    ),
    "test rows that are other rows": (
        "the stored test rows of b are not those of a; evaluate both again",
        lambda root: made(root, {"a": LOSSES, "b": LOSSES[:60]}),
        made,
    ),
    "an evaluation that was changed": (
        "Evaluate it again.",
        lambda root: changed_evaluation(root, change=True),
        lambda root: changed_evaluation(root, change=False),
    ),
    "one row is one": (
        "Both runs were scored on the same 1 row of data/test.jsonl.",
        lambda root: made(root, {"a": LOSSES[:1], "b": LOSSES[:1]}),
        lambda root: made(root, {"a": LOSSES[:2], "b": LOSSES[:2]}),
    ),
    "by source": (
        "source 3 | ",
        made,
        lambda root: made(root, {"a": LOSSES[:10], "b": LOSSES[:10] + 0.1}),
    ),
    "examples without answers": (
        "No answers were generated to show beside them.",
        made,
        lambda root: made(root, {"a": LOSSES, "b": LOSSES}),
    ),
    "no example speaks against the leader": (
        "Of 120 questions, those whose reference a predicts best and worst compared with b: 2 of each at most. There is none of which b predicts the reference better.",
        made,
        lambda root: made(root, EVEN),
    ),
    "what a failed gate calls for": (
        "A run that passes broken output could change the verdict. What usually keeps more of the base: fewer updates,",
        lambda root: made(root, measures=measured(broken=0.5)),
        lambda root: made(root, measures=measured()),
    ),
    "the interval of the facts": (
        f"a's agreement with the author's facts differs from the base's by {NOISE.mean():+.3f} (share; 95 % interval ",
        lambda root: made(root, measures=measured()),
        made,
    ),
    "n beside a measure": (
        "Style (share; n 120) | ",
        lambda root: made(root, measures=measured()),
        made,
    ),
    "a measure that is unknown": (
        "Style: unknown, because it takes 20 answers.",
        lambda root: made(
            root,
            measures=[
                replace(one, run=Estimate.unknown_because("it takes 20 answers", "share")) for one in measured()[:1]
            ],
        ),
        lambda root: made(root, measures=measured()),
    ),
    "what chance alone would find": (
        "Each of 4 measures is tested at 5 % by itself: where nothing differs, about 0.2 of them would seem to.",
        lambda root: made(root, measures=measured()),
        lambda root: made(root, measures=measured()[:1]),
    ),
    "findings of the plan": (
        "X101 | warning | b | Some rows. They are few.",
        lambda root: made(root, told=Told(findings=[finding("X101")])),
        made,
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_a_sentence_is_said_where_it_is_true_and_only_there(tmp_path: Path, name: str) -> None:
    words, when, unless = PAIRS[name]
    there, elsewhere = (list(lines(make(tmp_path / place))) for place, make in (("one", when), ("two", unless)))
    assert [line for line in there if words in line], there
    assert not [line for line in elsewhere if words in line]


def roles(found: Report, words: str) -> set[str]:
    blocks = [block for section in found.sections for block in section.blocks]
    return {block.role for block in blocks if isinstance(block, Paragraph) and words in block.text}


def test_what_warns_of_a_number_is_a_warning_and_what_explains_it_is_not(tmp_path: Path) -> None:
    told = replace(measured()[0], flags=("Half of it is missing.",), remarks=("Nine wins.",))
    found = made(tmp_path, measures=[told])
    assert roles(found, "Half of it is missing.") == {"warning"}
    assert roles(found, "Nine wins.") == {"plain"}


def test_runs_of_which_the_same_was_found_share_a_row(tmp_path: Path) -> None:
    told = Told(findings=[finding("X101")])
    found = report_on(*(make_run(tmp_path, name, told) for name in ("a", "b")))
    assert "X101 | warning | a and b | Some rows. They are few." in list(lines(found))


def test_a_run_that_can_not_be_measured_leaves_the_others_their_command(tmp_path: Path) -> None:
    runs = [make_run(tmp_path, name) for name in "abc"]
    rmtree(runs[2].folder.adapter)
    comparison = compare(runs)
    both = f"{tmp_path / 'a'} {tmp_path / 'b'}"
    assert verdict(comparison).commands == (f"runoff evaluate {both}", f"runoff compare {both}")
    rmtree(runs[1].folder.adapter)
    assert verdict(compare(runs)).commands == ()


def test_programs_find_gates_alarms_checkpoints_and_challengers(tmp_path: Path) -> None:
    told = validations(0.4, 0.0, 0.3, kept=20)
    told = replace(told, metrics=(*told.metrics, ALARM))
    facts = made(tmp_path, told=told, measures=measured(broken=0.5), baseline="a").facts
    failed = [(one["gate"], one["label"]) for one in facts["verdict"]["requirements"] if one["status"] == "failed"]
    assert failed == [("broken output", "a"), ("broken output", "b")]
    assert facts["runs"]["b"]["alarms"] == [{"iteration": 60, "text": ALARM.text}]
    assert facts["runs"]["b"]["checkpoints"]["best"] == 20
    assert facts["runs"]["a"]["checkpoints"] is None
    assert "seed" in facts["runs"]["a"]["settings"]
    assert [(one["label"], one["outcome"]) for one in facts["challengers"]] == [("b", "worse")]
    assert facts["held_out"]["cannot_see"].startswith("How the model writes")
