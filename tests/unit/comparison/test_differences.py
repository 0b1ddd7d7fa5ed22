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
            "b adapts 25 % fewer than a and leaves 9.1 % more untouched. The base's own weights change in neither. "
            "Trainable parameters: a 651,264, b 488,448.",
        ),
        (
            {"fine_tune_type": "full"},
            {"adapted_blocks": 8, "trainable_parameters": 488448000},
            "fine_tune_type",
            "Of the base's 30 blocks a adapts 8 and leaves 22 untouched, b adapts 8 and leaves 22 untouched. "
            "b changes the base's own weights there. Trainable parameters: a 651,264, b 488,448,000.",
        ),
        (
            {"grad_accumulation_steps": 16},
            {"optimizer_updates": 7, "effective_batch_rows": 32},
            "grad_accumulation_steps",
            "a makes 25 optimizer updates of 8 rows (2.00 epochs) and "
            "b makes 7 optimizer updates of 32 rows (2.00 epochs). "
            "a makes 3.57 times as many optimizer updates as b.",
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
            "b learns the answers alone, a learns the prompts too: their training losses are of different tokens.",
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
        "2 settings (num_layers and seed) differ at once, "
        "so no difference in the results can be put down to any one of them."
    )


def test_one_setting_alone_does_not(tmp_path: Path) -> None:
    assert against(tmp_path, {"num_layers": 6}).several_at_once is None


def test_other_training_rows_count_as_a_change(tmp_path: Path) -> None:
    data = {"train": {"rows": 90, "sha256": "00" * 32}, "valid": {"rows": 20, "sha256": "dd" * 32}}
    told = Told(settings={"num_layers": 6}, identity={"data": data})
    sentence = compare([make_run(tmp_path, "a"), make_run(tmp_path, "b", told)]).several_at_once
    assert sentence is not None
    assert sentence.text.startswith("1 setting (num_layers) and the training rows differ at once")


def test_a_setting_that_one_run_does_not_record_is_no_cause(tmp_path: Path) -> None:
    told = {"num_layers": 6, "optimizer": Value.unknown("no file says it")}
    comparison = against(tmp_path, told)
    assert [found.key for found in comparison.differences] == ["num_layers", "optimizer"]
    assert follows(comparison, "optimizer") == "Whether this differs is not known: b has no record of it."
    assert follows(against(tmp_path, {"seed": Value.unknown("no file says it")}), "seed") == (
        "Whether this differs is not known: b has no record of it."
    )
    assert comparison.several_at_once is None


def test_a_whole_number_and_its_float_are_one_setting(tmp_path: Path) -> None:
    assert against(tmp_path, {"lora_parameters.scale": 20}).differences == ()


def test_a_constant_rate_over_other_numbers_of_updates_is_said(tmp_path: Path) -> None:
    same = {"learning_rate": 1e-4}
    a = make_run(tmp_path, "a", Told(settings=same, counts={"learning_rate_sum": 25e-4}))
    counts = {"optimizer_updates": 5, "learning_rate_sum": 5e-4}
    b = make_run(tmp_path, "b", Told(settings=same | {"grad_accumulation_steps": 20}, counts=counts))
    text = follows(compare([a, b]), "grad_accumulation_steps")
    assert text is not None
    assert text.endswith(
        "a makes 5 times as many optimizer updates as b. The learning rate is the same constant 0.0001 in both, so "
        "summed over the updates it differs as their number does (a 0.0025, b 0.0005)."
    )
    decaying = make_run(tmp_path, "c", Told(settings=same | {"grad_accumulation_steps": 20}, counts={
        "optimizer_updates": 5, "learning_rate_sum": 3e-4}))  # fmt: skip
    assert "the same constant" not in (follows(compare([a, decaying]), "grad_accumulation_steps") or "")


def test_the_longest_row_says_who_cuts_it_where_the_cut_rows_were_not_counted(tmp_path: Path) -> None:
    counts = {"train_rows_cut": Value.unknown("the rows are not here"), "longest_row_tokens": 300}
    a = make_run(tmp_path, "a", Told(settings={"max_seq_length": 256}, counts=counts))
    b = make_run(tmp_path, "b", Told(settings={"max_seq_length": 512}, counts=counts))
    c = make_run(tmp_path, "c", Told(settings={"max_seq_length": 1024}, counts=counts))
    silent = counts | {"longest_row_tokens": Value.unknown("the rows are not here")}
    d = make_run(tmp_path, "d", Told(settings={"max_seq_length": 2000}, counts=silent))
    assert follows(compare([a, d]), "max_seq_length") == (
        "Longer rows lose their end, and with it the end token; how many were cut is not recorded."
    )
    assert follows(compare([a, b]), "max_seq_length") == (
        "The longest row has 300 tokens: a cuts it, and its end token is lost."
    )
    assert follows(compare([b, c]), "max_seq_length") == (
        "The longest row has 300 tokens, so no training row is cut in both runs."
    )
