"""Rows become the tokens and targets that mlx-lm makes of them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tests.support.runs import chat_row, write_rows
from tests.support.tiny import TEMPLATE, make_tiny_model

from runoff.config import Settings
from runoff.data import Encoded, encode_for_scoring, encode_for_training, load_rows, load_tokenizer
from runoff.errors import DataError, ModelError

TOOL = {"type": "function", "function": {"name": "timer", "parameters": {}}}
WITH_TOOLS = "{% if tools %}{{ tools | tojson }}\n{% endif %}" + TEMPLATE
TURNS = [*chat_row(1)["messages"], *chat_row(2)["messages"]]
DATA: dict[str, list[dict[str, Any]]] = {
    "chat": [chat_row(number) for number in range(8)],
    "several turns": [{"messages": [{"role": "system", "content": "Be brief."}, *TURNS]}, chat_row(3)],
    "tools": [{**chat_row(1), "tools": [TOOL]}, chat_row(2), {**chat_row(3), "tools": None}],
    "completion": [{"prompt": f"q{number}", "completion": "word " * number} for number in range(5)],
    "text": [{"text": "some text " * number} for number in range(1, 5)] + [{"text": "ends<|im_end|>"}],
    "other names": [{"q": "a", "a": "b"}],
}


def encoded(model: Path, folder: Path, rows: list[dict[str, Any]], **options: Any) -> list[Encoded]:
    settings = Settings(
        prompt_feature="q" if "q" in rows[0] else "prompt", completion_feature="a" if "q" in rows[0] else "completion"
    )
    loaded = load_rows(write_rows(folder / "rows.jsonl", rows), settings).rows
    return encode_for_training(
        loaded, load_tokenizer(model), **({"mask_prompt": False, "max_seq_length": 2048} | options)
    )


@pytest.mark.parametrize("mask_prompt", [False, True])
@pytest.mark.parametrize("rows", DATA.values(), ids=DATA)
def test_tokens_and_the_start_of_the_targets_are_mlx_lms(
    tmp_path: Path, rows: list[dict[str, Any]], mask_prompt: bool
) -> None:
    datasets = pytest.importorskip("mlx_lm.tuner.datasets")
    transformers = pytest.importorskip("transformers")
    if mask_prompt and "text" in rows[0]:
        pytest.skip("mlx-lm and Runoff both refuse text rows with mask_prompt")
    model = make_tiny_model(tmp_path / "model", template=WITH_TOOLS)
    theirs = transformers.AutoTokenizer.from_pretrained(model)
    features = {"prompt_feature": "q", "completion_feature": "a"} if "q" in rows[0] else {}
    dataset = datasets.create_dataset(rows, theirs, SimpleNamespace(mask_prompt=mask_prompt, **features))
    ours = encoded(model, tmp_path, rows, mask_prompt=mask_prompt)
    assert len(ours) == len(rows)
    for example, row in zip(ours, rows, strict=True):
        ids, offset = dataset.process(row)
        assert example.ids.tolist() == list(ids)
        # mlx-lm counts the targets of tokens offset.. of the shifted row; position 0 never is a target
        assert (example.target_start, example.target_end) == (max(offset, 1), len(ids))
        assert example.tokens_cut == 0
        assert example.prompt_is_prefix


def test_a_long_row_keeps_its_start_and_counts_what_is_cut(tiny_model: Path, tmp_path: Path) -> None:
    (whole,) = encoded(tiny_model, tmp_path, [chat_row(5)], mask_prompt=True)
    limit = whole.target_start + 3
    (cut,) = encoded(tiny_model, tmp_path, [chat_row(5)], mask_prompt=True, max_seq_length=limit)
    assert cut.ids.tolist() == whole.ids.tolist()[:limit]
    assert cut.tokens_cut == len(whole.ids) - limit
    assert cut.target_tokens == 3


def test_a_prompt_that_fills_the_limit_leaves_no_target(tiny_model: Path, tmp_path: Path) -> None:
    (whole,) = encoded(tiny_model, tmp_path, [chat_row(5)], mask_prompt=True)
    (cut,) = encoded(tiny_model, tmp_path, [chat_row(5)], mask_prompt=True, max_seq_length=whole.target_start)
    assert (cut.target_tokens, cut.target_start, cut.target_end) == (0, len(cut.ids), len(cut.ids))


def test_where_the_prompt_is_no_prefix_the_answer_starts_where_they_part(tmp_path: Path) -> None:
    """A template that drops the last turn's thinking, as Qwen3's: mlx-lm would mask the wrong tokens."""
    template = (
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
        "{% if add_generation_prompt %}<assistant><think>{% endif %}"
    )
    model = make_tiny_model(tmp_path / "model", template=template)
    rows = [{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "answer"}]}]
    (example,) = encoded(model, tmp_path, rows, mask_prompt=True)
    assert not example.prompt_is_prefix
    assert load_tokenizer(model).decode(example.ids[: example.target_start].tolist()) == "<user>q<assistant>"


def test_scoring_counts_the_answer_and_its_end_token_and_no_more(tiny_model: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(tiny_model)
    rows = load_rows(write_rows(tmp_path / "rows.jsonl", [chat_row(4)])).rows
    (example,) = encode_for_scoring(rows, tokenizer, max_seq_length=2048)
    targets = example.ids[example.target_start : example.target_end].tolist()
    assert targets == [*tokenizer.encode(rows[0].answer), 257]
    assert example.ids[example.target_end :].tolist() == tokenizer.encode("\n")


def test_scoring_is_the_same_whether_the_run_masks_its_prompts_or_not(tiny_model: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(tiny_model)
    rows = load_rows(write_rows(tmp_path / "rows.jsonl", DATA["chat"])).rows
    scored = encode_for_scoring(rows, tokenizer, max_seq_length=2048)
    masked = encode_for_training(rows, tokenizer, mask_prompt=True, max_seq_length=2048)
    assert [example.target_start for example in scored] == [example.target_start for example in masked]


def test_scoring_a_text_row_counts_all_of_it(tiny_model: Path, tmp_path: Path) -> None:
    rows = load_rows(write_rows(tmp_path / "rows.jsonl", [{"text": "abc"}])).rows
    (example,) = encode_for_scoring(rows, load_tokenizer(tiny_model), max_seq_length=2048)
    assert (example.target_start, example.target_end, len(example.ids)) == (1, 4, 4)


def test_equal_ids_have_equal_keys(tiny_model: Path, tmp_path: Path) -> None:
    one, two, three = encoded(tiny_model, tmp_path, [chat_row(1), {**chat_row(1), "source": "x"}, chat_row(2)])
    assert one.key == two.key
    assert one.key != three.key
    assert one.ids.dtype == np.int32


def test_a_row_that_the_template_refuses_is_named(tmp_path: Path) -> None:
    refusing = "{% if messages|length > 2 %}{{ raise_exception('one turn') }}{% endif %}x"
    model = make_tiny_model(tmp_path / "model", template=refusing)
    with pytest.raises(DataError) as caught:
        encoded(model, tmp_path, [chat_row(0), {"messages": TURNS}])
    assert str(caught.value) == "row 2: the model's chat template refuses these messages (one turn)."


def test_without_a_template_the_model_is_to_blame_not_a_row(tmp_path: Path) -> None:
    model = make_tiny_model(tmp_path / "model", template=None)
    with pytest.raises(ModelError, match="this model has no chat template"):
        encoded(model, tmp_path, [chat_row(0)])
