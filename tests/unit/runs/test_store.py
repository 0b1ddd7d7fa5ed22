"""Run folders: names, locks, what is left of half of one, and reading them back."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest

from runoff.errors import RunError
from runoff.files import jsonl
from runoff.runs import RunFolder, create_run, find_runs, free_folder, load_run, runs_root

IDENTITY = {"schema_version": 1, "name": "a", "status": "finished", "created": "2026-01-01", "runoff_version": "0.1.0"}
PLAN = {"schema_version": 1, "settings": {"seed": {"value": 0, "origin": "default"}}, "counts": {}}


def a_run(root: Path, name: str = "a", identity: Any = IDENTITY, plan: Any = PLAN) -> RunFolder:
    folder = RunFolder(root / name)
    folder.path.mkdir(parents=True)
    for path, body in ((folder.identity, identity), (folder.plan, plan)):
        if body is not None:
            path.write_text(json.dumps(body) if not isinstance(body, str) else body)
    return folder


def sentence(name: str, root: Path) -> str:
    with pytest.raises(RunError) as caught:
        load_run(name, root)
    return str(caught.value)


def test_the_root_is_runs_here_or_what_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNOFF_DIR", raising=False)
    assert runs_root() == Path("runs")
    monkeypatch.setenv("RUNOFF_DIR", "/elsewhere")
    assert runs_root() == Path("/elsewhere")


@pytest.mark.parametrize("name", ["a", "run4", "2026-01-01_b.2", "X" * 100])
def test_a_new_folder_is_empty(tmp_path: Path, name: str) -> None:
    folder = create_run(name, tmp_path / "runs")
    assert folder.path == tmp_path / "runs" / name
    assert list(folder.path.iterdir()) == []


def test_an_empty_folder_is_free(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert create_run("a", tmp_path).path.is_dir()


def test_a_taken_name_is_refused_and_overwrite_empties_the_run(tmp_path: Path) -> None:
    folder = a_run(tmp_path)
    with pytest.raises(RunError) as caught:
        create_run("a", tmp_path)
    assert str(caught.value) == (
        f"{folder.path}: this run exists. Choose another --name, or add --resume or --overwrite."
    )
    assert folder.identity.exists()
    create_run("a", tmp_path, overwrite=True)
    assert list(folder.path.iterdir()) == []


def test_overwrite_never_deletes_a_folder_that_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("years of work")
    with pytest.raises(RunError) as caught:
        create_run("thesis", tmp_path, overwrite=True)
    assert str(caught.value) == (
        f"{tmp_path / 'thesis'}: is not a run (it has no run.json), so --overwrite does not delete it. Choose another "
        "--name."
    )
    assert (tmp_path / "thesis" / "chapter1.tex").exists()


def test_a_folder_with_nothing_but_a_lock_can_be_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / ".lock").touch()
    assert list(create_run("a", tmp_path, overwrite=True).path.iterdir()) == []


def test_a_start_that_was_killed_before_its_run_json_is_free_again(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for name in (".lock", "config.yaml", ".plan.json.0123abcd"):
        (tmp_path / "a" / name).touch()
    assert list(create_run("a", tmp_path).path.iterdir()) == []
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.yaml").touch()
    with pytest.raises(RunError, match="this run exists"):
        create_run("mine", tmp_path)


def test_a_deletion_that_was_killed_leaves_a_run_that_can_be_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = a_run(tmp_path)
    folder.snapshot(1).parent.mkdir(exist_ok=True)
    folder.snapshot(1).touch()
    real, left = Path.unlink, [0]

    def unlink(self: Path, missing_ok: bool = False) -> None:
        if left[0] == 1:
            raise KeyboardInterrupt
        left[0] += 1
        real(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    with pytest.raises(KeyboardInterrupt):
        create_run("a", tmp_path, overwrite=True)
    monkeypatch.undo()
    assert folder.identity.exists()
    assert list(create_run("a", tmp_path, overwrite=True).path.iterdir()) == []


def test_a_file_of_that_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    for overwrite in (False, True):
        with pytest.raises(RunError) as caught:
            free_folder("a", tmp_path, overwrite=overwrite)
        assert str(caught.value) == (
            f"{tmp_path / 'a'}: is a file, so no run can be kept there. Choose another --name."
        )


def test_looking_whether_a_name_is_free_makes_nothing(tmp_path: Path) -> None:
    free_folder("a", tmp_path / "runs")
    assert list(tmp_path.iterdir()) == []


def test_a_locked_folder_is_refused_until_it_is_let_go(tmp_path: Path) -> None:
    folder = a_run(tmp_path)
    said = f"{folder.path}: another training is writing this run. Wait for it, or choose another --name."
    with folder.lock():
        with pytest.raises(RunError) as caught, folder.lock():
            pass
        assert str(caught.value) == said
        with pytest.raises(RunError) as caught:
            create_run("a", tmp_path, overwrite=True)
        assert str(caught.value) == said
    with folder.lock():
        pass
    assert folder.identity.exists()


def test_a_lock_is_let_go_when_the_training_fails(tmp_path: Path) -> None:
    folder = a_run(tmp_path)
    with pytest.raises(ZeroDivisionError), folder.lock():
        raise ZeroDivisionError
    with folder.lock():
        pass


def test_a_run_is_found_by_name_and_by_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = a_run(tmp_path / "runs")
    assert load_run("a", tmp_path / "runs").name == "a"
    assert load_run(folder.path, tmp_path / "other").folder == folder
    monkeypatch.chdir(tmp_path)
    assert load_run("runs/a").identity.status == "finished"


def test_a_name_that_is_no_run_gets_the_near_ones(tmp_path: Path) -> None:
    for name in ("winter-1", "winter-2", "spring"):
        a_run(tmp_path, name)
    assert sentence("sprign", tmp_path) == "sprign: no such run; did you mean spring?"
    assert sentence("wint", tmp_path).startswith("wint: no such run; did you mean winter-")
    assert sentence("NTER", tmp_path) == "NTER: no such run; did you mean winter-1 or winter-2?"
    assert sentence("zzz", tmp_path) == f"zzz: no such run; runs in {tmp_path}: spring, winter-1, winter-2."
    assert sentence("zzz", tmp_path / "none") == f"zzz: no such run; runs in {tmp_path / 'none'}: none."


def test_half_a_run_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    path = a_run(tmp_path, "half").path
    (path / "run.json").unlink()
    assert sentence("half", tmp_path) == (
        f"{path}: is half a run (it has no run.json). Train it again, or import it: runoff import {path}."
    )
    a_run(tmp_path, "planless", plan=None)
    assert sentence("planless", tmp_path) == f"{tmp_path / 'planless'}: is half a run (it has no plan.json)."


def test_a_folder_without_a_run_is_not_called_half_of_one(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    path = tmp_path / "data"
    assert sentence("data", tmp_path) == (
        f"{path}: is no run (it has no run.json). What another tool trained is imported: runoff import {path}."
    )
    a_run(tmp_path / "runs", "spring")
    assert sentence("runs", tmp_path) == (
        f"{tmp_path / 'runs'}: holds runs, and is none itself. Name one of them: spring."
    )


def test_a_long_list_of_runs_says_how_many_more_there_are(tmp_path: Path) -> None:
    for at in range(12):
        a_run(tmp_path, f"run-{at:02}")
    assert sentence("zzz", tmp_path).endswith("run-08, run-09 and 2 more.")


@pytest.mark.parametrize("version", [None, "1"])
def test_a_record_without_a_version_is_not_called_newer(tmp_path: Path, version: object) -> None:
    folder = a_run(tmp_path, identity=IDENTITY | {"schema_version": version})
    assert sentence("a", tmp_path) == f"{folder.identity}: is not as Runoff writes it (it has no schema_version)."


@pytest.mark.parametrize("version", [2, 99])
def test_a_newer_record_says_to_upgrade(tmp_path: Path, version: object) -> None:
    folder = a_run(tmp_path, identity=IDENTITY | {"schema_version": version})
    assert sentence("a", tmp_path) == (
        f"{folder.path}: written by a newer Runoff (record version {version}, this one reads up to 1). Upgrade Runoff "
        "to read it."
    )


@pytest.mark.parametrize(
    ("identity", "plan"),
    [
        (IDENTITY | {"status": "asleep"}, PLAN),
        ({"schema_version": 1}, PLAN),
        (IDENTITY, {"settings": {}}),
        (IDENTITY, {"settings": {"seed": 5}, "counts": {}}),
        (IDENTITY, {"settings": [], "counts": {}}),
        (IDENTITY, PLAN | {"findings": [{"colour": "red"}]}),
        (IDENTITY, {"settings": {"seed": {"value": 0, "origin": [1]}}, "counts": {}}),
        (IDENTITY, PLAN | {"findings": [dict.fromkeys(("code", "level", "place", "what", "why", "fix"), 1)]}),
    ],
)
def test_a_record_that_is_not_as_runoff_writes_it(tmp_path: Path, identity: Any, plan: Any) -> None:
    folder = a_run(tmp_path, identity=identity, plan=plan)
    said = sentence("a", tmp_path)
    assert said.startswith(f"{folder.path}: run.json or plan.json is not as Runoff writes it (")
    assert said.endswith("). Restore it.")
    assert "\n" not in said
    assert "validation error" not in said


@pytest.mark.parametrize(("text", "why"), [("{", "can't be read as JSON ("), ("[]", "must be a JSON object.")])
def test_a_record_that_is_no_json(tmp_path: Path, text: str, why: str) -> None:
    folder = a_run(tmp_path, identity=text)
    assert sentence("a", tmp_path).startswith(f"{folder.identity}: {why}")


def test_fields_of_a_newer_runoff_are_passed_over(tmp_path: Path) -> None:
    folder = a_run(tmp_path, identity=IDENTITY | {"mood": "good"})
    folder.metrics.write_bytes(jsonl([{"kind": "train", "iteration": 1, "mood": "good"}]))
    run = load_run("a", tmp_path)
    assert run.identity.name == "a"
    assert run.metrics[0].iteration == 1


def test_metrics_with_a_last_line_cut_off_are_read_up_to_it(tmp_path: Path) -> None:
    folder = a_run(tmp_path)
    rows = jsonl([{"kind": "train", "iteration": 1}, {"kind": "train", "iteration": 2}])
    for cut in range(1, 30):
        folder.metrics.write_bytes(rows[:-cut])
        expected = [1, 2] if cut == 1 else [1]
        assert [row.iteration for row in load_run("a", tmp_path).metrics] == expected


def test_metrics_that_are_damaged_in_the_middle_are_named_with_the_line(tmp_path: Path) -> None:
    folder = a_run(tmp_path)
    for damage in (b'{"kind": "tr', b"[1]", b'"kind"', b"\xff\xfe"):
        folder.metrics.write_bytes(b'{"kind": "train", "iteration": 1}\n' + damage + b"\n{}\n")
        with pytest.raises(RunError) as caught:
            _ = load_run("a", tmp_path).metrics
        assert str(caught.value) == (
            f"{folder.metrics}:2: not a JSON object. The file was damaged; restore it or remove the line."
        )
    folder.metrics.write_bytes(b"{}\n")
    for text in ("{}", '{"kind": "train", "iteration": "x"}', '{"kind": "train", "nats_per_target_token": [1]}'):
        folder.metrics.write_text(f"{text}\n")
        with pytest.raises(RunError, match=r"metrics\.jsonl: a row is not as Runoff writes it \(.*\)\. Restore it\.$"):
            _ = load_run("a", tmp_path).metrics


def test_numbers_that_json_does_not_know_come_back_as_numbers(tmp_path: Path) -> None:
    folder = a_run(tmp_path)
    row = {"kind": "train", "iteration": 1, "nats_per_target_token": math.nan, "gradient_norm": math.inf, "text": "nan"}
    folder.metrics.write_bytes(jsonl([row]))
    (read,) = load_run("a", tmp_path).metrics
    assert math.isnan(read.nats_per_target_token or 0)
    assert read.gradient_norm == math.inf
    assert read.text == "nan"


def test_a_run_without_metrics_or_validations_has_none(tmp_path: Path) -> None:
    a_run(tmp_path)
    run = load_run("a", tmp_path)
    assert run.metrics == ()
    assert run.validation_rows(5) == []


def test_runs_are_listed_by_name_and_other_folders_are_not(tmp_path: Path) -> None:
    for name in ("b", "a"):
        a_run(tmp_path, name)
    (tmp_path / "c").mkdir()
    assert find_runs(tmp_path) == [tmp_path / "a", tmp_path / "b"]
    assert find_runs(tmp_path / "none") == []


def test_what_came_after_a_checkpoint_is_taken_back_and_nothing_else(tmp_path: Path) -> None:
    folder = a_run(tmp_path)
    kept = [folder.validation(5), folder.snapshot(5), folder.last_checkpoint, folder.adapter / "adapter_config.json"]
    gone = [folder.validation(6), folder.validation(10), folder.snapshot(7), folder.best_snapshot]
    for path in (*kept, *gone):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    folder.metrics.write_bytes(b"0123456789")
    folder.take_back(5, 4)
    assert folder.metrics.read_bytes() == b"0123"
    assert all(path.exists() for path in kept)
    assert not any(path.exists() for path in gone)


def test_lost_metrics_are_not_taken_back(tmp_path: Path) -> None:
    folder = a_run(tmp_path)
    folder.metrics.write_bytes(b"01")
    with pytest.raises(RunError) as caught:
        folder.take_back(5, 4)
    assert str(caught.value) == (f"{folder.metrics}: has lost rows since the checkpoint. Train again with --overwrite.")
    folder.metrics.unlink()
    with pytest.raises(RunError, match="has lost rows since the checkpoint"):
        folder.take_back(5, 4)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_root_that_is_not_writable_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(RunError) as caught:
        create_run("a", tmp_path)
    assert str(caught.value) == (
        f"{tmp_path / 'a'}: not writable, so the run folder could not be written. Choose another folder."
    )


def test_a_root_that_is_not_writable_is_said_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`os.access` is asked, since the tests may run as somebody who may write anywhere."""
    asked: list[Path] = []

    def access(path: Path, mode: int) -> bool:
        asked.append(path)
        return not mode & os.W_OK

    monkeypatch.setattr(os, "access", access)
    path = tmp_path / "deep" / "runs" / "a"
    with pytest.raises(RunError) as caught:
        free_folder("a", path.parent)
    assert str(caught.value) == f"{path}: not writable, so the run folder could not be written. Choose another folder."
    assert asked == [tmp_path]
