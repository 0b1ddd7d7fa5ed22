"""Every check: it appears when it is true, with its words, and is absent when it is not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from tests.support.run_folders import Told, made_measure, make_run, random_losses

from runoff.comparison import compare
from runoff.comparison.comparability import Check
from runoff.plan import Finding
from runoff.runs import MetricRow, Run

SAME: dict[str, Any] = {}


def checks(root: Path, **identity: Any) -> list[Check]:
    """Checks of a run against one whose identity differs in this."""
    losses = random_losses(1)
    a, b = make_run(root, "a", losses=losses), make_run(root, "b", Told(identity=identity), losses=losses)
    return list(compare([a, b]).checks)


def texts(found: list[Check], level: str) -> list[str]:
    return [check.sentence.text for check in found if check.level == level]


def test_equal_runs_have_no_warning(tmp_path: Path) -> None:
    found = checks(tmp_path)
    assert texts(found, "blocking") == []
    assert texts(found, "warning") == []
    assert "Both runs were scored on the same 120 rows of data/test.jsonl." in texts(found, "ok")


DATA = {
    "train": {"rows": 100, "sha256": "cc" * 32, "row_sha256": ["f" * 16]},
    "valid": {"rows": 20, "sha256": "dd" * 32},
}


@pytest.mark.parametrize(
    ("identity", "level", "sentence"),
    [
        (
            {"data": DATA | {"valid": {"rows": 30, "sha256": "00" * 32}}},
            "blocking",
            "The validation rows differ (a: 20, b: 30 rows), so the validation losses can't be compared.",
        ),
        (
            {"data": DATA | {"valid": {"rows": 20}}},
            "blocking",
            "Whether the validation rows are the same is not recorded, so the validation losses can't be compared.",
        ),
        (
            {"data": DATA | {"train": {"rows": 90, "sha256": "00" * 32, "row_sha256": ["e" * 16]}}},
            "warning",
            "The training rows differ (a: 100, b: 90 rows), so the data may be the cause of a difference, though both "
            "name the same folder, data.",
        ),
        (
            {"tokenizer_sha256": "00" * 32},
            "blocking",
            "The tokenizers or chat templates differ, so losses per token are of different tokens.",
        ),
        (
            {"engine": {"name": "mlx", "dtype": "float32", "versions": {"mlx": "0.32"}}},
            "warning",
            "The runs were trained by different tools or versions "
            "(a: torch float32, torch 2.13.0, b: mlx float32, mlx 0.32).",
        ),
        (
            {"result": {"loss_definition": "mean of batch means"}},
            "blocking",
            "The tools average their training and validation losses differently, so those are shown but not ranked.",
        ),
        (
            {"status": "interrupted"},
            "warning",
            "b was interrupted (iteration 100 of 100); it is compared as far as it went.",
        ),
        (
            {"model": {"name": "smollm2-135m"}},
            "warning",
            "Both runs name the base smollm2-135m; whether the weights are the same is not recorded.",
        ),
    ],
)
def test_what_differs_is_said(tmp_path: Path, identity: dict[str, Any], level: str, sentence: str) -> None:
    assert sentence in texts(checks(tmp_path, **identity), level)


@pytest.mark.parametrize("same", [True, False])
def test_a_base_that_two_tools_name_differently_is_known_by_its_scores(tmp_path: Path, same: bool) -> None:
    """A path in one record and a name in the other: what scored both is one base if it gives the same losses."""
    losses, mlx = random_losses(1), Told(identity={"model": {"name": "models/smollm2-135m"}})
    a = make_run(tmp_path, "a", losses=losses, base=losses * 0 + 3.2)
    b = make_run(tmp_path, "b", mlx, losses=losses, base=losses * 0 + (3.2 if same else 3.3))
    (found,) = [check for check in compare([a, b]).checks if check.topic == "base model"]
    assert (found.level, "held-out loss" in found.blocks) == (("warning", False) if same else ("blocking", True))
    assert found.sentence.text == (
        "Both runs were scored on one base, though their records name it in different ways (a: smollm2-135m, "
        "b: models/smollm2-135m); whether b was trained on it is not recorded."
        if same
        else "The base models are not known to be the same (a: smollm2-135m, b: models/smollm2-135m)."
    )


def test_rows_cut_at_different_lengths_are_said_only_where_rows_are_cut(tmp_path: Path) -> None:
    losses = random_losses(1)
    a = make_run(tmp_path, "a", Told(settings={"max_seq_length": 128}, counts={"train_rows_cut": 7}), losses=losses)
    b = make_run(tmp_path, "b", Told(settings={"max_seq_length": 512}), losses=losses)
    wanted = "Rows are cut at different lengths (a: 128, b: 512 tokens; training rows cut: a: 7, b: 0)."
    assert wanted in texts(list(compare([a, b]).checks), "warning")
    c = make_run(tmp_path, "c", Told(settings={"max_seq_length": 600}), losses=losses)
    assert texts(list(compare([b, c]).checks), "warning") == []


def test_rows_that_a_run_trained_on_are_counted(tmp_path: Path) -> None:
    losses, test = random_losses(1), {"left_out": {"3": "a", "9": "a"}}
    a = make_run(tmp_path, "a", losses=losses, test=test)
    b = make_run(tmp_path, "b", losses=losses, test=test)
    (found,) = [check for check in compare([a, b]).checks if check.topic == "test rows"]
    assert found.sentence.text.endswith("2 more rows were left out, since a had trained on them.")


def test_of_three_pools_nothing_is_said_to_overlap(tmp_path: Path) -> None:
    parts = {"a": (1367, 342), "b": (1600, 109), "c": (1500, 209)}
    runs = [
        make_run(tmp_path, name, Told(identity={"data": {"train": {"rows": train}, "valid": {"rows": valid}}}))
        for name, (train, valid) in parts.items()
    ]
    (found,) = [check.sentence.text for check in compare(runs).checks if check.topic == "validation rows"]
    assert "rows in all" not in found


@pytest.mark.parametrize(
    ("tool", "each", "said"), [("mlx-lm", 4, True), ("mlx-lm", 3, False), ("mlx-lm", None, False), ("peft", 4, False)]
)
def test_a_loss_from_before_the_last_update_is_said(tmp_path: Path, tool: str, each: int | None, said: bool) -> None:
    told = Told(
        identity={"imported": {"tool": tool}},
        settings={"grad_accumulation_steps": each},
        metrics=(MetricRow("validation", iteration=100, nats_per_target_token=2.0),),
    )
    found = compare([make_run(tmp_path, "a"), make_run(tmp_path, "b", told)]).checks
    text = "The last validation loss of b was taken before the last update, as mlx-lm does."
    assert [check.sentence.text for check in found if check.topic == "last validation"] == [text] * said


def test_one_pool_split_twice_overlaps_by_arithmetic(tmp_path: Path) -> None:
    first = {"train": {"rows": 1367}, "valid": {"rows": 342}}
    second = {"train": {"rows": 1600}, "valid": {"rows": 109}}
    runs = [make_run(tmp_path, name, Told(identity={"data": data})) for name, data in (("a", first), ("b", second))]
    (found,) = [check.sentence.text for check in compare(runs).checks if check.topic == "validation rows"]
    assert found.endswith(
        "Both have 1,709 rows in all: if they are one pool that was split anew, at least 233 of a's 342 validation "
        "rows are among b's training rows."
    )
    other = make_run(tmp_path, "c", Told(identity={"data": {"train": {"rows": 900}, "valid": {"rows": 109}}}))
    (found,) = [check.sentence.text for check in compare([runs[0], other]).checks if check.topic == "validation rows"]
    assert "one pool" not in found


def test_what_one_run_does_not_record_is_not_called_a_difference(tmp_path: Path) -> None:
    found = checks(tmp_path, engine=None, result={})
    assert not any("tools" in check.topic or "loss definition" in check.topic for check in found)


def test_lengths_that_may_have_cut_nothing_are_not_said_to_have_cut(tmp_path: Path) -> None:
    from runoff.runs import Value

    unknown = {key: Value.unknown("the rows are not here") for key in ("train_rows_cut", "longest_row_tokens")}
    a = make_run(tmp_path, "a", Told(settings={"max_seq_length": 512}, counts=unknown))
    b = make_run(tmp_path, "b", Told(settings={"max_seq_length": 700}, counts=unknown))
    wanted = "Rows are cut at different lengths (a: 512, b: 700 tokens), if any was that long; how many is not known."
    assert wanted in texts(list(compare([a, b]).checks), "warning")


@pytest.mark.parametrize(("trained_on", "rows"), [(3, 60), (700, 120)])
def test_a_smaller_test_set_that_no_run_was_trained_on_is_taken(tmp_path: Path, trained_on: int, rows: int) -> None:
    """The larger one is kept beside it, as an earlier evaluation without that run leaves it."""
    leaked = DATA | {"train": DATA["train"] | {"row_sha256": [f"{trained_on:016x}"]}}
    losses = random_losses(1)
    runs = [
        make_run(tmp_path, "a", losses=losses),
        make_run(tmp_path, "b", Told(identity={"data": leaked}), losses=losses),
    ]
    for run in runs:
        small = copytree(run.folder.evaluation("testset"), run.folder.evaluation("smaller"))
        body = json.loads((small / "evaluation.json").read_text())
        (small / "evaluation.json").write_text(json.dumps(body | {"key": "smaller"}))
        for name in ("rows.jsonl", "base.jsonl"):
            (small / name).write_text("".join((small / name).read_text().splitlines(keepends=True)[60:]))
    assert len(compare(runs).evidence.evaluations["a"].rows) == rows


def test_a_test_row_that_a_run_trained_on_blocks_whoever_scored_it(tmp_path: Path) -> None:
    leaked = DATA | {"train": DATA["train"] | {"row_sha256": [f"{3:016x}", f"{7:016x}", f"{700:016x}"]}}
    losses = random_losses(1)
    a = make_run(tmp_path, "a", losses=losses)
    b = make_run(tmp_path, "b", Told(identity={"data": DATA | {"train": {"rows": 100}}}), losses=losses)
    told = "Which rows b trained on is not recorded, so a test row may have been among them."
    assert told in texts(list(compare([a, b]).checks), "warning")
    c = make_run(tmp_path, "c", Told(identity={"data": leaked}), losses=losses)
    found = texts(list(compare([a, c]).checks), "blocking")
    assert found == ["c was trained on 2 of the 120 scored test rows: its loss is not held out."]


def test_seeds_that_differ_are_said(tmp_path: Path) -> None:
    losses = random_losses(1)
    a, b = (make_run(tmp_path, n, Told(settings={"seed": s}), losses=losses) for n, s in (("a", 1), ("b", 2)))
    wanted = "The seeds differ (a: 1, b: 2): a part of any difference is the draw of a seed."
    assert wanted in texts(list(compare([a, b]).checks), "warning")
    assert not any("seeds" in text for text in texts(list(compare([a, a]).checks), "warning"))


def test_a_restarted_record_is_said(tmp_path: Path) -> None:
    rows = (
        MetricRow("train", 10, 1, 0.1, 9.0, target_tokens=10),
        MetricRow("train", 10, 1, 0.1, 3.0, target_tokens=10, segment=1),
    )
    found = compare([make_run(tmp_path, "a", Told(metrics=rows)), make_run(tmp_path, "b")]).checks
    wanted = "a's record starts 2 times; the curves and figures shown are of the last start."
    assert texts(list(found), "warning") == [wanted]


def test_validations_over_rows_drawn_anew_are_said(tmp_path: Path) -> None:
    drawn = Finding(
        "I110", "note", "run.yaml:3", "Each validation loss is of 8 of the 20 rows, drawn anew each time.", ""
    )
    a = make_run(tmp_path, "a", Told(counts={"validation_rows": 8}, findings=(drawn,)))
    b = make_run(tmp_path, "b")
    wanted = "Each validation loss is of rows drawn anew at random (a: 8 of 20 rows), so it moves with the draw."
    assert texts(list(compare([a, b]).checks), "warning") == [wanted]
    assert texts(list(compare([b, b]).checks), "warning") == []


def measured(root: Path, name: str, **taken: dict[str, Any]) -> Run:
    """A run with these measures, by key, each taken so."""
    found = [replace(made_measure(key, 0.1), taken=how) for key, how in taken.items()]
    return make_run(root, name, losses=random_losses(1), measures=found)


def test_measures_that_were_taken_in_different_ways_are_left_out_and_named(tmp_path: Path) -> None:
    how = {"temperature": 0.0, "training rows": "aa"}
    a = measured(tmp_path, "a", copied=how, broken={"temperature": 0.0}, own={})
    b = measured(tmp_path, "b", copied=how | {"training rows": "bb"}, broken={"temperature": 0.0}, own={"seed": 1})
    found = compare([a, b])
    assert set(found.evidence.measures) == {"broken", "own"}
    assert found.evidence.unlike == {"copied": ("training rows",)}
    (check,) = [check for check in found.checks if check.topic == "measures"]
    assert check.level == "blocking"
    assert check.blocks == ("measures of generated answers",)
    assert check.sentence.text == (
        "1 measure of generated answers was taken in different ways (training rows) and is left out. Evaluate the runs "
        "together, with --generate."
    )
    assert found.blocked == ()


def test_all_that_differs_is_said_of_several_measures(tmp_path: Path) -> None:
    a = measured(tmp_path, "a", copied={"temperature": 0.0, "training rows": "aa"}, broken={"temperature": 0.0})
    b = measured(tmp_path, "b", copied={"temperature": 0.7, "training rows": "bb"}, broken={"temperature": 0.7})
    (text,) = [check.sentence.text for check in compare([a, b]).checks if check.topic == "measures"]
    assert text.startswith("2 measures of generated answers were taken in different ways (temperature and training ")


def test_measures_that_were_taken_alike_are_kept_and_nothing_is_said(tmp_path: Path) -> None:
    runs = [measured(tmp_path, name, copied={"temperature": 0.0, "training rows": "aa"}) for name in "ab"]
    found = compare(runs)
    assert set(found.evidence.measures) == {"copied"}
    assert not [check for check in found.checks if check.topic == "measures"]
