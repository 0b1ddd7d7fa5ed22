from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
from tests.unit.importers.given import GOLDEN, codes, count, mlx_adapter, mlx_config, old_log, one, setting, write
from typer.testing import CliRunner

from runoff.errors import ImportFailed
from runoff.importers import import_runs
from runoff.runs import load_run


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def given(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "out" / "run"
    write(folder / "adapter_config.json", mlx_config(num_layers=2))
    mlx_adapter(folder / "adapters.safetensors", (34, 35), 8)
    mlx_adapter(folder / "0000020_adapters.safetensors", (34, 35), 8)
    return [folder, write(tmp_path / "run.log", old_log())]


def test_the_same_import_twice_changes_nothing(tmp_path: Path, given: list[Path]) -> None:
    root = tmp_path / "runs"
    first = import_runs(given, root=root)
    before = files_below(root)
    again = import_runs(list(reversed(given)), root=root)
    assert files_below(root) == before
    assert [each.new for each in first.imported + again.imported] == [True, False]
    assert first.runs[0].name == again.runs[0].name == "run"


def test_originals_are_kept_untouched_with_their_hashes(tmp_path: Path, given: list[Path]) -> None:
    run = import_runs(given, root=tmp_path / "runs").runs[0]
    assert run.identity.imported is not None
    for entry in run.identity.imported["files"]:
        copy = (run.folder.source / entry["path"]).read_bytes()
        assert hashlib.sha256(copy).hexdigest() == entry["sha256"]
    names = {entry["path"] for entry in run.identity.imported["files"]}
    assert names == {"run.log", *(f"run/{path.name}" for path in given[0].iterdir())}
    assert (run.folder.adapter / "adapters.safetensors").read_bytes() == (
        given[0] / "adapters.safetensors"
    ).read_bytes()


def test_the_tensors_are_the_last_word(tmp_path: Path, given: list[Path]) -> None:
    write(given[0] / "adapter_config.json", mlx_config(num_layers=16))
    run = one(tmp_path, *given)
    assert count(run, "adapted_blocks").value == 2
    assert count(run, "adapted_blocks").origin.place == "run/adapters.safetensors"
    assert "I109" in codes(run)


def test_a_folder_with_two_runs_makes_two(tmp_path: Path) -> None:
    for name in ("first", "second"):
        body = mlx_config(adapter_path=f"out/{name}", config=f"{name}.yaml")
        write(tmp_path / "all" / name / "adapter_config.json", body)
        write(tmp_path / "all" / f"{name}.yaml", "iters: 40\nnum_layers: 16\n")
        write(tmp_path / "all" / f"{name}.log", old_log(save=f"out/{name}"))
    report = import_runs([tmp_path / "all"], root=tmp_path / "runs")
    assert [run.name for run in report.runs] == ["first", "second"]
    assert [len(each.files) for each in report.imported] == [3, 3]


def test_default_folders_of_the_same_name_are_not_mixed(tmp_path: Path) -> None:
    for seed, name in enumerate("ab"):
        folder = tmp_path / name / "adapters"
        write(folder / "adapter_config.json", mlx_config(adapter_path="adapters", config=None, seed=seed))
        mlx_adapter(folder / "adapters.safetensors")
    report = import_runs([tmp_path / "a", tmp_path / "b"], root=tmp_path / "runs")
    assert [len(each.files) for each in report.imported] == [2, 2]
    assert len({run.name for run in report.runs}) == 2


def test_a_nameless_log_goes_with_the_only_configuration_and_says_so(tmp_path: Path) -> None:
    log = old_log().replace("Saved final weights to out/run/adapters.safetensors.\n", "")
    run = one(
        tmp_path, write(tmp_path / "mine.yaml", "iters: 40\nnum_layers: 16\n"), write(tmp_path / "other.log", log)
    )
    assert any("names no run" in note for note in run.merged.plan.notes)


def test_a_summary_that_contradicts_the_log_is_a_finding(tmp_path: Path) -> None:
    log = write(tmp_path / "mine.log", old_log())
    metrics = write(tmp_path / "mine_metrics.json", {"final_iteration": 40, "final_train_loss": 9.9})
    run = one(tmp_path, log, metrics)
    assert "I104" in codes(run)
    assert [row.nats_per_target_token for row in run.merged.rows if row.kind == "train"][-1] == 1.7


def test_what_a_person_remembers_is_marked(tmp_path: Path) -> None:
    path = write(tmp_path / "run" / "adapter_config.json", mlx_config(num_layers=4))
    given = ["final_val_loss=1.6", "train_rows=100", "num_layers=8"]
    run = one(tmp_path, path, assignments=given)
    (row,) = run.merged.rows
    assert (row.kind, row.nats_per_target_token, row.place, row.iteration) == ("validation", 1.6, "--set", None)
    assert str(count(run, "train_rows").origin.why) == "given by hand"
    value = setting(run, "num_layers")
    assert (value.value, value.declared, value.origin.place) == (8, 4, "--set")


@pytest.mark.parametrize(
    ("assignment", "sentence"),
    [
        ("final_vall_loss=1", "did you mean final_val_loss"),
        ("train_rows", "key=value"),
        ("train_rows=many", "whole number"),
        ("train_rows=-1", "whole number"),
        ("final_val_loss=low", "must be a number"),
        ("zzz=1", "is not known. Counts: "),
    ],
)
def test_assignments_that_mean_nothing_are_refused(tmp_path: Path, assignment: str, sentence: str) -> None:
    path = write(tmp_path / "a.log", old_log())
    with pytest.raises(ImportFailed, match=sentence):
        import_runs([path], root=tmp_path / "runs", assignments=[assignment])


def test_set_is_for_one_run(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{name}.log", old_log(save=f"out/{name}")) for name in ("a", "b")]
    with pytest.raises(ImportFailed, match="hold 2"):
        import_runs(paths, root=tmp_path / "runs", assignments=["train_rows=1"])


def test_one_name_for_two_adapters_is_refused(tmp_path: Path) -> None:
    paths = [write(tmp_path / name / "adapter_config.json", mlx_config()).parent for name in ("a", "b")]
    with pytest.raises(ImportFailed, match="2 adapter folders"):
        import_runs(paths, root=tmp_path / "runs", name="x")


def test_a_name_that_is_taken_is_refused(tmp_path: Path) -> None:
    one(tmp_path, write(tmp_path / "a.log", old_log()), name="x")
    with pytest.raises(ImportFailed, match="Choose another --name"):
        one(tmp_path, write(tmp_path / "b.log", old_log(60)), name="x")


def test_a_dry_run_writes_nothing(tmp_path: Path, given: list[Path]) -> None:
    report = import_runs(given, root=tmp_path / "runs", dry_run=True)
    assert report.runs == ()
    assert report.imported[0].merged.name == "run"
    assert not (tmp_path / "runs").exists()


def test_half_an_import_is_no_run_and_is_made_anew(tmp_path: Path, given: list[Path]) -> None:
    run = import_runs(given, root=tmp_path / "runs").runs[0]
    run.folder.identity.unlink()
    again = import_runs(given, root=tmp_path / "runs").runs[0]
    assert again.folder.path == run.folder.path
    assert load_run(again.folder.path).name == "run"


def test_a_path_inside_a_file_is_never_followed(tmp_path: Path) -> None:
    secret = write(tmp_path / "elsewhere" / "adapter_config.json", mlx_config(iters=7))
    body = mlx_config(adapter_path=str(secret.parent), config=str(secret), resume_adapter_file=str(secret))
    run = one(tmp_path, write(tmp_path / "a" / "adapter_config.json", body))
    assert setting(run, "iters").value == 40
    assert len(run.files) == 1


def test_a_tool_of_no_known_rules_leaves_settings_unknown(tmp_path: Path) -> None:
    path = write(tmp_path / "a.yaml", "foo: 1\nlearning_rate: 0.1\n")
    run = one(tmp_path, path, tool="other")
    assert (setting(run, "learning_rate").known, setting(run, "learning_rate").declared) == (False, 0.1)


def test_a_bad_version_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ImportFailed, match="is not a version"):
        import_runs([write(tmp_path / "a.log", old_log())], tool="mlx-lm@new")


def test_the_command_line(tmp_path: Path, given: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    import typer

    from runoff.cli.import_ import command

    monkeypatch.setenv("RUNOFF_DIR", str(tmp_path / "runs"))
    app = typer.Typer()
    app.command()(command)
    paths = [str(path) for path in given]
    dry = CliRunner().invoke(app, [*paths, "--dry-run"])
    assert "run: would be imported" in dry.output
    result = CliRunner().invoke(app, [*paths, "--set", "train_rows=100"])
    assert result.exit_code == 0, result.output
    assert "run: imported" in result.output
    assert "nothing changed" in CliRunner().invoke(app, [*paths, "--set", "train_rows=100"]).output
    assert json.loads((tmp_path / "runs" / "run" / "run.json").read_text())["status"] == "imported"


def test_nothing_understood_names_each_reason(tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    write(folder / "empty.log", "")
    write(folder / "training_args.bin", b"\x80\x04\x95evil")
    write(folder / "picture.png", b"\x89PNG\r\n\x1a\n\0\0\0")
    with pytest.raises(ImportFailed, match="nothing to import") as caught:
        import_runs([folder], root=tmp_path / "runs")
    for word in ("is empty", "never opened", "no kind that can be read"):
        assert word in str(caught.value)


def test_missing_paths_and_dead_links(tmp_path: Path) -> None:
    with pytest.raises(ImportFailed, match="no such file or folder"):
        import_runs([tmp_path / "none.log"])
    os.symlink(tmp_path / "gone", tmp_path / "link")
    with pytest.raises(ImportFailed, match="leads nowhere"):
        import_runs([tmp_path / "link"])


def test_symlink_loops_end(tmp_path: Path) -> None:
    folder = tmp_path / "loop"
    write(folder / "a.log", old_log())
    os.symlink(folder, folder / "again")
    os.symlink(folder / "self", folder / "self")
    run = one(tmp_path, folder)
    assert run.files == ("loop/a.log",)


def test_a_folder_of_thousands_of_files(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    for number in range(3000):
        write(folder / f"{number % 7}" / f"note-{number}.txt", f"note {number}\n")
    write(folder / "a.log", old_log())
    assert one(tmp_path, folder).files == ("many/a.log",)


@pytest.mark.parametrize(
    "name", ["a.log", "adapters.safetensors", "m.csv", "m.jsonl", "a.yaml", "events.out.tfevents.1.x"]
)
def test_two_gigabytes_of_nothing(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with path.open("wb") as file:
        file.truncate(2 << 30)
    with pytest.raises(ImportFailed):
        import_runs([path], root=tmp_path / "runs")


def test_a_fifo_and_a_file_without_permission(tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    write(folder / "a.log", old_log())
    os.mkfifo(folder / "pipe")
    report = import_runs([folder], root=tmp_path / "runs")
    assert {file.why_not for file in report.files} >= {"is not a regular file"}


def _experiment(folder: Path, speed: str, *, config: str = "config.yaml") -> None:
    """A run as many keep it: its configuration, its log and `adapters/` in a folder of its own."""
    write(folder / config, "model: m\niters: 40\nnum_layers: 4\nadapter_path: adapters\n")
    write(folder / "train.log", old_log(save="adapters").replace("It/sec 0.417", f"It/sec {speed}"))
    write(folder / "adapters" / "adapter_config.json", mlx_config(adapter_path="adapters", config=config))
    mlx_adapter(folder / "adapters" / "adapters.safetensors")


@pytest.mark.parametrize("config", ["config.yaml", "run.yaml", "lora.yaml"])
def test_folders_alike_in_every_name_are_runs_of_their_own(tmp_path: Path, config: str) -> None:
    _experiment(tmp_path / "exp" / "a", "0.411", config=config)
    _experiment(tmp_path / "exp" / "b", "0.422", config=config)
    report = import_runs([tmp_path / "exp"], root=tmp_path / "runs")
    assert [(run.merged.name, len(run.files), len(run.merged.rows)) for run in report.imported] == [
        ("a", 4, 7),
        ("b", 4, 7),
    ]


def test_an_adapter_in_a_folder_of_many_runs_takes_only_what_names_it(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    _experiment(folder, "0.411")
    for name in ("one", "two"):
        write(folder / f"{name}.yaml", f"model: m\niters: 40\nnum_layers: 4\nadapter_path: out/{name}\n")
        write(folder / f"{name}.log", old_log(save=f"out/{name}"))
    report = import_runs([folder], root=tmp_path / "runs")
    files = {run.merged.name: sorted(Path(name).name for name in run.files) for run in report.imported}
    assert files["one"] == ["one.log", "one.yaml"]
    assert files["two"] == ["two.log", "two.yaml"]
    (rest,) = [names for name, names in files.items() if name not in ("one", "two")]
    assert {"adapter_config.json", "adapters.safetensors", "train.log"} <= set(rest)


def test_adapter_folders_side_by_side_are_not_one_run(tmp_path: Path) -> None:
    for name, iters in (("run3_adapters", 40), ("run4_adapters", 60)):
        write(tmp_path / "models" / name / "adapter_config.json", mlx_config(adapter_path=name, iters=iters))
    report = import_runs([tmp_path / "models"], root=tmp_path / "runs")
    assert [run.merged.name for run in report.imported] == ["run3_adapters", "run4_adapters"]


def test_two_tools_in_one_folder_are_two_runs(tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    write(folder / "mlx_adapter_config.json", mlx_config(adapter_path="out_a", config="a.yaml"))
    write(folder / "mlx_pipe.log", "Loading configuration file a.yaml\n" + old_log(save="out_a"))
    write(folder / "mlx_tty.log", "Loading configuration file tty.yaml\n" + old_log(save="out_t"))
    write(folder / "notes.stderr", "nothing here\n")
    write(folder / "peft_adapter_config.json", (GOLDEN / "peft" / "adapter_config.json").read_bytes())
    write(folder / "trainer_state.json", (GOLDEN / "peft" / "checkpoint-16" / "trainer_state.json").read_bytes())
    write(folder / "trl_stdout.log", (GOLDEN / "trl_stdout.log").read_bytes())
    report = import_runs([folder], root=tmp_path / "runs")
    groups = [(run.merged.tool, sorted(Path(name).name for name in run.files)) for run in report.imported]
    assert ("mlx-lm", ["mlx_adapter_config.json", "mlx_pipe.log"]) in groups
    assert ("mlx-lm", ["mlx_tty.log"]) in groups
    assert ("trl", ["peft_adapter_config.json", "trainer_state.json", "trl_stdout.log"]) in groups
    assert sorted(run.merged.name for run in report.imported) == ["mixed", "out_a", "out_t"]
