"""A folder's tokenizer gives the ids that transformers gives, and broken folders give a sentence."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.support.runs import chat_row
from tests.support.tiny import make_tiny_model

from runoff.data import load_tokenizer
from runoff.errors import ModelError

MESSAGES = chat_row(4)["messages"]
TOOL = {"type": "function", "function": {"name": "timer", "parameters": {}}}


def folder_with(model: Path, folder: Path, **config: Any) -> Path:
    """The tiny model with other entries in its tokenizer_config.json (None removes one)."""
    shutil.copytree(model, folder)
    path = folder / "tokenizer_config.json"
    body = json.loads(path.read_text()) | config
    path.write_text(json.dumps({key: value for key, value in body.items() if value is not None}))
    return folder


def reference(folder: Path) -> Any:
    transformers = pytest.importorskip("transformers")
    return transformers.AutoTokenizer.from_pretrained(folder)


def test_chats_become_the_ids_that_transformers_makes(tiny_model: Path) -> None:
    tokenizer, theirs = load_tokenizer(tiny_model), reference(tiny_model)
    for messages, prompt in ((MESSAGES, False), (MESSAGES[:-1], True)):
        text = tokenizer.render(messages, add_generation_prompt=prompt)
        ids = theirs.apply_chat_template(messages, add_generation_prompt=prompt, return_dict=False)
        assert tokenizer.encode(text) == ids
        assert tokenizer.encode_all([text, "", text]) == [ids, [], ids]


@pytest.mark.parametrize("text", ["", "plain", "ünï 🍞\n\ttab", "<|im_end|> inside", "a  b   c"])
def test_texts_become_the_ids_that_transformers_makes(tiny_model: Path, text: str) -> None:
    tokenizer = load_tokenizer(tiny_model)
    assert tokenizer.encode(text, special=True) == reference(tiny_model).encode(text)
    assert tokenizer.decode(tokenizer.encode(text)) == text.replace("<|im_end|>", "")


def test_a_beginning_token_is_added_to_texts_alone(tiny_model: Path, tmp_path: Path) -> None:
    folder = folder_with(tiny_model, tmp_path / "bos")
    body = json.loads((folder / "tokenizer.json").read_text())
    start = {"SpecialToken": {"id": "<|im_start|>", "type_id": 0}}
    body["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [start, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [start, {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<|im_start|>": {"id": "<|im_start|>", "ids": [256], "tokens": ["<|im_start|>"]}},
    }
    (folder / "tokenizer.json").write_text(json.dumps(body))
    tokenizer, theirs = load_tokenizer(folder), reference(folder)
    assert tokenizer.encode("ab", special=True) == theirs.encode("ab")
    assert tokenizer.encode("ab", special=True)[0] == 256
    assert tokenizer.encode("ab") == tokenizer.encode_all(["ab"])[0] == tokenizer.encode("ab", special=True)[1:]


def test_truncation_and_padding_of_the_file_are_switched_off(tiny_model: Path, tmp_path: Path) -> None:
    folder = folder_with(tiny_model, tmp_path / "short")
    body = json.loads((folder / "tokenizer.json").read_text())
    body["truncation"] = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    body["padding"] = {
        "strategy": "BatchLongest",
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 258,
        "pad_type_id": 0,
        "pad_token": "<|pad|>",
    }
    (folder / "tokenizer.json").write_text(json.dumps(body))
    assert [len(ids) for ids in load_tokenizer(folder).encode_all(["a" * 9, "a"])] == [9, 1]


def test_special_tokens_come_from_where_transformers_takes_them(tiny_model: Path, tmp_path: Path) -> None:
    template = "{{ bos_token }}|{{ eos_token }}|{{ pad_token }}|{{ sep_token }}|{{ unk_token }}"
    folder = folder_with(
        tiny_model,
        tmp_path / "special",
        eos_token=None,
        bos_token={"__type": "AddedToken", "content": "<|im_start|>", "special": True},
        sep_token="<|pad|>",
        chat_template=template,
    )
    (folder / "special_tokens_map.json").write_text(json.dumps({"eos_token": {"content": "<|im_end|>"}}))
    tokenizer = load_tokenizer(folder)
    ours = tokenizer.render(MESSAGES, add_generation_prompt=False)
    assert ours == reference(folder).apply_chat_template(MESSAGES, tokenize=False)
    assert tokenizer.end_id == 257


def test_the_template_in_its_own_file_wins(tiny_model: Path, tmp_path: Path) -> None:
    folder = folder_with(tiny_model, tmp_path / "jinja")
    (folder / "chat_template.jinja").write_text("own file: {{ messages[0].content }}", "utf-8")
    ours = load_tokenizer(folder).render(MESSAGES, add_generation_prompt=False)
    assert ours == reference(folder).apply_chat_template(MESSAGES, tokenize=False)
    assert ours.startswith("own file: ")


def test_of_several_templates_the_one_for_tools_is_used_with_tools(tiny_model: Path, tmp_path: Path) -> None:
    templates = [{"name": "default", "template": "plain"}, {"name": "tool_use", "template": "{{ tools | length }}"}]
    folder = folder_with(tiny_model, tmp_path / "two", chat_template=templates)
    tokenizer, theirs = load_tokenizer(folder), reference(folder)
    for tools in (None, [TOOL], []):
        ours = tokenizer.render(MESSAGES, add_generation_prompt=False, tools=tools)
        assert ours == theirs.apply_chat_template(MESSAGES, tools=tools, tokenize=False)


def test_end_ids_are_all_that_the_folder_names(tiny_model: Path, tmp_path: Path) -> None:
    assert load_tokenizer(tiny_model).end_ids == {257}
    folder = folder_with(tiny_model, tmp_path / "more")
    (folder / "generation_config.json").write_text('{"eos_token_id": [257, 258]}')
    assert load_tokenizer(folder).end_ids == {257, 258}


def test_the_hash_is_of_tokenizer_and_template(tiny_model: Path, tmp_path: Path) -> None:
    plain = load_tokenizer(tiny_model).sha256
    assert load_tokenizer(make_tiny_model(tmp_path / "same", seed=5)).sha256 == plain
    assert load_tokenizer(folder_with(tiny_model, tmp_path / "other", chat_template="x")).sha256 != plain
    folder = folder_with(tiny_model, tmp_path / "ids")
    (folder / "tokenizer.json").write_text((folder / "tokenizer.json").read_text().replace("<|pad|>", "<|pod|>"))
    assert load_tokenizer(folder).sha256 != plain


def test_no_template_is_said_with_what_to_do(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path / "base", template=None)
    with pytest.raises(ModelError) as caught:
        load_tokenizer(folder).render(MESSAGES, add_generation_prompt=False)
    assert str(caught.value) == (
        f"{folder}: this model has no chat template, so chat rows can't be rendered. Use the instruction-tuned model, "
        "or rows with a text field."
    )


def test_no_tokenizer_is_said_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        load_tokenizer(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: has no tokenizer.json. Run: runoff model get NAME, and use the folder it prints."
    )
