from __future__ import annotations

import pytest

from runoff.importers.known_models import known_model


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("HuggingFaceTB/SmolLM2-135M-Instruct", 134_515_008),
        ("HuggingFaceTB/SmolLM2-360M", 361_821_120),
        ("HuggingFaceTB/SmolLM2-1.7B", 1_711_376_384),
        ("HuggingFaceTB/SmolLM3-3B", 3_075_098_624),
        ("Qwen/Qwen2.5-0.5B-Instruct", 494_032_768),
        ("Qwen/Qwen2.5-1.5B", 1_543_714_304),
        ("Qwen/Qwen2.5-3B", 3_085_938_688),
        ("Qwen/Qwen2.5-7B-Instruct", 7_615_616_512),
        ("Qwen/Qwen3-0.6B", 596_049_920),
        ("Qwen/Qwen3-1.7B", 1_720_574_976),
        ("Qwen/Qwen3-4B-Instruct-2507", 4_022_468_096),
        ("Qwen/Qwen3-8B", 8_190_735_360),
        ("meta-llama/Llama-3.2-1B-Instruct", 1_235_814_400),
        ("meta-llama/Llama-3.2-3B", 3_212_749_824),
        ("meta-llama/Meta-Llama-3.1-8B-Instruct", 8_030_261_248),
        ("mistralai/Mistral-7B-v0.1", 7_241_732_096),
        ("google/gemma-2-2b-it", 2_614_341_888),
        ("google/gemma-3-270m-it", 268_098_176),
        ("google/gemma-3-1b-it", 999_885_952),
        ("microsoft/Phi-3.5-mini-instruct", 3_821_079_552),
    ],
)
def test_the_arithmetic_gives_the_published_number_of_parameters(name: str, parameters: int) -> None:
    model = known_model(name)
    assert model is not None
    assert model.parameters == parameters


def test_a_quantized_copy_has_the_same_shape() -> None:
    assert known_model("mlx-community/Qwen3-0.6B-4bit") == known_model("/models/Qwen3-0.6B/")


@pytest.mark.parametrize("name", ["tiny", "", "SmolLM3-3B-pruned", "org/Qwen3-0.6B-Base-Merged", "../SmolLM4-3B"])
def test_other_names_are_unknown(name: str) -> None:
    assert known_model(name) is None
