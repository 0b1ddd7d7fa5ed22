"""Tables that hold several runs: W&B's exports of a panel and of its list of runs, MLflow's list of runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.importers.given import kind_of, one, read, write

from runoff.errors import ImportFailed
from runoff.importers import import_runs


def panel(*curves: str, along: str = "train/global_step", rows: tuple[str, ...] = ()) -> str:
    cells = [along, *(f"{curve}{end}" for curve in curves for end in ("", "__MIN", "__MAX"))]
    return "\n".join([",".join(f'"{cell}"' for cell in cells), *rows]) + "\n"


TWO = panel(
    "run3 - train/loss",
    "run - 4 - train/loss",
    rows=('"10","2.5","2.5","2.5","","",""', '"15","","","","2.4","2.4","2.4"', "20,2.1,2.1,2.1,2.0,2.0,2.0"),
)


def test_every_run_of_a_panel_becomes_one(tmp_path: Path) -> None:
    path = write(tmp_path / "wandb_export_2026-01-01T00_00_00.000+00_00.csv", TWO)
    assert kind_of(path) == "W&B panel"
    made = {each.merged.name: each.merged for each in import_runs([path], root=tmp_path / "runs").imported}
    rows = [(name, row.optimizer_updates, row.nats_per_target_token) for name, run in made.items() for row in run.rows]
    assert rows == [("run3", 10, 2.5), ("run3", 20, 2.1), ("run - 4", 15, 2.4), ("run - 4", 20, 2.0)]
    assert {row.place for run in made.values() for row in run.rows} == {f"{path.name}:{line}" for line in (2, 3, 4)}
    assert [run.plan.notes for run in made.values()] == [(), ()]


def test_a_panel_of_several_measures(tmp_path: Path) -> None:
    curves = ("a - train/loss", "a - eval/loss", "a - _step", "b - train/learning_rate")
    path = write(tmp_path / "p.csv", panel(*curves, rows=("10,2.5,2.5,2.5,2.6,2.6,2.6,3,3,3,0.1,0.1,0.1",)))
    run = one(tmp_path, path).merged
    assert [(row.kind, row.nats_per_target_token) for row in run.rows] == [("train", 2.5), ("validation", 2.6)]
    assert run.plan.notes == ("p.csv: no loss under a known name for b.",)


def test_points_that_were_averaged_are_told(tmp_path: Path) -> None:
    path = write(tmp_path / "p.csv", panel("a - loss", rows=("10,2.5,2.4,2.6", "20,2.1,2.1,2.1")))
    assert one(tmp_path, path).merged.plan.notes == (
        "p.csv: W&B averaged several reports into one in 1 of 2 rows of this export.",
    )


def test_a_panel_counted_by_wandbs_step_says_what_to_choose(tmp_path: Path) -> None:
    path = write(tmp_path / "p.csv", panel("a - loss", "b - loss", along="Step", rows=("10,2.5,2.5,2.5,2.4,2.4,2.4",)))
    with pytest.raises(ImportFailed, match="counted by Step") as failed:
        read(path)
    assert str(failed.value) == (
        "p.csv: its curves are counted by Step, which may be iterations or optimizer updates; export the panel with "
        "train/global_step as its x axis, or say which it is with --column iteration=Step or "
        "--column optimizer_updates=Step."
    )
    both = read(path, {"iteration": "Step"}).facts
    assert [(facts.labels, facts.rows[0].iteration) for facts in both] == [(("a",), 10), (("b",), 10)]


def test_a_loss_of_another_name_is_chosen_for_every_run_at_once(tmp_path: Path) -> None:
    path = write(tmp_path / "p.csv", panel("a - my/nll", "b - my/nll", rows=("10,2.5,2.5,2.5,2.4,2.4,2.4",)))
    with pytest.raises(ImportFailed, match=r"none of its curves .* \(my/nll\); .* --column train_loss=my/nll or"):
        read(path)
    both = read(path, {"train_loss": "my/nll"}).facts
    assert [facts.rows[0].nats_per_target_token for facts in both] == [2.5, 2.4]


def test_one_curve_named_in_full_is_one_run(tmp_path: Path) -> None:
    reading = read(write(tmp_path / "p.csv", TWO), {"train_loss": "run3 - train/loss"})
    assert (reading.tally.skipped, reading.tally.not_understood) == (1, 0), "a row of run 4 alone"
    (facts,) = reading.facts
    assert ([row.nats_per_target_token for row in facts.rows], facts.labels) == ([2.5, 2.1], ())


def test_one_name_is_no_name_for_several_runs(tmp_path: Path) -> None:
    path = write(tmp_path / "p.csv", TWO)
    with pytest.raises(ImportFailed, match=r"--name x says one run, but p\.csv holds 2 \(run3, run - 4\)\."):
        import_runs([path], name="x", root=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_table_of_runs_gives_their_last_values(tmp_path: Path) -> None:
    text = (
        '"Name","State","train/global_step","train/loss","eval/loss"\n'
        '"a","finished","450","1.5","1.6"\n"b","crashed","100","1.75",""\n"b","finished","200","1.7",""\n'
    )
    path = write(tmp_path / "wandb_export.csv", text)
    made = import_runs([path], root=tmp_path / "runs").imported
    assert [(each.merged.name, len(each.merged.rows)) for each in made] == [("a", 2), ("b-3", 1), ("b-4", 1)]
    assert [row.optimizer_updates for each in made for row in each.merged.rows] == [450, 450, 100, 200]
    assert {note for each in made for note in each.merged.plan.notes} == {
        "wandb_export.csv: it holds the last values of each run, no curve."
    }
    other = write(tmp_path / "mlflow.csv", "Run ID,Name,Status,accuracy\n1,a,FINISHED,0.5\n")
    with pytest.raises(
        ImportFailed, match=r"\(Run ID, Name, Status, accuracy\); name one with --column train_loss=NAME"
    ):
        read(other)
