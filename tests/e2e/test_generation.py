"""Generation on the real model: our loop on both engines against transformers' own greedy search."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from runoff.data import load_tokenizer
from runoff.engines import open_base
from runoff.engines.generation import Sampling, generate

pytestmark = pytest.mark.model
QUESTIONS = ("What is the capital of France?", "Say hello, and nothing else.", "Name three colours.")


@pytest.fixture(scope="module")
def expected(smollm2_folder: Path) -> list[list[int]]:
    """Each question alone, by transformers."""
    import torch
    import transformers

    model = transformers.AutoModelForCausalLM.from_pretrained(smollm2_folder, dtype=torch.float32)
    found = []
    for ids in prompts(smollm2_folder):
        out = model.generate(torch.from_numpy(ids).long()[None], max_new_tokens=12, do_sample=False)
        found.append(out[0, len(ids) :].tolist())
    return found


def prompts(folder: Path) -> list[np.ndarray[tuple[int], np.dtype[np.int32]]]:
    tokenizer = load_tokenizer(folder)
    texts = [tokenizer.render([{"role": "user", "content": text}], add_generation_prompt=True) for text in QUESTIONS]
    return [np.asarray(tokenizer.encode(text), dtype=np.int32) for text in texts]


@pytest.mark.parametrize("engine", ["torch", "mlx"])
def test_a_padded_batch_answers_as_transformers_does_one_by_one(
    engine: str, smollm2_folder: Path, expected: list[list[int]]
) -> None:
    tokenizer = load_tokenizer(smollm2_folder)
    base = open_base(smollm2_folder, engine=engine, dtype="float32").attach(None)
    found = generate(base, prompts(smollm2_folder), tokenizer.end_ids, Sampling(max_tokens=12))
    for one, ids in zip(found, expected, strict=True):
        without_end = [token for token in ids if token not in tokenizer.end_ids]
        assert list(one.ids) == without_end
        assert one.finish_reason == ("stop" if len(without_end) < len(ids) else "length")
    assert "Paris" in tokenizer.decode(found[0].ids)
