"""Whatever stands in a file, saying what a tool does with it never fails, and no key goes unmentioned."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runoff.config import Given
from runoff.plan.foreign import TOOLS, Around, tool_report

KEYS = st.sampled_from(
    [
        "iters",
        "batch_size",
        "epochs",
        "lora_rank",
        "lora_alpha",
        "lora_dropout",
        "num_layers",
        "lora_layers",
        "use_dora",
        "optimizer",
        "lr_schedule",
        "lora_parameters",
        "lora_parameters.rank",
        "lora_parameters.scale",
        "lora_parameters.alpha",
        "optimizer_config.adamw.weight_decay",
        "grad_accumulation_steps",
        "save_every",
        "steps_per_eval",
        "val_batches",
        "learning_rate",
        "train",
        "test",
        "mask_prompt",
        "wandb",
        "foo",
        "weight_decay",
        "max_steps",
        "lora_r",
        "use_rslora",
        "hf_dataset.path",
        "eval_steps",
    ]
)
PLAIN = st.none() | st.booleans() | st.integers(-3, 10**9) | st.floats() | st.text(max_size=5)
VALUES = PLAIN | st.lists(PLAIN, max_size=2) | st.dictionaries(st.text(max_size=3), PLAIN, max_size=2)
ROWS = st.none() | st.integers(0, 50)


@settings(max_examples=300)
@given(
    st.dictionaries(KEYS, VALUES, max_size=8),
    st.sampled_from(["mlx-lm@0.14.0", "mlx-lm@0.19.0", "mlx-lm@0.21.0", "mlx-lm@0.28.3", "mlx-lm", *list(TOOLS)[1:]]),
    ROWS,
    ROWS,
)
def test_any_file_gets_a_report(file: dict[str, Any], tool: str, train: int | None, valid: int | None) -> None:
    leaves = [Given(key, value, f"run.yaml:{line}") for line, (key, value) in enumerate(file.items(), start=1)]
    found = tool_report(tool, leaves, Around(train, valid, 4))
    assert found.tool.startswith(tool.partition("@")[0])
    if file.get("foo") is not None:
        assert "foo" in {ignored.key for ignored in found.ignored} or any("foo" in stop.text for stop in found.stops)


@pytest.mark.parametrize("tool", TOOLS)
def test_an_empty_file(tool: str) -> None:
    assert tool_report(tool, (), Around()).settings
