"""Laws of the configuration: any text gives settings or sentences; nothing that was given is lost."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from runoff.config import Config, EarlyStopping, Settings, flatten, parse_config
from runoff.config.foreign import DONE_WITHOUT, REFUSED, TRANSLATIONS
from runoff.errors import ConfigError

KNOWN = sorted({*Settings.model_fields, *TRANSLATIONS, *DONE_WITHOUT, *REFUSED} - {"lora_parameters.alpha"})
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["adam", "AdamW", "cosine_decay", "1e-5", "auto", "lora", "data"]),
)
KEYS = st.one_of(st.sampled_from(KNOWN), st.text(max_size=8), st.sampled_from(["rank", "name", "arguments", "path"]))
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)
FRAGMENTS = ["iters", ": ", "- ", "\n", "  ", "&a", "*a", "<<", "{", "}", "[", "]", "!!set", "!x ", "|", ">", "? ", "'"]
YAML_LIKE = st.lists(st.sampled_from([*FRAGMENTS, "5", "0x1f", "lora_parameters", "rank", "~", "# ", '"', "---", "%"]))


def read(text: str, *options: str) -> Config | ConfigError:
    try:
        return parse_config(text, options)
    except ConfigError as error:
        found = error
    assert found.problems
    assert all(isinstance(problem, str) and problem for problem in found.problems)
    return found


@given(st.text(max_size=200) | YAML_LIKE.map("".join))
@settings(max_examples=150)
def test_any_text_is_a_config_or_a_config_error(text: str) -> None:
    assert isinstance(read(text), Config | ConfigError)


@given(st.dictionaries(KEYS, VALUES, max_size=5))
@settings(max_examples=100)
def test_any_tree_is_a_config_or_a_config_error(tree: dict[str, Any]) -> None:
    assert isinstance(read(json.dumps(tree)), Config | ConfigError)


@given(KEYS, st.text(max_size=20) | YAML_LIKE.map("".join))
@settings(max_examples=100)
def test_any_option_is_a_config_or_a_config_error(key: str, value: str) -> None:
    assert isinstance(read("lora_parameters: {rank: 4}", f"{key}={value}"), Config | ConfigError)


NAMES = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=12)
SECTIONS = ["", "lora_parameters", "lr_schedule", "early_stopping", "hf_dataset", "optimizer_config"]


@given(NAMES, st.sampled_from(SECTIONS), st.integers(0, 5))
@settings(max_examples=80)
def test_no_unknown_key_is_ever_lost(name: str, section: str, lines_before: int) -> None:
    dotted = f"{section}.{name}" if section else name
    known = {*KNOWN, *flatten(Settings())} | {f"lora_parameters.{key}" for key in ("rank", "alpha")}
    known |= {f"early_stopping.{key}" for key in ("patience", "min_improvement")}
    known |= {f"lr_schedule.{key}" for key in ("name", "arguments", "warmup", "warmup_init")}
    known |= {f"hf_dataset.{key}" for key in ("path", "config", "train_split", "valid_split", "test_split")}
    known |= {f"hf_dataset.{key}_feature" for key in ("prompt", "completion", "chat", "text")}
    known |= {f"optimizer_config.{key}" for key in ("adam", "adamw", "sgd", "muon", "adafactor")}
    if dotted in known:
        return
    line = f'{section}:\n  "{name}": 3' if section else f'"{name}": 3'
    found = read("# a comment\n" * lines_before + line)
    assert isinstance(found, ConfigError)
    place = f"config:{lines_before + (2 if section else 1)}"
    assert any(problem.startswith(f"{place}: unknown key {dotted}") for problem in found.problems), found.problems


GOOD: dict[str, st.SearchStrategy[Any]] = {
    "iters": st.integers(1, 10**6),
    "batch_size": st.integers(1, 64),
    "learning_rate": st.floats(0, 1),
    "seed": st.integers(0, 2**63),
    "mask_prompt": st.booleans(),
    "model": st.text(min_size=1, max_size=10),
    "early_stopping": st.booleans() | st.fixed_dictionaries({}, optional={"patience": st.integers(1, 9)}),
    "lora_parameters": st.fixed_dictionaries(
        {}, optional={"rank": st.integers(1, 99), "dropout": st.floats(0, 0.9), "scale": st.floats(-9, 9)}
    ),
    "lr_schedule": st.fixed_dictionaries(
        {"name": st.just("cosine_decay"), "arguments": st.lists(st.floats(0, 9), min_size=2, max_size=3)}
    ),
    "optimizer_config": st.fixed_dictionaries({"adam": st.fixed_dictionaries({}, optional={"eps": st.floats(0, 1)})}),
    "lora_alpha": st.integers(1, 64),
    "num_train_epochs": st.integers(1, 9),
}


@given(st.fixed_dictionaries({}, optional=GOOD))
@settings(max_examples=80)
def test_every_value_that_is_no_default_knows_where_it_came_from(tree: dict[str, Any]) -> None:
    found = read(json.dumps(tree, indent=1))
    if isinstance(found, ConfigError):
        assert {"iters", "num_train_epochs"} <= set(tree) or "lora_alpha" in tree, found.problems
        return
    defaults = flatten(Settings()) | flatten(EarlyStopping(), "early_stopping.")
    defaults |= {"lr_schedule.warmup": 0, "lr_schedule.warmup_init": 0.0}
    for key, value in flatten(found.settings).items():
        if value != defaults.get(key):
            origin = found.origin(key)
            assert origin.kind in ("file", "translated"), key
            assert origin.place is not None
            assert origin.place.startswith("config:")


@given(st.fixed_dictionaries({}, optional={key: GOOD[key] for key in ("iters", "batch_size", "seed", "learning_rate")}))
@settings(max_examples=60)
def test_an_option_gives_what_the_file_would(tree: dict[str, Any]) -> None:
    by_file = parse_config(json.dumps(tree))
    by_option = parse_config("", [f"{key}={json.dumps(value)}" for key, value in tree.items()])
    assert by_file.settings == by_option.settings
    assert all(origin.kind == "option" for origin in by_option.origins.values())
