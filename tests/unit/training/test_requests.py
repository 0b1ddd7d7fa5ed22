"""What is wrong with model, data or settings is said in one sentence with place and fix, and no run is left."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from tests.support.refusals import refusal
from tests.support.runs import chat_row, fake_train, make_config, make_data, write_rows
from tests.support.tiny import make_tiny_model

from runoff.config import load_config
from runoff.errors import ConfigError, DataError, ModelError, RunoffError
from runoff.training import plan_run, prepare


def test_a_missing_model(tiny_data: Path, tmp_path: Path) -> None:
    model = tmp_path / "no" / "such" / "model"
    assert refusal(ModelError, tmp_path, model=model, data=tiny_data) == (
        f'config:1: model "{model}": there is no such folder or file; give a model folder, a .gguf file, a Hugging '
        'Face id such as "HuggingFaceTB/SmolLM2-135M-Instruct", or "smollm2-135m".'
    )


def test_no_network_and_no_model(tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    sentence = refusal(ModelError, tmp_path, model=Path("nobody/no-such-model-of-runoffs-tests"), data=tiny_data)
    assert sentence.startswith('config:1: model "nobody/no-such-model-of-runoffs-tests": ')
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
        "interrupted copy?). Copy or download it again."
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


def test_a_template_that_writes_no_answer_is_not_called_a_matter_of_length(tiny_data: Path, tmp_path: Path) -> None:
    model = make_tiny_model(tmp_path / "model", template="always the same")
    assert refusal(DataError, tmp_path, model=model, data=tiny_data) == (
        f"{tiny_data / 'train.jsonl'}: no row has a target token. The answers or texts are empty, or the chat template "
        f"of {model} leaves them out."
    )


def test_an_adapter_to_start_from_is_looked_at_before_the_weights(
    tiny_model: Path, tiny_data: Path, tmp_path: Path
) -> None:
    for path, says in ((tmp_path / "nowhere", "there is no such adapter"), (tiny_data, "holds no adapter")):
        config = make_config(tiny_model, tiny_data, resume_adapter_file=str(path))
        with pytest.raises(RunoffError) as caught:
            plan_run(config)
        assert str(caught.value).startswith(f"config:1: {path}: {says}"), caught.value


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
    "empty": (b"", "{file}: is empty. {cure}"),
    "only blank lines": (b"\n  \n\n", "{file}: is empty. {cure}"),
    "not JSONL": (
        b"[\n" + GOOD + b"\n]\n",
        "{file}: is one JSON list, not one object a line. Rename it to {file.stem}.json; runoff data split reads that.",
    ),
    "a JSON list a line": (
        GOOD + b"\n[1, 2]\n",
        '{file}:2: is a list, but must be an object such as {{"messages": [...]}}.',
    ),
    "broken line 37": (
        (GOOD + b"\n") * 36 + GOOD[:-1] + b"\n" + GOOD + b"\n",
        "{file}:37: not JSON (Expecting ',' delimiter, column {column}). Each line must be one JSON object.",
    ),
    "unknown fields": (
        b'{"instruction": "a", "output": "b"}\n',
        "{file}:1: has none of the fields messages, prompt and completion, or text (its fields: instruction, output). "
        "Rename them, set chat_feature, prompt_feature, completion_feature or text_feature, or convert the file: "
        "runoff data split.",
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
    cure = "It needs at least one row." if split == "train" else "Add rows or remove the file."
    expected = sentence.format(file=file, column=len(GOOD), cure=cure)
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
