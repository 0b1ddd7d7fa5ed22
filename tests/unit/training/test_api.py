"""What is wrong with a request is said in one sentence with place and fix, and nothing is left half-written."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.fake_engine import FakeBase, FakeEngine
from tests.support.runs import chat_row, fake_train, make_config, make_data, without_times, write_rows
from tests.support.tiny import make_tiny_model

import runoff.training.api as api
from runoff.config import load_config
from runoff.data import load_tokenizer
from runoff.engines.adapters import write_mlx, write_peft
from runoff.errors import ConfigError, DataError, EngineError, ModelError, RunError, RunoffError
from runoff.plan import read_model_facts
from runoff.runs import load_run
from runoff.training import prepare
from runoff.training.state import load_snapshot


def refusal(kind: type[RunoffError], root: Path, **given: Any) -> str:
    """The sentence of a training that is refused; asserts that no run folder is left."""
    with pytest.raises(kind) as caught:
        fake_train(make_config(**given), "run", root / "runs")
    assert not (root / "runs").exists(), sorted(path.name for path in (root / "runs").rglob("*"))
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_missing_model(tiny_data: Path, tmp_path: Path) -> None:
    model = tmp_path / "no" / "such" / "model"
    assert refusal(ModelError, tmp_path, model=model, data=tiny_data) == (
        f'model "{model}": there is no such folder or file; give a model folder, a .gguf file, a Hugging Face id such '
        'as "HuggingFaceTB/SmolLM2-135M-Instruct", or "smollm2-135m".'
    )


def test_no_network_and_no_model(tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    sentence = refusal(ModelError, tmp_path, model=Path("nobody/no-such-model-of-runoffs-tests"), data=tiny_data)
    assert sentence.startswith('model "nobody/no-such-model-of-runoffs-tests": ')
    assert sentence.endswith("or give a model folder or a .gguf file.")


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("config.json", b"{", "{file}: can't be read as JSON ("),
        ("config.json", b"[1]", "{file}: must be a JSON object."),
        ("config.json", b"\xff\xfe", "{file}: can't be read as JSON ("),
        ("model.safetensors", b"", "{file}: is not a whole safetensors file ("),
        ("model.safetensors", b"\xff" * 100, "{file}: is not a whole safetensors file (its header has an impossible"),
        ("tokenizer.json", b"{}", "{file}: can't be read as a tokenizer ("),
        ("tokenizer_config.json", b"{", "{file}: can't be read as JSON ("),
        ("chat_template.jinja", b"\xff", "{file}: can't be read as UTF-8 text ("),
    ],
)
def test_an_unreadable_model(
    tiny_model: Path, tiny_data: Path, tmp_path: Path, file: str, content: bytes, says: str
) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    (model / file).write_bytes(content)
    sentence = refusal(ModelError, tmp_path, model=model, data=tiny_data)
    assert sentence.startswith(says.format(file=model / file)), sentence


def test_a_model_cut_short_by_an_interrupted_copy(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    weights = model / "model.safetensors"
    size = weights.stat().st_size
    os.truncate(weights, size - 10)
    assert refusal(ModelError, tmp_path, model=model, data=tiny_data) == (
        f"{weights}: is not a whole safetensors file (it has {size - 10} bytes, but should have {size}: an "
        "interrupted copy?)."
    )


def test_a_model_without_a_chat_template(tiny_data: Path, tmp_path: Path) -> None:
    model = make_tiny_model(tmp_path / "base", template=None)
    assert refusal(ModelError, tmp_path, model=model, data=tiny_data) == (
        f"{model}: this model has no chat template, so chat rows can't be rendered. Use the instruction-tuned model, "
        "or rows with a text field."
    )
    text = write_rows(tmp_path / "text" / "train.jsonl", [{"text": "some words to learn"}] * 3).parent
    run = fake_train(make_config(model, text, mask_prompt=False), "text", tmp_path / "runs")
    assert run.identity.status == "finished"


def test_a_chat_template_that_refuses_a_row_names_file_and_row(tmp_path: Path) -> None:
    template = "{% if messages|length > 2 %}{{ raise_exception('Only one turn, please') }}{% endif %}hello"
    model = make_tiny_model(tmp_path / "model", template=template)
    data = make_data(tmp_path / "data")
    turn = chat_row(0)["messages"]
    write_rows(data / "train.jsonl", [chat_row(0), {"messages": [*turn, *turn]}])
    assert refusal(DataError, tmp_path, model=model, data=data) == (
        f"{data / 'train.jsonl'}: row 2: the model's chat template refuses these messages (Only one turn, please)."
    )


def test_data_that_is_no_folder(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    missing = tmp_path / "nowhere"
    assert refusal(DataError, tmp_path, model=tiny_model, data=missing) == (
        f"{missing}: no such folder. data names a folder with train.jsonl, or a Hugging Face dataset id."
    )
    file = tiny_data / "train.jsonl"
    assert refusal(DataError, tmp_path, model=tiny_model, data=file) == (
        f"{file}: is a file; data names the folder that holds train.jsonl."
    )
    empty = tmp_path / "empty"
    empty.mkdir()
    assert refusal(DataError, tmp_path, model=tiny_model, data=empty) == (
        f"{empty}: has no train.jsonl. Put the training rows there, one JSON object a line."
    )


GOOD = json.dumps(chat_row(1)).encode()
CASES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "{file}: is empty. It needs at least one row."),
    "only blank lines": (b"\n  \n\n", "{file}: is empty. It needs at least one row."),
    "not JSONL": (
        b"[\n" + GOOD + b"\n]\n",
        "{file}:1: not JSON (Expecting value, column 2). Each line must be one JSON object.",
    ),
    "a JSON list a line": (
        b"[1, 2]\n",
        '{file}:1: is a JSON list, but must be an object such as {{"messages": [...]}}.',
    ),
    "broken line 37": (
        (GOOD + b"\n") * 36 + GOOD[:-1] + b"\n" + GOOD + b"\n",
        "{file}:37: not JSON (Expecting ',' delimiter, column {column}). Each line must be one JSON object.",
    ),
    "unknown fields": (
        b'{"instruction": "a", "output": "b"}\n',
        "{file}:1: has none of the fields messages, prompt and completion, or text (its fields: instruction, output). "
        "Rename them, or set chat_feature, prompt_feature, completion_feature or text_feature.",
    ),
    "assistant turn missing": (
        GOOD + b'\n{"messages": [{"role": "user", "content": "And now?"}]}\n',
        "{file}:2: the last message is the user's, so there is no answer to learn. Add the assistant's turn or remove "
        "the row.",
    ),
    "not UTF-8": (
        GOOD + b'\n{"text": "caf\xe9"}\n',
        "{file}:2: not UTF-8 text (byte 14 of the line). Save the file as UTF-8.",
    ),
}


@pytest.mark.parametrize(("content", "sentence"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("split", ["train", "valid"])
def test_bad_rows(tiny_model: Path, tiny_data: Path, tmp_path: Path, content: bytes, sentence: str, split: str) -> None:
    file = tiny_data / f"{split}.jsonl"
    file.write_bytes(content)
    expected = sentence.format(file=file, column=len(GOOD))
    assert refusal(DataError, tmp_path, model=tiny_model, data=tiny_data) == expected


def test_no_row_with_a_target(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    longest = prepare(make_config(tiny_model, tiny_data)).plan.data.train.longest_tokens
    assert refusal(DataError, tmp_path, model=tiny_model, data=tiny_data, max_seq_length=10) == (
        f"{tiny_data / 'train.jsonl'}: no row has a target token within max_seq_length 10. "
        f"Set max_seq_length: {longest}."
    )


def test_text_rows_with_mask_prompt(tiny_model: Path, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "data" / "train.jsonl", [{"text": "some words"}] * 3).parent
    assert refusal(DataError, tmp_path, model=tiny_model, data=data) == (
        f"{data / 'train.jsonl'}: has text rows, which hold no prompt that mask_prompt could mask. "
        "Remove mask_prompt, or write rows with prompt and completion."
    )


def test_a_valid_set_smaller_than_a_batch_is_scored_and_said(tiny_model: Path, tmp_path: Path) -> None:
    data = make_data(tmp_path / "data", valid=3)
    config = make_config(tiny_model, data, batch_size=4)
    run = fake_train(config, "run", tmp_path / "runs")
    assert {row.rows for row in run.metrics if row.kind == "validation"} == {3}
    said = [str(finding) for finding in run.plan.findings if "fewer than batch_size 4" in str(finding)]
    assert len(said) == 1
    assert str(data / "valid.jsonl") in said[0]
    assert "The valid set has 3 rows" in said[0]


def test_more_blocks_than_the_model_has_and_foreign_keys(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    assert refusal(ConfigError, tmp_path, model=tiny_model, data=tiny_data, num_layers=5) == (
        "config:1: num_layers is 5, but the model has 4 blocks. Write -1 for all."
    )
    path = tmp_path / "run.yaml"
    path.write_text(f"model: {tiny_model}\ndata: {tiny_data}\nnum_layers: 2\nlora_parameters:\n  keys: [qq_proj]\n")
    with pytest.raises(ConfigError) as caught:
        prepare(load_config(path))
    assert str(caught.value) == (
        "run.yaml:5: lora_parameters.keys: qq_proj match no layer. The blocks have mlp.down_proj, mlp.gate_proj, "
        "mlp.up_proj, self_attn.k_proj, self_attn.o_proj, self_attn.q_proj, self_attn.v_proj."
    )


def test_all_problems_with_model_and_schedule_are_said_at_once(tiny_model: Path, tiny_data: Path) -> None:
    schedule = {"name": "cosine_decay", "arguments": [0.1]}
    with pytest.raises(ConfigError) as caught:
        prepare(make_config(tiny_model, tiny_data, num_layers=9, lr_schedule=schedule))
    assert [problem.partition(" is")[0].partition(" takes")[0] for problem in caught.value.problems] == [
        "config:1: num_layers",
        "config:1: lr_schedule.arguments: cosine_decay",
    ]


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
    assert str(caught.value).startswith(f"{tmp_path / 'runs' / 'run'}: ")
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
        f"resume_adapter_file: {tmp_path / 'given'} has another shape than this run's adapter "
        "(kind, rank, blocks or keys)."
    )


def test_the_trunk_is_kept_where_runs_share_it(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    said: list[str] = []
    base, root = FakeBase(), tmp_path / "runs"
    fake_train(make_config(tiny_model, tiny_data), "on", root, base=base, say=said.append)
    assert base.trunk == 2
    assert base.trunk_folder is not None
    assert base.trunk_folder.parent == root / ".trunk"
    assert any(f"They are kept in {base.trunk_folder}" in text for text in said)


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
