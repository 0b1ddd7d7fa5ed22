"""Other tools' spellings: each is translated aloud, done without aloud, or refused with what to write instead."""

from __future__ import annotations

from typing import Any

import pytest

from runoff.config import flatten, parse_config
from runoff.config.foreign import DONE_WITHOUT, REFUSED, TRANSLATIONS
from runoff.config.settings import RUNOFF_ONLY, Settings
from runoff.errors import ConfigError


def setting(text: str, key: str) -> Any:
    config = parse_config(text)
    settings = config.settings
    return flatten(settings).get(key, settings.optimizer_config)


@pytest.mark.parametrize(
    ("text", "key", "value", "note"),
    [
        ("lora_rank: 4", "lora_parameters.rank", 4, "read as lora_parameters.rank; mlx-lm ignores this key here"),
        ("r: 4", "lora_parameters.rank", 4, "read as lora_parameters.rank; mlx-lm ignores this key here"),
        (
            "lora_dropout: 0.1",
            "lora_parameters.dropout",
            0.1,
            "read as lora_parameters.dropout; mlx-lm ignores this key here",
        ),
        (
            "lora_alpha: 8",
            "lora_parameters.scale",
            1.0,
            "alpha 8 / rank 8 = scale 1; mlx-lm ignores this key here, so there the scale would be 20",
        ),
        (
            "lora_parameters: {rank: 16, alpha: 8}",
            "lora_parameters.scale",
            0.5,
            "alpha 8 / rank 16 = scale 0.5; mlx-lm ignores this key here, so there the scale would be 20",
        ),
        (
            "lora_alpha: 8\nr: 2",
            "lora_parameters.scale",
            4.0,
            "alpha 8 / rank 2 = scale 4; mlx-lm ignores this key here, so there the scale would be 20",
        ),
        (
            "use_dora: true",
            "fine_tune_type",
            "dora",
            "read as fine_tune_type: dora; mlx-lm ignores this key here and would train plain LoRA",
        ),
        ("use_dora: false", "fine_tune_type", "lora", "read as fine_tune_type: lora"),
        ("num_train_epochs: 2", "epochs", 2.0, "read as epochs; mlx-lm ignores this key here"),
        (
            "max_steps: 100\ngradient_accumulation_steps: 4",
            "iters",
            400,
            "100 optimizer updates x 4 iterations = iters: 400; mlx-lm ignores this key here",
        ),
        (
            "grad_accumulation: 3\neval_steps: 5",
            "steps_per_eval",
            15,
            "5 optimizer updates x 3 iterations = steps_per_eval: 15; mlx-lm ignores this key here",
        ),
        (
            "target_modules: [q_proj]",
            "lora_parameters.keys",
            ("q_proj",),
            "read as lora_parameters.keys; mlx-lm ignores this key here",
        ),
        (
            "weight_decay: 0.1\noptimizer: adamw",
            "optimizer_config",
            {"adamw": {"weight_decay": 0.1}},
            "read as optimizer_config.adamw.weight_decay; mlx-lm ignores this key here",
        ),
        (
            "weight_decay: 0.1\noptim: AdamW",
            "optimizer_config",
            {"adamw": {"weight_decay": 0.1}},
            "read as optimizer_config.adamw.weight_decay; mlx-lm ignores this key here",
        ),
    ],
)
def test_a_foreign_key_is_translated_aloud(text: str, key: str, value: Any, note: str) -> None:
    config = parse_config(text)
    assert setting(text, key) == value
    assert note in [one.text for one in config.notes]
    assert all(one.place.startswith("config:") for one in config.notes)


def test_the_run_3_that_was_never_asked_for() -> None:
    """cases/run3-run4: mlx-lm read neither line and trained at scale 20 and dropout 0."""
    config = parse_config("lora_rank: 8\nlora_alpha: 8\nlora_dropout: 0.1")
    lora = config.settings.lora_parameters
    assert (lora.rank, lora.scale, lora.dropout) == (8, 1.0, 0.1)
    assert len(config.notes) == 3
    assert {origin.kind for origin in config.origins.values()} == {"translated"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "lora_rank: 4\nlora_parameters:\n  rank: 8",
            "config:3: lora_parameters.rank is 8, but config:1 makes it 4. Keep one of the two lines.",
        ),
        (
            "lora_parameters: {scale: 20.0}\nlora_alpha: 16",
            "config:2: lora_alpha makes lora_parameters.scale 2.0, but config:1 makes it 20.0. Keep one of the two "
            "lines.",
        ),
        (
            "iters: 10\nmax_steps: 20",
            "config:2: max_steps makes iters 20, but config:1 makes it 10. Keep one of the two lines.",
        ),
        (
            "weight_decay: 0.1\noptimizer: adamw\noptimizer_config: {adamw: {weight_decay: 0.2}}",
            "config:3: optimizer_config.adamw.weight_decay is 0.2, but config:1 makes it 0.1. Keep one of the two "
            "lines.",
        ),
        ("lora_alpha: many", "config:1: lora_alpha: alpha 'many' over rank 8 is not a scale; write both as numbers."),
        ("lora_alpha: 8\nr: 0", "config:1: lora_alpha: alpha 8 over rank 0 is not a scale; write both as numbers."),
        ("lora_alpha: 0x" + "f" * 400, "config:1: lora_alpha: alpha over rank is too large a number."),
        (
            "max_steps: true",
            "config:1: max_steps: True optimizer updates is not a whole number above 0; write iters: in iterations.",
        ),
        (
            "max_steps: -1",
            "config:1: max_steps: -1 optimizer updates is not a whole number above 0; write iters: in iterations.",
        ),
        ("use_dora: maybe", "config:1: use_dora: use_dora must be true or false, not 'maybe'."),
        (
            "trust_remote_code: true",
            "config:1: trust_remote_code: code that a model brings along is never run; remove this line.",
        ),
    ],
)
def test_contradictions_and_impossible_values(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(text)
    assert sentence in caught.value.problems


def test_the_same_value_spelled_twice_is_no_contradiction() -> None:
    assert parse_config("lora_rank: 4\nlora_parameters: {rank: 4}").settings.lora_parameters.rank == 4


@pytest.mark.parametrize("key", sorted(DONE_WITHOUT))
def test_what_is_done_without_is_said(key: str) -> None:
    config = parse_config(f"{key}: 5")
    assert [str(note) for note in config.notes] == [f"config:1: {key}: {DONE_WITHOUT[key]}"]
    assert key not in config.origins


@pytest.mark.parametrize("key", sorted(REFUSED))
def test_what_is_refused_says_what_to_write(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(f"{key}: 5")
    assert caught.value.problems == (f"config:1: {key}: {REFUSED[key]}.",)


def test_no_key_has_two_meanings() -> None:
    tables = [set(TRANSLATIONS), set(DONE_WITHOUT), set(REFUSED), set(Settings.model_fields)]
    assert sum(map(len, tables)) == len(set.union(*tables))


def test_every_key_of_mlx_lm_is_known_and_has_its_default_or_says_why_not() -> None:
    defaults = dict(pytest.importorskip("mlx_lm.lora").CONFIG_DEFAULTS)
    on_purpose = {"model", "train", "data", "val_batches", "adapter_path", "test_batches", "config", "report_to"} | set(
        DONE_WITHOUT
    )
    on_purpose |= {"project_name", "optimizer_config", "trust_remote_code"}
    ours = Settings()
    known = set(Settings.model_fields) | set(DONE_WITHOUT) | set(TRANSLATIONS) | set(REFUSED)
    assert set(defaults) - known == set()
    for key in set(defaults) - on_purpose:
        theirs = defaults[key]
        value = getattr(ours, key)
        if key == "lora_parameters":
            value = {name: getattr(value, name) for name in theirs}
        assert value == theirs, key
    assert not RUNOFF_ONLY & set(defaults)
