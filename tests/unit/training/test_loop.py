"""A whole run on the fake engine: the order of things, the arithmetic, the record."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.fake_engine import FakeBase, FakeEngine
from tests.support.runs import fake_train, make_config, make_data, of_kind, without_times

from runoff.data import Batch, epoch_order, make_batch
from runoff.engines.base import Vector
from runoff.errors import RunError
from runoff.plan import AdapterSpec, learning_rate
from runoff.runs import MetricRow, Run, load_run
from runoff.training import Tick, prepare
from runoff.training.loop import initial_parameters
from runoff.training.optimizers import make_optimizer
from runoff.training.state import load_checkpoint


@pytest.fixture(scope="module")
def finished(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, list[MetricRow | Tick]]:
    """20 iterations on 11 rows in batches of 2, an update every 3, and what the listener heard."""
    root = tmp_path_factory.mktemp("finished")
    heard: list[MetricRow | Tick] = []
    config = make_config(tiny_model, make_data(root / "data"))
    return fake_train(config, "run", root / "runs", listen=heard.append), heard


def counted(run: Run, name: str) -> Any:
    return run.plan.counts[name].value


def test_every_count_of_the_metrics_is_the_plans(finished: tuple[Run, list[MetricRow | Tick]]) -> None:
    run, _ = finished
    last = of_kind(run, "train")[-1]
    assert run.identity.status == "finished"
    assert run.identity.result["reason"] == "all 20 iterations were made"
    assert last.iteration == counted(run, "iterations") == run.identity.result["iterations"] == 20
    assert last.optimizer_updates == counted(run, "optimizer_updates") == run.identity.result["optimizer_updates"] == 7
    assert last.epoch == pytest.approx(counted(run, "epochs"))
    assert len(of_kind(run, "validation")) == counted(run, "validations")
    assert {row.rows for row in of_kind(run, "validation")} == {counted(run, "validation_rows")} == {5}
    assert len(of_kind(run, "checkpoint")) == counted(run, "checkpoints") == 4


def test_target_tokens_after_whole_epochs_are_epochs_times_those_of_one(
    finished: tuple[Run, list[MetricRow | Tick]],
) -> None:
    run, _ = finished
    after_two = next(row for row in of_kind(run, "validation") if row.iteration == 12)
    assert after_two.target_tokens == 2 * counted(run, "target_tokens_per_epoch")


def test_reports_validations_and_checkpoints_come_at_their_iterations(
    finished: tuple[Run, list[MetricRow | Tick]],
) -> None:
    run, _ = finished
    at = {kind: [row.iteration for row in of_kind(run, kind)] for kind in ("train", "validation", "checkpoint")}
    assert at == {
        "train": [4, 8, 12, 16, 20],
        "validation": [0, 6, 12, 18, 20],
        "checkpoint": [5, 10, 15, 20],
    }


def test_validation_is_scored_after_the_update_of_its_iteration(finished: tuple[Run, list[MetricRow | Tick]]) -> None:
    run, _ = finished
    updates = {row.iteration: row.optimizer_updates for row in of_kind(run, "validation")}
    assert updates == {0: 0, 6: 2, 12: 4, 18: 6, 20: 7}


def test_the_listener_hears_every_recorded_row_and_a_tick_per_iteration(
    finished: tuple[Run, list[MetricRow | Tick]],
) -> None:
    run, heard = finished
    assert [row for row in heard if isinstance(row, MetricRow)] == list(run.metrics)
    ticks = [tick for tick in heard if isinstance(tick, Tick)]
    assert [tick.iteration for tick in ticks] == list(range(1, 21))
    assert {tick.iterations for tick in ticks} == {20}
    assert all(tick.seconds_left is not None and tick.seconds_left >= 0 for tick in ticks)
    assert ticks[-1].seconds_left == 0.0
    assert ticks[-1].epoch == pytest.approx(20 / 6)


def test_validation_files_hold_a_row_per_example_and_give_the_recorded_loss(
    finished: tuple[Run, list[MetricRow | Tick]],
) -> None:
    run, _ = finished
    for metric in of_kind(run, "validation"):
        rows = run.validation_rows(metric.iteration or 0)
        assert [row["row"] for row in rows] == [1, 2, 3, 4, 5]
        assert [row["source"] for row in rows][:2] == ["chapter 3", "chapter 4"]
        loss = math.fsum(row["nats"] for row in rows) / sum(row["target_tokens"] for row in rows)
        assert metric.nats_per_target_token == pytest.approx(loss, abs=1e-12)


def by_hand(tiny_model: Path, data: Path, **settings: Any) -> tuple[Vector, list[float], list[float]]:
    """The same run written out: each update's gradient is that of one big batch, divided by its target tokens."""
    ready = prepare(make_config(tiny_model, data, **settings))
    plan, chosen = ready.plan, ready.plan.settings
    engine = FakeBase().attach(plan.adapter, seed=chosen.seed)
    parameters = initial_parameters(engine.slots, engine.parameters(), chosen.seed)
    lengths = [len(example.ids) for example in ready.data.train]
    order = [
        rows
        for epoch in range(math.ceil(plan.counts.epochs))
        for rows in epoch_order(lengths, chosen.batch_size, seed=chosen.seed, epoch=epoch)
    ][: chosen.iters]
    optimizer, norms, rates = make_optimizer(chosen, engine.slots), [], []
    each = chosen.grad_accumulation_steps
    for update, start in enumerate(range(0, len(order), each)):
        rows = [row for batch in order[start : start + each] for row in batch]
        whole = make_batch([ready.data.train[row] for row in rows])
        engine.set_parameters(parameters)
        engine.accumulate(whole, 1.0)
        gradient = engine.take_gradient() / np.float32(whole.target_tokens)
        norms.append(float(np.linalg.norm(gradient.astype(np.float64))))
        if chosen.max_grad_norm is not None and norms[-1] > chosen.max_grad_norm:
            gradient *= chosen.max_grad_norm / norms[-1]
        rates.append(learning_rate(chosen, update))
        optimizer.update(parameters, gradient, rates[-1], update + 1)
    return parameters, norms, rates


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"iters": 19, "grad_accumulation_steps": 4},
        {"optimizer": "adamw", "optimizer_config": {"adamw": {"weight_decay": 0.1, "bias_correction": True}}},
        {"optimizer": "sgd", "learning_rate": 0.5, "max_grad_norm": 0.1},
        {"lr_schedule": {"name": "cosine_decay", "arguments": [0.02, 7, 0.001], "warmup": 2}},
    ],
    ids=["adam", "uneven tail", "adamw corrected", "sgd clipped", "schedule"],
)
def test_an_update_is_the_token_weighted_gradient_of_all_its_rows(
    tiny_model: Path, tiny_data: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    plain = {"lora_parameters": {"rank": 2, "scale": 2.0}, "steps_per_report": 1} | settings
    run = fake_train(make_config(tiny_model, tiny_data, **plain), "run", tmp_path / "runs")
    parameters, norms, rates = by_hand(tiny_model, tiny_data, **plain)
    trained = load_checkpoint(run.folder.last_checkpoint).parameters
    np.testing.assert_allclose(trained, parameters, rtol=2e-5, atol=2e-6)
    firsts = {row.optimizer_updates: row for row in reversed(of_kind(run, "train")) if row.optimizer_updates}
    assert [firsts[update].gradient_norm for update in sorted(firsts)] == pytest.approx(norms, rel=1e-4)
    assert [firsts[update].learning_rate for update in sorted(firsts)] == pytest.approx(rates, rel=1e-12)


def test_the_tail_that_fills_no_window_makes_a_last_update_of_its_own(
    tiny_model: Path, tiny_data: Path, tmp_path: Path
) -> None:
    config = make_config(tiny_model, tiny_data, iters=7, grad_accumulation_steps=5)
    run = fake_train(config, "run", tmp_path / "runs")
    assert run.identity.result["optimizer_updates"] == 2
    assert load_checkpoint(run.folder.last_checkpoint).progress.pending_batches == 0


def test_the_reported_training_loss_is_the_windows_nats_over_its_tokens(
    tiny_model: Path, tiny_data: Path, tmp_path: Path
) -> None:
    each = make_config(tiny_model, tiny_data, steps_per_report=1)
    ones = of_kind(fake_train(each, "ones", tmp_path / "runs"), "train")
    fours = of_kind(fake_train(make_config(tiny_model, tiny_data), "fours", tmp_path / "runs"), "train")
    tokens = np.diff([0, *(row.target_tokens or 0 for row in ones)])
    nats = tokens * np.array([row.nats_per_target_token for row in ones])
    expected = [nats[at : at + 4].sum() / tokens[at : at + 4].sum() for at in range(0, 20, 4)]
    assert [row.nats_per_target_token for row in fours] == pytest.approx(expected, rel=1e-12)


def test_validating_more_often_changes_nothing_of_the_training(
    tiny_model: Path, tiny_data: Path, tmp_path: Path
) -> None:
    seldom = fake_train(make_config(tiny_model, tiny_data, steps_per_eval=20), "seldom", tmp_path / "runs")
    often = fake_train(make_config(tiny_model, tiny_data, steps_per_eval=1, save_every=1), "often", tmp_path / "runs")
    last = [load_checkpoint(run.folder.last_checkpoint).parameters for run in (seldom, often)]
    assert np.array_equal(last[0], last[1])
    assert without_times(of_kind(seldom, "train")) == without_times(of_kind(often, "train"))


def test_another_seed_is_another_run_and_the_same_seed_the_same(
    tiny_model: Path, tiny_data: Path, tmp_path: Path
) -> None:
    runs = [
        fake_train(make_config(tiny_model, tiny_data, seed=seed), name, tmp_path / "runs")
        for seed, name in ((0, "a"), (0, "b"), (1, "c"))
    ]
    a, b, c = (load_checkpoint(run.folder.last_checkpoint).parameters for run in runs)
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)
    assert without_times(runs[0].metrics) == without_times(runs[1].metrics)


def test_a_full_disk_while_saving_ends_with_the_sentence_and_a_good_checkpoint(
    tiny_model: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    from runoff import files
    from runoff.engines.adapters import tensor_files

    real, saves = files.write_parts, []

    def write(path: Path, parts: Iterable[Any]) -> None:
        if path.name == "last.safetensors":
            saves.append(path)
            if len(saves) == 3:
                real_replace = Path.replace
                monkeypatch.setattr(Path, "replace", full)
                try:
                    real(path, parts)
                finally:
                    monkeypatch.setattr(Path, "replace", real_replace)
                return
        real(path, parts)

    def full(_self: Path, _target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tensor_files, "write_parts", write)
    with pytest.raises(RunError) as caught:
        fake_train(make_config(tiny_model, tiny_data), "run", tmp_path / "runs")
    run = load_run("run", tmp_path / "runs")
    last = run.folder.last_checkpoint
    assert str(caught.value) == (
        f"{last}: the disk is full, so last.safetensors could not be written. Free some space and run it again. "
        "With --resume it goes on from its last checkpoint."
    )
    assert run.identity.status == "failed"
    assert run.identity.result["reason"] == str(caught.value)
    assert load_checkpoint(last).progress.iteration == 10
    assert not list(last.parent.glob(".last*")), "half a file was left behind"
    monkeypatch.setattr(tensor_files, "write_parts", real)
    resumed = fake_train(make_config(tiny_model, tiny_data), "run", tmp_path / "runs", resume=True)
    whole = fake_train(make_config(tiny_model, tiny_data), "whole", tmp_path / "runs")
    assert without_times(resumed.metrics) == without_times(whole.metrics)


def test_the_metrics_can_be_read_as_they_are_written(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    lines: list[int] = []
    path = tmp_path / "runs" / "run" / "metrics.jsonl"

    def listen(event: MetricRow | Tick) -> None:
        if isinstance(event, MetricRow):
            rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
            assert rows[-1]["kind"] == event.kind
            lines.append(len(rows))

    fake_train(make_config(tiny_model, tiny_data), "run", tmp_path / "runs", listen=listen)
    assert lines == list(range(1, len(lines) + 1))


def test_an_epoch_and_a_half_trains_on_half_of_the_rows_twice(
    tiny_model: Path, tiny_data: Path, tmp_path: Path
) -> None:
    seen: list[int] = []

    @dataclass
    class Watching(FakeEngine):
        def accumulate(self, batch: Batch, weight: float = 1.0) -> float:
            seen.extend(example.row.number for example in batch.examples)
            return super().accumulate(batch, weight)

    @dataclass
    class WatchingBase(FakeBase):
        def attach(self, spec: AdapterSpec | None, *, seed: int = 0, checkpointing: bool = False) -> FakeEngine:
            return Watching(spec, np.random.Generator(np.random.PCG64(seed)))

    config = make_config(tiny_model, tiny_data, iters=None, epochs=1.5)
    run = fake_train(config, "run", tmp_path / "runs", base=WatchingBase())
    assert sorted(seen[:11]) == list(range(1, 12))
    assert len(set(seen[11:])) == len(seen) - 11
    assert counted(run, "iterations") == 9
    assert counted(run, "rows_seen") == len(seen)


def test_the_first_adapter_is_uniform_below_one_over_the_root_of_its_inputs(tiny_model: Path, tiny_data: Path) -> None:
    plan = prepare(make_config(tiny_model, tiny_data, lora_parameters={"rank": 64})).plan
    engine = FakeBase().attach(plan.adapter)
    start = initial_parameters(engine.slots, np.full_like(engine.parameters(), 7.0), seed=5)
    assert np.array_equal(start, initial_parameters(engine.slots, engine.parameters(), seed=5))
    for slot in engine.slots:
        part = start[slot.start : slot.stop]
        if slot.part == "lora_b":
            assert not part.any()
        else:
            bound = 1 / math.sqrt(slot.shape[1])
            assert np.abs(part).max() <= bound * (1 + 1e-6)
            assert np.abs(part).max() > 0.95 * bound
            assert abs(part.mean()) < 0.1 * bound
