"""Rebuilt tokenizers: each rule against llama.cpp's way written out in Python, and against transformers' reading."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support import tiny_gguf as tiny
from tests.support.reference_bpe import ReferenceBpe
from tests.support.varied_texts import VARIED_TEXTS
from tokenizers import Tokenizer

from runoff.errors import ModelError
from runoff.models.gguf_convert import convert_gguf
from runoff.models.gguf_file import open_gguf
from runoff.models.gguf_tokenizer import write_tokenizer


def rebuilt(folder: Path, metadata: dict[str, Any] | None = None, without: tuple[str, ...] = ()) -> Tokenizer:
    path = tiny.write_tiny(folder / "a.gguf", metadata=metadata, without=without)
    write_tokenizer(open_gguf(path), folder, 128)
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


@pytest.fixture(scope="module")
def reference() -> ReferenceBpe:
    tokens, merges = tiny.tiny_vocabulary()
    return ReferenceBpe(
        {token: number for number, token in enumerate(tokens)},
        {pair: rank for rank, pair in enumerate(merges)},
        (*tiny.SPECIAL, *tiny.USER_DEFINED),
    )


@pytest.mark.parametrize("rule", ["gpt-2", "smollm", "llama-bpe", "qwen2"])
def test_gives_the_ids_that_llama_cpp_gives(rule: str, reference: ReferenceBpe, tmp_path: Path) -> None:
    tokenizer = rebuilt(tmp_path, {"tokenizer.ggml.pre": rule})
    for text in texts_for(rule):
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        assert ids == reference.encode(text, rule), text


@pytest.mark.parametrize("rule", ["gpt-2", "llama-bpe", "qwen2"])
def test_gives_the_ids_that_transformers_gives(rule: str, tmp_path: Path) -> None:
    """Not for "smollm", which transformers 5.23 reads as "gpt-2"; test_smollm2.py shows where that tells.

    Nor are whole words taken first for "llama-bpe" there, as Llama 3 does ("ignore_merges" of its tokenizer.json, and
    of llama.cpp); our little vocabulary has words that are reached by no merges only if we put them there.
    """
    transformers = pytest.importorskip("transformers")
    tokenizer = rebuilt(tmp_path, {"tokenizer.ggml.pre": rule})
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path, gguf_file="a.gguf")
    for text in texts_for(rule):
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        assert ids == theirs(text, add_special_tokens=False)["input_ids"], text


def texts_for(rule: str) -> tuple[str, ...]:
    """Qwen's rule composes accents first, as Qwen's own tokenizer does; llama.cpp and transformers' reader don't."""
    import unicodedata

    if rule != "qwen2":
        return VARIED_TEXTS
    return tuple(text for text in VARIED_TEXTS if unicodedata.normalize("NFC", text) == text)


def test_smollm_takes_digits_one_by_one_and_white_space_before_them_as_a_run(
    reference: ReferenceBpe, tmp_path: Path
) -> None:
    tokenizer = rebuilt(tmp_path)
    assert tokenizer.encode("a\n\n12").tokens == ["a", "\u010a\u010a", "1", "2"]
    assert reference.encode("a\n\n12", "gpt-2") != reference.encode("a\n\n12", "smollm")


def test_llama_3_takes_a_word_that_is_a_token_whatever_the_merges_say(tmp_path: Path) -> None:
    tokens, _ = tiny.tiny_vocabulary()
    more = {"tokenizer.ggml.tokens": [*tokens[:-1], "zqzqzq"], "tokenizer.ggml.merges": ["a b"]}
    assert rebuilt(tmp_path, more | {"tokenizer.ggml.pre": "llama-bpe"}).encode("zqzqzq").ids[1:] == [len(tokens) - 1]
    assert len(rebuilt(tmp_path, more).encode("zqzqzq").ids) == 6


def test_qwen_composes_accents_first(tmp_path: Path) -> None:
    tokenizer = rebuilt(tmp_path, {"tokenizer.ggml.pre": "qwen2"})
    assert tokenizer.encode("cafe\u0301").ids == tokenizer.encode("caf\u00e9").ids


@pytest.mark.parametrize("text", VARIED_TEXTS)
def test_nothing_is_lost_on_the_way_there_and_back(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp() / "there-and-back"
    if not folder.exists():
        folder.mkdir()
        rebuilt(folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text


def test_special_tokens_are_found_whole_and_hidden_on_request(tmp_path: Path) -> None:
    tokenizer = rebuilt(tmp_path)
    encoded = tokenizer.encode("<|im_start|>a<think>b</think><|im_end|>")
    assert encoded.tokens == ["<|im_start|>", "a", "<think>", "b", "</think>", "<|im_end|>"]
    assert tokenizer.decode(encoded.ids) == "a<think>b</think>"


@pytest.mark.parametrize(
    ("rule", "metadata", "tokens"),
    [
        ("smollm", {}, ["a"]),
        ("llama-bpe", {}, ["<|im_start|>", "a"]),
        ("llama-bpe", {"tokenizer.ggml.add_bos_token": False}, ["a"]),
        ("gpt-2", {"tokenizer.ggml.add_bos_token": True}, ["<|im_start|>", "a"]),
        ("gpt-2", {"tokenizer.ggml.add_eos_token": True}, ["a", "<|im_end|>"]),
        (
            "gpt-2",
            {"tokenizer.ggml.add_bos_token": True, "tokenizer.ggml.add_eos_token": True},
            ["<|im_start|>", "a", "<|im_end|>"],
        ),
    ],
)
def test_beginning_and_end_are_put_where_the_model_wants_them(
    rule: str, metadata: dict[str, Any], tokens: list[str], tmp_path: Path
) -> None:
    transformers = pytest.importorskip("transformers")
    path = tiny.write_tiny(tmp_path / "a.gguf", metadata={"tokenizer.ggml.pre": rule, **metadata})
    convert_gguf(path, tmp_path)
    assert Tokenizer.from_file(str(tmp_path / "tokenizer.json")).encode("a").tokens == tokens
    loaded = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert loaded.convert_ids_to_tokens(loaded("a")["input_ids"]) == tokens
    assert loaded.convert_ids_to_tokens(loaded("a", add_special_tokens=False)["input_ids"]) == ["a"]


def test_transformers_loads_what_was_rebuilt(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    path = tiny.write_tiny(tmp_path / "a.gguf")
    convert_gguf(path, tmp_path)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    loaded = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert (loaded.bos_token, loaded.eos_token, loaded.pad_token) == ("<|im_start|>", "<|im_end|>", "<|im_end|>")
    assert loaded.model_max_length == 128
    for text in VARIED_TEXTS:
        assert loaded(text)["input_ids"] == tokenizer.encode(text).ids, text
    chat = loaded.apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False)
    assert chat == "<|im_start|>user\nHi<|im_end|>\n"


def test_a_model_without_a_chat_template_has_none(tmp_path: Path) -> None:
    rebuilt(tmp_path, without=("tokenizer.chat_template",))
    assert "chat_template" not in json.loads((tmp_path / "tokenizer_config.json").read_text())


def test_old_files_without_types_still_know_the_named_tokens(tmp_path: Path) -> None:
    tokenizer = rebuilt(tmp_path, without=("tokenizer.ggml.token_type",))
    assert tokenizer.encode("<|im_end|>").ids == [2]


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"tokenizer.ggml.model": "llama"}, 'of the kind "llama"'),
        ({"tokenizer.ggml.pre": "tekken"}, 'by the rule "tekken", and Runoff knows gpt-2, smollm, '),
        ({"tokenizer.ggml.token_type": [1, 1]}, "types for 2"),
        ({"tokenizer.ggml.tokens": ["a"] * 900}, "the same token twice"),
        ({"tokenizer.ggml.merges": ["q zzzz"]}, "merges don't fit"),
        ({"tokenizer.ggml.eos_token_id": 900}, "eos_token is number 900 of only 900 tokens"),
        ({"tokenizer.ggml.tokens": 5}, '"tokenizer.ggml.tokens" is int, where list is expected'),
    ],
)
def test_other_tokenizers_are_refused_by_name(metadata: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"a\.gguf: ") as raised:
        rebuilt(tmp_path, metadata)
    assert words in str(raised.value)


def test_a_file_that_names_no_rule_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match='by the rule "default"'):
        rebuilt(tmp_path, without=("tokenizer.ggml.pre",))
