"""A run that can't be measured is named and left out; the others go on, and nothing that was computed is lost."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import safetensors.numpy
from tests.support.fake_engine import FakeBase, FakeEngine
from tests.support.runs import chat_row, fake_train, make_config, make_data, write_rows

from runoff.data import Batch
from runoff.errors import EngineError, ModelError, RunError
from runoff.evaluation import Answering, evaluate, load_evaluations
from runoff.plan import AdapterSpec
from runoff.runs import Run, load_run

Spoil = Callable[[Path], object]
Tensors = dict[str, Any]


@pytest.fixture
def runs(tiny_model: Path, tmp_path: Path) -> list[Run]:
    data = make_data(tmp_path / "data")
    write_rows(data / "test.jsonl", [chat_row(number) for number in range(30, 42)])
    return [
        fake_train(make_config(tiny_model, data, iters=iters), name, tmp_path / "runs")
        for name, iters in (("good", 8), ("bad", 4))
    ]


def identity(change: Callable[[dict[str, Any]], object]) -> Spoil:
    def spoil(folder: Path) -> None:
        body = json.loads((folder / "run.json").read_text())
        change(body)
        (folder / "run.json").write_text(json.dumps(body))

    return spoil


def tensors(change: Callable[[Tensors], object]) -> Spoil:
    def spoil(folder: Path) -> None:
        path = folder / "adapter" / "adapter_model.safetensors"
        loaded = safetensors.numpy.load_file(path)
        change(loaded)
        safetensors.numpy.save_file(loaded, path)

    return spoil


def first(loaded: Tensors) -> str:
    return sorted(loaded)[0]


SPOILT: dict[str, tuple[Spoil, str]] = {
    "another base": (
        identity(lambda body: body["model"].update(sha256="00" * 32)),
        "bad: is left out, since it was trained on another base than good.",
    ),
    "another template": (
        identity(lambda body: body.update(tokenizer_sha256="11" * 32)),
        "bad: was trained with another tokenizer or chat template than",
    ),
    "a taken name": (identity(lambda body: body.update(name="base")), "base: a run of this name can't be told from"),
    "no adapter": (lambda folder: shutil.rmtree(folder / "adapter"), "bad: has no adapter, so it can't be scored."),
    "nan": (
        tensors(lambda loaded: loaded[first(loaded)].fill(np.nan)),
        "bad: is left out, since its adapter can't be used.",
    ),
    "a foreign key": (
        tensors(lambda loaded: loaded.update({"model.embed_tokens.lora_A.weight": np.zeros((2, 2), np.float32)})),
        "bad: is left out, since its adapter can't be used.",
    ),
    "another shape": (
        tensors(lambda loaded: loaded.update({first(loaded): np.zeros((2, 5), np.float32)})),
        "It belongs to another base.",
    ),
    "half a file": (
        lambda folder: (folder / "adapter" / "adapter_model.safetensors").write_bytes(b"half"),
        "bad: is left out, since its adapter can't be used.",
    ),
    "numbers too large": (
        tensors(lambda loaded: loaded.update({name: array * 0 + 1e30 for name, array in loaded.items()})),
        "the adapter's numbers are too large",
    ),
}


@pytest.mark.parametrize("fault", SPOILT)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_bad_run_is_named_and_the_other_is_evaluated(runs: list[Run], fault: str) -> None:
    spoil, sentence = SPOILT[fault]
    spoil(runs[1].folder.path)
    said: list[str] = []
    found = evaluate([runs[0], load_run(runs[1].folder.path)], base=FakeBase(), say=said.append)
    assert [one.run for one in found] == ["good"]
    (refused,) = [text for text in said if "The other runs go on." in text]
    assert sentence in refused
    assert len(found[0].rows) == 12


@pytest.mark.parametrize("fault", SPOILT)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_bad_run_alone_is_the_error(runs: list[Run], fault: str) -> None:
    if fault == "another base":
        pytest.skip("alone it names its base itself, and that one is missing")
    spoil, sentence = SPOILT[fault]
    spoil(runs[1].folder.path)
    with pytest.raises(RunError) as error:
        evaluate([load_run(runs[1].folder.path)], base=FakeBase())
    assert sentence in str(error.value)


def test_two_runs_of_one_name(runs: list[Run]) -> None:
    said: list[str] = []
    found = evaluate([runs[0], runs[0]], base=FakeBase(), say=said.append)
    assert len(found) == 1
    assert any("two runs are called so; only the first is measured" in text for text in said)


class Picky(FakeBase):
    """Can't hold the second adapter that it is given."""

    def attach(self, spec: AdapterSpec | None, *, seed: int = 0, checkpointing: bool = False) -> FakeEngine:
        if self.attached == 1 and spec is not None:
            self.attached += 1
            raise EngineError("no such layer")
        return super().attach(spec, seed=seed, checkpointing=checkpointing)


def test_an_adapter_that_the_engine_refuses_does_not_stop_the_others(runs: list[Run]) -> None:
    said: list[str] = []
    found = evaluate(runs, base=Picky(), say=said.append, answering=Answering(4, 4, suite=False))
    assert [one.run for one in found] == ["good"]
    assert any("bad: is left out, since its adapter can't be put on the base (no such layer)." in one for one in said)


def test_an_adapter_that_is_refused_when_only_the_drift_is_left_does_not_stop_the_others(runs: list[Run]) -> None:
    few = Answering(4, 4)
    for one in evaluate(runs, base=FakeBase(), answering=few):
        for path in one.folder.glob("drift-*"):
            path.unlink()
    said: list[str] = []
    found = evaluate(runs, base=Picky(), say=said.append, answering=few)
    assert [one.run for one in found] == ["good"]
    assert found[0].measures["drift_kl"].run.value
    assert any("bad: is left out, since its adapter can't be put on the base (no such layer)." in one for one in said)


class Dying(FakeBase):
    """Stops in the middle of the second run."""

    def attach(self, spec: AdapterSpec | None, *, seed: int = 0, checkpointing: bool = False) -> FakeEngine:
        engine = super().attach(spec, seed=seed, checkpointing=checkpointing)
        if self.attached == 2:
            return DyingEngine(engine.spec, engine.random)
        return engine


class DyingEngine(FakeEngine):
    """Stops at its first row."""

    def score(self, batch: Batch) -> list[npt.NDArray[np.float64]]:
        raise KeyboardInterrupt


def test_scoring_goes_on_with_the_run_that_it_was_stopped_in(runs: list[Run]) -> None:
    with pytest.raises(KeyboardInterrupt):
        evaluate(runs, base=Dying())
    assert len(load_evaluations(runs[0])) == 1
    assert load_evaluations(runs[1]) == []
    said: list[str] = []
    assert len(evaluate(runs, base=FakeBase(), say=said.append)) == 2
    assert [text for text in said if text.startswith("Scoring")] == [
        "Scoring 12 held-out answers and 12 sentences, true and false, under bad.",
        "Scoring 11 training answers under bad.",
    ]


def test_the_order_and_the_company_of_runs_change_no_number(runs: list[Run], tmp_path: Path) -> None:
    alone = evaluate([runs[1]], base=FakeBase())
    shutil.rmtree(runs[1].folder.path / "evaluations")
    together = evaluate(runs[::-1], base=FakeBase())
    assert together[0].rows == alone[0].rows
    assert together[0].measures == alone[0].measures


def test_a_run_that_was_trained_on_text_is_not_asked_chats(runs: list[Run], tiny_model: Path, tmp_path: Path) -> None:
    texts = [{"text": f"Question: what is {number}? Answer: a number.", "source": f"s{number}"} for number in range(9)]
    write_rows(tmp_path / "texts" / "train.jsonl", texts)
    plain = fake_train(
        make_config(tiny_model, tmp_path / "texts", iters=2, mask_prompt=False), "plain", tmp_path / "runs"
    )
    said: list[str] = []
    found = evaluate([*runs, plain], base=FakeBase(), say=said.append)
    assert [one.run for one in found] == ["good", "bad"]
    assert any("plain: is left out, since it was trained on plain text, and the rows of" in text for text in said)


def test_scores_of_different_arithmetic_are_said(runs: list[Run]) -> None:
    (one, _) = evaluate(runs, base=FakeBase())
    path = one.folder / "evaluation.json"
    path.write_text(path.read_text().replace('"float64"', '"bfloat16"'))
    said: list[str] = []
    evaluate(runs, base=FakeBase(), say=said.append)
    (note,) = [text for text in said if text.startswith("Scored by different arithmetic")]
    assert "good by fake in bfloat16, bad by fake in float64" in note


def test_a_record_without_a_folder_is_measured_on_the_base_that_it_names(runs: list[Run]) -> None:
    """An import knows its base by name alone; the folder that the command runs in is not taken for it."""
    good = runs[0]
    base = good.identity.model["folder"]
    identity(lambda body: body.update(model={"name": base}))(good.folder.path)
    (found,) = evaluate([load_run(good.folder.path)], base=FakeBase())
    assert (found.run, len(found.rows)) == ("good", 12)


def test_a_record_that_names_no_base(runs: list[Run]) -> None:
    identity(lambda body: body.update(model={}))(runs[0].folder.path)
    with pytest.raises(ModelError, match="names no base model; import the run again with --set model=NAME"):
        evaluate([load_run(runs[0].folder.path)], base=FakeBase())


def test_a_base_that_is_gone_is_said_with_the_run_that_wants_it(runs: list[Run]) -> None:
    gone = str(runs[0].folder.path / "no-model")
    model = {**runs[0].identity.model, "folder": gone, "name": gone}
    moved = dataclasses.replace(runs[0], identity=runs[0].identity.model_copy(update={"model": model}))
    with pytest.raises(ModelError) as caught:
        evaluate([moved], base=FakeBase())
    assert str(caught.value).startswith(
        f'good: its base can\'t be had. model "{gone}": there is no such folder or file;'
    )
