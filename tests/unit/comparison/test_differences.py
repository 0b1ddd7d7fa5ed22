"""Differences and their consequences: present with their numbers when true, absent when not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support.run_folders import Told, make_run

from runoff.comparison import Comparison, compare
from runoff.runs import Value


def against(root: Path, settings: dict[str, Any], counts: dict[str, Any] | None = None) -> Comparison:
    """A plain run `a` against `b` with these settings and counts."""
    return compare([make_run(root, "a"), make_run(root, "b", Told(settings=settings, counts=counts or {}))])


def follows(comparison: Comparison, key: str) -> str | None:
    found = {one.key: one for one in comparison.differences}
    consequence = found[key].consequence if key in found else None
    return consequence.text if consequence else None


@pytest.mark.parametrize(
    ("settings", "counts", "key", "sentence"),
    [
        (
            {"num_layers": 6},
            {"adapted_blocks": 6, "trainable_parameters": 488448},
            "num_layers",
            "Of the base's 30 blocks a adapts 8 and leaves 22 untouched, b adapts 6 and leaves 24 untouched. "
            "Trainable parameters: a 651,264, b 488,448.",
        ),
        (
            {"grad_accumulation_steps": 16},
            {"optimizer_updates": 7, "effective_batch_rows": 32},
            "grad_accumulation_steps",
            "a makes 25 optimizer updates of 8 rows, 2.00 epochs and "
            "b makes 7 optimizer updates of 32 rows, 2.00 epochs.",
        ),
        (
            {"learning_rate": 1e-4},
            {"learning_rate_sum": 0.01},
            "learning_rate",
            "Summed over the updates the learning rate is a 0.0025, b 0.01: the longest way is 4 times the shortest.",
        ),
        (
            {"lora_parameters.dropout": 0.1},
            None,
            "lora_parameters.dropout",
            "Share of the adapter's inputs dropped while training: a none, b 10 %. In use nothing is dropped.",
        ),
        (
            {"lora_parameters.scale": 1.0},
            None,
            "lora_parameters.scale",
            "The adapter's output is multiplied by its scale: "
            "a scale 20 (alpha 160 at rank 8), b scale 1 (alpha 8 at rank 8).",
        ),
        (
            {"max_seq_length": 128},
            {"train_rows_cut": 7},
            "max_seq_length",
            "Training rows that lost their end, and with it the end token: a 0, b 7.",
        ),
        (
            {"max_seq_length": 512},
            None,
            "max_seq_length",
            "No training row is cut in both runs: the longest has 222 tokens.",
        ),
        (
            {"steps_per_eval": 10},
            {"validations": 11},
            "steps_per_eval",
            "Validations: a 3, b 11. They change no weight.",
        ),
        (
            {"mask_prompt": True},
            None,
            "mask_prompt",
            "b learns the answers alone, a the prompts too: their training losses are of different tokens.",
        ),
    ],
)
def test_a_difference_says_what_follows(
    tmp_path: Path, settings: dict[str, Any], counts: dict[str, Any] | None, key: str, sentence: str
) -> None:
    assert follows(against(tmp_path, settings, counts), key) == sentence


def test_equal_runs_differ_in_nothing(tmp_path: Path) -> None:
    comparison = against(tmp_path, {})
    assert comparison.differences == ()
    assert comparison.several_at_once is None


def test_names_and_habits_of_reporting_are_folded_away(tmp_path: Path) -> None:
    assert against(tmp_path, {"steps_per_report": 3, "save_every": 7, "data": "elsewhere"}).differences == ()


def test_an_unknown_count_yields_no_sentence_rather_than_a_number(tmp_path: Path) -> None:
    comparison = against(tmp_path, {"num_layers": 6}, {"adapted_blocks": Value.unknown("the adapter is not here")})
    assert follows(comparison, "num_layers") is None


def test_several_settings_at_once_forbid_a_cause(tmp_path: Path) -> None:
    sentence = against(tmp_path, {"num_layers": 6, "seed": 3}).several_at_once
    assert sentence is not None
    assert sentence.text == (
        "2 settings differ at once (num_layers and seed), "
        "so no difference in the results can be put down to any one of them."
    )


def test_one_setting_alone_does_not(tmp_path: Path) -> None:
    assert against(tmp_path, {"num_layers": 6}).several_at_once is None


def test_a_setting_that_is_declared_but_not_in_force_is_shown_though_the_runs_agree(tmp_path: Path) -> None:
    from runoff.config import Origin

    ignored = Value(20.0, Origin("imported", "run.yaml:10"), declared=1.0)
    comparison = against(tmp_path, {"lora_parameters.scale": ignored})
    assert [found.key for found in comparison.differences] == ["lora_parameters.scale"]
