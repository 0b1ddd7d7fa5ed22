"""How a training starts: names that are taken, what is refused on the way, the record, a given adapter, the trunk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.fake_engine import FakeBase, FakeEngine
from tests.support.refusals import refusal
from tests.support.runs import fake_train, make_config, without_times

import runoff.training.api as api
from runoff.data import load_tokenizer
from runoff.engines.adapters.folders import write_mlx, write_peft
from runoff.errors import ConfigError, EngineError, ModelError, RunError
from runoff.plan import read_model_facts
from runoff.runs import load_run
from runoff.training import prepare
from runoff.training.state import load_snapshot


def test_a_taken_name_is_refused_before_anything_is_loaded(
    tiny_model: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(tiny_model, tiny_data)
    first = fake_train(config, "run", tmp_path / "runs")
    before = {path: path.read_bytes() for path in first.folder.path.rglob("*") if path.is_file()}
    monkeypatch.setattr(api, "prepare", lambda *_, **__: pytest.fail("the model was looked at first"))
    with pytest.raises(RunError) as caught:
        fake_train(config, "run", tmp_path / "runs")
    assert str(caught.value) == (
        f"{first.folder.path}: this run exists. Choose another --name, or add --resume or --overwrite."
    )
    assert {path: path.read_bytes() for path in first.folder.path.rglob("*") if path.is_file()} == before


def test_overwrite_starts_anew(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    fake_train(make_config(tiny_model, tiny_data, iters=26), "run", tmp_path / "runs")
    run = fake_train(make_config(tiny_model, tiny_data), "run", tmp_path / "runs", overwrite=True)
    fresh = fake_train(make_config(tiny_model, tiny_data), "fresh", tmp_path / "runs")
    assert without_times(run.metrics) == without_times(fresh.metrics)
    assert not run.folder.snapshot(25).exists()


def test_overwrite_keeps_the_old_run_until_the_new_one_can_start(
    tiny_model: Path, tiny_data: Path, tmp_path: Path
) -> None:
    run = fake_train(make_config(tiny_model, tiny_data), "run", tmp_path / "runs")

    class Broken(FakeBase):
        def attach(self, *_: Any, **__: Any) -> FakeEngine:
            raise EngineError("no memory left for the adapter. Lower batch_size.")

    with pytest.raises(EngineError):
        fake_train(make_config(tiny_model, tiny_data), "run", tmp_path / "runs", overwrite=True, base=Broken())
    assert load_run("run", tmp_path / "runs").identity == run.identity


@pytest.mark.parametrize("name", ["", ".", "..", "../out", "a/b", "-x", "a b", "é", "x" * 101, "new\n", ".hidden"])
def test_names_that_are_no_folder_names(tiny_model: Path, tiny_data: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(RunError) as caught:
        fake_train(make_config(tiny_model, tiny_data), name, tmp_path / "runs")
    assert str(caught.value) == (
        f"{name!r} can't be a run name: use letters, digits, dots, dashes and underscores, at most 100."
    )
    assert not (tmp_path / "runs").exists()


def test_a_model_that_the_engine_cannot_load_leaves_no_run(
    tiny_model: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> FakeBase:
        raise ModelError(f"{tiny_model}: this architecture is unknown to the engine. Use another model.")

    monkeypatch.setattr(api, "open_base", fail)
    with pytest.raises(ModelError, match="architecture is unknown"):
        fake_train(make_config(tiny_model, tiny_data), "run", tmp_path / "runs", base=None)
    assert not (tmp_path / "runs").exists()


def test_an_engine_that_counts_other_parameters_is_a_bug_that_starts_nothing(
    tiny_model: Path, tiny_data: Path, tmp_path: Path
) -> None:
    class Short(FakeEngine):
        @property
        def slots(self) -> Any:
            return super().slots[:-1]

    class ShortBase(FakeBase):
        def attach(self, spec: Any, *, seed: int = 0, checkpointing: bool = False) -> FakeEngine:
            return Short(spec, np.random.Generator(np.random.PCG64(seed)))

    with pytest.raises(RunError, match=r"the plan counts \d+ trainable parameters, the engine \d+\. This is a bug"):
        fake_train(make_config(tiny_model, tiny_data), "run", tmp_path / "runs", base=ShortBase())
    assert not (tmp_path / "runs").exists()


def test_a_bug_while_training_is_kept_in_the_record_and_raised(
    tiny_model: Path, tiny_data: Path, tmp_path: Path
) -> None:
    def listen(event: Any) -> None:
        if event.iteration == 7:
            raise ZeroDivisionError("the bar broke")

    with pytest.raises(ZeroDivisionError):
        fake_train(make_config(tiny_model, tiny_data), "run", tmp_path / "runs", listen=listen)
    identity = load_run("run", tmp_path / "runs").identity
    assert (identity.status, identity.result["reason"]) == ("failed", "ZeroDivisionError: the bar broke")
    assert identity.ended is not None


def test_a_folder_that_cannot_be_written(
    tiny_model: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs").write_text("a file where the runs should go")
    with pytest.raises(RunError) as caught:
        fake_train(make_config(tiny_model, tiny_data), "run", tmp_path / "runs")
    assert str(caught.value).startswith(f"{tmp_path / 'runs'}: is a file")
    assert "\n" not in str(caught.value)


def test_the_record_says_what_the_run_was_made_with(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    config = make_config(tiny_model, tiny_data)
    run = fake_train(config, "run", tmp_path / "runs")
    identity = run.identity
    assert identity.engine == {
        "name": "fake",
        "device": "cpu",
        "dtype": "float64",
        "versions": {"fake": "1"},
        "notes": [],
        "code": "",
    }
    assert identity.model["folder"] == str(tiny_model)
    assert identity.model["sha256"] == read_model_facts(tiny_model).sha256
    assert identity.tokenizer_sha256 == load_tokenizer(tiny_model).sha256
    assert identity.data["train"]["rows"] == 11
    assert identity.data["train"]["sources"] == 4
    assert len(identity.data["train"]["row_sha256"]) == 11
    assert identity.data["valid"]["place"] == str(tiny_data / "valid.jsonl")
    assert run.folder.config.read_text("utf-8") == config.text
    assert identity.result["peak_memory_bytes"] == 123_456_789
    assert "in nats over the target tokens" in identity.result["loss_definition"]


def start_from(
    write: Callable[[Path, Any, Any], object], model: Path, data: Path, root: Path, file: str | None
) -> tuple[Any, Any]:
    """An adapter in some folder, and the first snapshot of a run that starts from it at learning rate 0."""
    first = fake_train(make_config(model, data), "first", root / "runs")
    ready = prepare(make_config(model, data))
    parameters = load_snapshot(first.folder.snapshot(20))
    write(root / "given", ready.plan.adapter, parameters)
    given = root / "given" / file if file else root / "given"
    config = make_config(model, data, resume_adapter_file=str(given), learning_rate=0.0)
    second = fake_train(config, "second", root / "runs")
    return parameters, load_snapshot(second.folder.snapshot(5))


def test_a_run_can_start_from_a_peft_folder(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    expected, found = start_from(
        lambda folder, spec, parameters: write_peft(folder, spec, parameters, "base"),
        tiny_model,
        tiny_data,
        tmp_path,
        None,
    )
    assert np.array_equal(expected, found)


def test_a_run_starts_from_the_very_file_that_was_named(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    """mlx-lm keeps numbered snapshots beside the final adapters.safetensors."""

    def write(folder: Path, spec: Any, parameters: Any) -> None:
        write_mlx(folder, spec, parameters, "base", 4)
        (folder / "adapters.safetensors").rename(folder / "0000010_adapters.safetensors")
        write_mlx(folder, spec, np.zeros_like(parameters), "base", 4)

    expected, found = start_from(write, tiny_model, tiny_data, tmp_path, "0000010_adapters.safetensors")
    assert np.array_equal(expected, found)


def test_a_start_that_is_missing_or_of_another_shape_leaves_no_run(
    tiny_model: Path, tiny_data: Path, tmp_path: Path
) -> None:
    spec = prepare(make_config(tiny_model, tiny_data, lora_parameters={"rank": 3})).plan.adapter
    write_mlx(tmp_path / "given", spec, np.zeros(spec.trainable_parameters, np.float32), "base", 4)
    missing = tmp_path / "given" / "0000100_adapters.safetensors"
    given: dict[str, Any] = {"model": tiny_model, "data": tiny_data}
    assert str(missing) in refusal(ModelError, tmp_path, **given, resume_adapter_file=str(missing))
    assert refusal(ConfigError, tmp_path, **given, resume_adapter_file=str(tmp_path / "given")) == (
        f"config:1: {tmp_path / 'given'} has another shape than this run's adapter (kind, rank, blocks or keys)."
    )


def test_the_trunk_is_kept_where_runs_share_it(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    said: list[str] = []
    base, root = FakeBase(), tmp_path / "runs"
    fake_train(make_config(tiny_model, tiny_data), "on", root, base=base, say=said.append)
    assert base.trunk == 2
    assert base.trunk_folder is not None
    assert base.trunk_folder.parent == root / ".trunk"
    assert any(f"They are kept in {base.trunk_folder}" in text for text in said)


def test_a_trunk_that_is_off_is_not_said_to_be_kept(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    said: list[str] = []
    fake_train(make_config(tiny_model, tiny_data, num_layers=-1), "run", tmp_path / "runs", say=said.append)
    assert [text for text in said if text.startswith("Trunk cache")] == ["Trunk cache off: the first block is adapted."]


@pytest.mark.parametrize(("wanted", "keeps"), [("memory", True), ("off", False)])
def test_the_trunk_is_in_memory_or_computed_anew_if_the_settings_say_so(
    tiny_model: Path, tiny_data: Path, tmp_path: Path, wanted: str, keeps: bool
) -> None:
    base = FakeBase()
    fake_train(make_config(tiny_model, tiny_data, trunk_cache=wanted), "run", tmp_path / "runs", base=base)
    assert base.trunk == 2
    assert base.trunk_folder is None
    assert bool(base.trunk_budget_bytes) is keeps


def test_a_kept_trunk_that_ends_a_little_lower_is_used(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    """One block more at each pass, against two blocks once: with few passes the kept states are the cheaper way."""
    from runoff.engines.trunk import DiskStates
    from runoff.runs import trunk_folder

    ready = prepare(make_config(tiny_model, tiny_data, num_layers=1, iters=3, steps_per_eval=50))
    root, model = tmp_path / "runs", ready.plan.model
    kept = DiskStates(trunk_folder(root, model.sha256, "fake", "float64", 2), 10**9)
    for example in (*ready.data.train, *ready.data.valid):
        kept.put(example.key, np.zeros((len(example.ids), 4), dtype=np.float32))
    base = FakeBase()
    fake_train(ready.plan.config, "run", root, base=base, prepared=ready)
    assert base.trunk == 2
    fresh = FakeBase()
    fake_train(ready.plan.config, "run", tmp_path / "elsewhere", base=fresh, prepared=ready)
    assert fresh.trunk == 3


def test_what_a_caller_prepared_is_not_prepared_again(
    tiny_model: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(tiny_model, tiny_data)
    ready = prepare(config)
    monkeypatch.setattr(api, "prepare", lambda *_, **__: pytest.fail("prepared twice"))
    assert fake_train(config, "run", tmp_path / "runs", prepared=ready).identity.status == "finished"


def test_training_on_a_thread_needs_no_signals(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    config = make_config(tiny_model, tiny_data)
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(fake_train, config, "run", tmp_path / "runs").result()
    assert run.identity.status == "finished"


def test_where_no_folder_can_be_made_the_trunk_is_kept_in_memory(
    tiny_model: Path, tiny_data: Path, tmp_path: Path
) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / ".trunk").write_text("in the way")
    base, said = FakeBase(), list[str]()
    config = make_config(tiny_model, tiny_data, trunk_cache="disk")
    run = fake_train(config, "run", tmp_path / "runs", base=base, say=said.append)
    assert run.identity.status == "finished"
    assert base.trunk_folder is None
    (sentence,) = [text for text in said if text.startswith("Trunk cache")]
    assert f"They are kept in memory, since {tmp_path / 'runs' / '.trunk'}" in sentence
