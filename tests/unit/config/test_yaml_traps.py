"""Where YAML is not what it looks like: numbers with commas, base 60, dates, tabs, missing spaces, keys given twice."""

from __future__ import annotations

import pytest

from runoff.config import parse_config
from runoff.errors import ConfigError


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_config(text)
    return list(caught.value.problems)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("iters: 1:30", "iters is '1:30', but must be a whole number (to mlx-lm, whose YAML is 1.1, it is 90)."),
        ("iters: 1,000", "iters is '1,000', but must be a whole number (write 1000)."),
        ("learning_rate: 0,0001", "learning_rate is '0,0001', but must be a number (write 0.0001)."),
        ("iters: ten", "iters is 'ten', but must be a whole number."),
        (
            'iters: "1e3"',
            "iters is '1e3', but must be a whole number (it was read as text; write numbers without quotes).",
        ),
        ("learning_rate: 2026-01-01", "learning_rate is 2026-01-01, but must be a number."),
        ("data: 2026-01-01", 'data is 2026-01-01, but must be text (write it in quotes: "2026-01-01").'),
        ("model: 7", 'model is 7, but must be text (write it in quotes: "7").'),
        ("lora_parameters: {keys: q_proj}", "lora_parameters.keys is 'q_proj', but must be a list."),
    ],
)
def test_a_value_that_yaml_reads_otherwise_comes_with_what_to_write(line: str, sentence: str) -> None:
    assert problems(f"batch_size: 2\n{line}\n") == [f"config:2: {sentence}"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "iters: 1\nseed: 2\niters: 3\n",
            "config:3: not valid YAML (iters stands twice, and mlx-lm would take the last ",
        ),
        (
            "seed: 2\niters:10\nsave_every: 5\n",
            "config:2: not valid YAML (`iters:10` is no `key: value`; a space has to follow the colon).",
        ),
        ("iters: 1\nseed = 2\n", "config:2: not valid YAML (`seed = 2` is no `key: value`; a space has to follow the "),
        (
            "lora_parameters:\n  rank:8\n  scale: 2\n",
            "config:3: not valid YAML (no key can begin here; it is indented ",
        ),
        ("iters: 1\n---\nseed: 2\n", "config:2: not valid YAML (a second document begins here; keep one, "),
        ("iters:\t1\n\tseed: 2\n", "config:1: not valid YAML (a tab can't stand there: use spaces)."),
    ],
)
def test_broken_yaml_is_placed_where_it_has_to_be_mended(text: str, sentence: str) -> None:
    (problem,) = problems(text)
    assert problem.startswith(sentence)


def test_a_key_without_a_value_is_said_to_keep_its_default() -> None:
    config = parse_config("iters:\nseed: ~\nlr_schedule: null\n")
    assert [str(note) for note in config.notes] == ["config:1: iters: has no value, so its default holds"]
    assert config.settings.iters == 1000


def test_no_keys_to_adapt_is_refused() -> None:
    assert problems("lora_parameters: {keys: []}\n") == [
        "config:1: lora_parameters.keys is [], but must be a list of at least one layer (leave it out for every linear "
        "layer)."
    ]
