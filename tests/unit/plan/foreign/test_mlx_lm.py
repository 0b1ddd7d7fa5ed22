"""mlx-lm's rules by version: the installed version's own defaults, and the changes that the releases brought."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runoff.config import read_text
from runoff.errors import ConfigError
from runoff.plan.foreign import Around, ToolReport, tool_report

RUN = "model: m\ndata: d\ntrain: true\n"


def report(text: str, version: str = "0.32.2", **around: Any) -> ToolReport:
    reading = read_text(RUN + text, path=Path("run.yaml"))
    return tool_report(f"mlx-lm@{version}", reading.given, Around(**around))


def count(found: ToolReport, key: str) -> Any:
    return next(row.value for row in found.counts if row.key == key)


def test_the_defaults_are_those_of_the_installed_version() -> None:
    lora = pytest.importorskip("mlx_lm.lora")
    from mlx_lm import __version__

    found = report("", __version__)
    ours = {row.key: row.value for row in found.settings}
    theirs = dict(lora.CONFIG_DEFAULTS)
    theirs |= {f"lora_parameters.{key}": value for key, value in theirs.pop("lora_parameters").items()}
    for key in ("model", "data", "train", "optimizer_config", "config"):
        theirs.pop(key)
    assert {key: ours[key] for key in theirs} == theirs


@pytest.mark.parametrize(
    ("version", "scale"),
    [("0.14.0", 10.0), ("0.14.2", 10.0), ("0.22.3", 10.0), ("0.25.0", 10.0), ("0.25.1", 20.0), ("0.28.3", 20.0)],
)
def test_the_default_scale_by_version(version: str, scale: float) -> None:
    assert report("", version).setting("lora_parameters.scale") == scale


def test_before_0_14_2_alpha_multiplies_the_scale() -> None:
    found = report("lora_parameters: {rank: 4, alpha: 8, scale: 3.0, dropout: 0.0}\n", "0.14.1")
    assert found.setting("effective scale") == 6.0
    assert [ignored.key for ignored in found.ignored] == []
    later = report("lora_parameters: {rank: 4, alpha: 8, scale: 3.0, dropout: 0.0}\n", "0.14.2")
    assert [ignored.key for ignored in later.ignored] == ["lora_parameters.alpha"]


@pytest.mark.parametrize(
    ("version", "text", "key"),
    [
        ("0.28.2", "grad_accumulation_steps: 4\n", "grad_accumulation_steps"),
        ("0.18.2", "num_layers: 8\n", "num_layers"),
        ("0.19.0", "lora_layers: 8\n", "lora_layers"),
        ("0.19.0", "use_dora: true\n", "use_dora"),
        ("0.14.2", "use_dora: true\n", "use_dora"),
        ("0.15.2", "use_dora: true\n", "use_dora"),
        ("0.21.1", "", "train"),
        ("0.20.4", "fine_tune_type: dora\n", "fine_tune_type"),
        ("0.21.5", "mask_prompt: true\n", "mask_prompt"),
        ("0.21.6", "optimizer: adamw\n", "optimizer"),
        ("0.28.3", "wandb: x\n", "wandb"),
        ("0.32.2", "trust_remote_code: true\n", "trust_remote_code"),
        ("0.32.2", "clear_cache_threshold: 9\n", "clear_cache_threshold"),
        ("0.32.2", "weight_decay: 0.1\n", "weight_decay"),
        ("0.32.2", "epochs: 3\n", "epochs"),
        ("0.32.2", "val_bathces: 3\n", "val_bathces"),
    ],
)
def test_keys_that_a_version_does_not_read(version: str, text: str, key: str) -> None:
    assert [ignored.key for ignored in report(text, version).ignored if not ignored.same] == [key]


@pytest.mark.parametrize(
    ("version", "text"),
    [
        ("0.28.3", "grad_accumulation_steps: 4\n"),
        ("0.18.2", "lora_layers: 8\n"),
        ("0.15.3", "use_dora: true\n"),
        ("0.21.2", "fine_tune_type: dora\n"),
        ("0.22.0", "mask_prompt: true\n"),
        ("0.22.0", "optimizer: adamw\noptimizer_config: {adamw: {weight_decay: 0.1}}\n"),
        ("0.28.2", "wandb: x\n"),
        ("0.32.2", "lora_parameters: {rank: 4, scale: 2.0, dropout: 0.0, keys: [self_attn.q_proj]}\n"),
    ],
)
def test_keys_that_a_version_reads(version: str, text: str) -> None:
    assert report(text, version).ignored == ()


@pytest.mark.parametrize(
    ("text", "version", "around", "sentence"),
    [
        ("lora_parameters: {rank: 4}\n", "0.32.2", {}, "lacks dropout and scale: a KeyError"),
        ("lora_parameters: {rank: 4, scale: 1.0, dropout: 0.0}\n", "0.14.0", {}, "lacks alpha"),
        ("num_layers: 40\n", "0.28.3", {"blocks": 36}, "40 layers are asked for and the model has 36"),
        ("optimizer: sgd\n", "0.22.0", {}, "not one of adam, adamw"),
        ('iters: "10"\n', "0.28.3", {}, "iters is the text '10'"),
        ("batch_size: 8\n", "0.28.3", {"train_rows": 100, "valid_rows": 5}, "validation set has 5 rows"),
        ("", "0.28.3", {"train_rows": 100, "valid_rows": 0}, "no validation set"),
    ],
)
def test_what_stops_it(text: str, version: str, around: dict[str, Any], sentence: str) -> None:
    assert [sentence in stop.text for stop in report(text, version, **around).stops] == [True]


def test_what_stops_an_old_version_only() -> None:
    assert report("", "0.30.7", train_rows=100, valid_rows=0).stops == ()


def test_counts_of_the_real_run_3() -> None:
    text = "iters: 1800\nbatch_size: 2\ngrad_accumulation_steps: 4\nsave_every: 500\n"
    found = report(text, "0.28.3", train_rows=1367, valid_rows=342)
    assert count(found, "optimizer updates") == 450
    assert count(found, "validations") == 10
    assert count(found, "rows per validation") == 50
    assert count(found, "rows never trained on") == 1
    assert count(found, "epochs") == 2.64
    assert count(report(text, "0.28.2"), "optimizer updates") == 1800


@pytest.mark.parametrize("iters", [1, 7, 10, 23])
@pytest.mark.parametrize("every", [1, 5, 10, 50])
def test_validations_are_counted_as_the_loop_makes_them(iters: int, every: int) -> None:
    made = sum(it == 1 or it % every == 0 or it == iters for it in range(1, iters + 1))
    assert count(report(f"iters: {iters}\nsteps_per_eval: {every}\n"), "validations") == made


def test_the_fix_does_what_the_ignored_keys_asked_for() -> None:
    found = report("lora_rank: 16\nlora_alpha: 8\nlora_dropout: 0.1\n", "0.28.3")
    (fix,) = {ignored.fix for ignored in found.ignored}
    mended = report(f"{fix}\n", "0.28.3")
    held = [mended.setting(f"lora_parameters.{key}") for key in ("rank", "scale", "dropout")]
    assert (held, mended.ignored, mended.stops) == ([16, 0.5, 0.1], (), ())


def test_no_key_is_both_held_and_ignored() -> None:
    found = report("lora_rank: 16\nseed: 3\nfoo: 1\n")
    assert {ignored.key for ignored in found.ignored}.isdisjoint(row.key for row in found.settings)


@pytest.mark.parametrize("wanted", ["ludwig", "mlx-lm@new", "mlx_lm@"])
def test_unknown_tools_and_versions_are_one_sentence(wanted: str) -> None:
    with pytest.raises(ConfigError, match="--for"):
        tool_report(wanted, (), Around())


def test_without_a_version_the_one_read_last_holds() -> None:
    assert tool_report("MLX_LM", (), Around()).tool == "mlx-lm 0.32.2"


def test_a_version_later_than_those_that_were_read_is_not_guessed_at() -> None:
    with pytest.raises(ConfigError) as caught:
        tool_report("mlx-lm@9", (), Around())
    assert str(caught.value) == (
        "--for mlx-lm@9: the rules are known up to mlx-lm 0.32.2. Name that version or an earlier one."
    )


def test_full_fine_tuning_has_no_lora_settings() -> None:
    found = report("fine_tune_type: full\nlora_parameters: {rank: 4}\n")
    assert [row.key for row in found.settings if row.key.startswith("lora_parameters")] == []
    assert [row.key for row in found.notes] == []
    assert [(one.key, one.instead) for one in found.ignored] == [
        ("lora_parameters.rank", "fine_tune_type: full trains the weights themselves")
    ]
    assert report("fine_tune_type: dora\n").setting("lora_parameters.rank") == 8
