"""The same YAML run by real releases of mlx-lm, each of which did something else with it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.unit.importers.given import GOLDEN, codes, count, one, setting

from runoff.importers import ImportedRun
from runoff.importers.versions import parse_version

VERSIONS = ("0.5.0", "0.14.1", "0.18.2", "0.21.4", "0.26.4", "0.31.3")


def imported(tmp_path: Path, version: str, **options: Any) -> ImportedRun:
    return one(tmp_path, GOLDEN / "mlx_lm_by_version" / version, **options)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_inferred_range_holds_the_version_that_ran(tmp_path: Path, version: str) -> None:
    merged = imported(tmp_path, version).merged
    assert merged.tool == "mlx-lm"
    assert merged.versions.since <= parse_version(version) < merged.versions.before
    assert merged.evidence


@pytest.mark.parametrize(
    ("version", "updates", "blocks", "parameters", "kind", "optimizer", "layers"),
    [
        ("0.14.1", 14, 2, 1888, "dora", "adam", 2),
        ("0.18.2", 14, 2, 1888, "dora", "adam", 2),
        ("0.21.4", 14, 4, 3584, "lora", "adam", 2),
        ("0.26.4", 14, 2, 1792, "lora", "adamw", 2),
        ("0.31.3", 3, 2, 8192, "lora", "adamw", 7),
    ],
)
@pytest.mark.parametrize("named", [True, False])
def test_what_took_effect(
    tmp_path: Path,
    version: str,
    updates: int,
    blocks: int,
    parameters: int,
    kind: str,
    optimizer: str,
    layers: int,
    named: bool,
) -> None:
    run = imported(tmp_path, version, tool=f"mlx-lm@{version}" if named else None)
    assert count(run, "optimizer_updates").value == updates
    assert count(run, "adapted_blocks").value == setting(run, "num_layers").value == blocks
    assert count(run, "trainable_parameters").value == parameters
    assert setting(run, "fine_tune_type").value == kind
    assert setting(run, "optimizer").value == optimizer
    assert len(str(count(run, "adapted_layers").value).split(", ")) == layers
    assert setting(run, "lora_parameters.rank").value == 8


@pytest.mark.parametrize("version", VERSIONS)
def test_counts_and_rates_are_those_that_were_printed(tmp_path: Path, version: str) -> None:
    run = imported(tmp_path, version)
    validated = [row.iteration for row in run.merged.rows if row.kind == "validation"]
    trained = [row for row in run.merged.rows if row.kind == "train"]
    assert validated == [1, 6, 12, 14]
    assert count(run, "validations").value == len(validated)
    assert [row.iteration for row in trained] == [5, 10, 14]
    assert count(run, "last_learning_rate").value == pytest.approx(trained[-1].learning_rate, abs=5e-8)
    text = (GOLDEN / "mlx_lm_by_version" / version / "train.log").read_text("utf-8")
    assert count(run, "longest_row_tokens").value == max(map(int, re.findall(r"longest sentence (\d+)", text)))


def test_before_0_6_a_schedule_was_not_read(tmp_path: Path) -> None:
    run = imported(tmp_path, "0.5.0")
    value = setting(run, "lr_schedule")
    assert (value.known, value.value, value.declared) == (True, None, "cosine_decay")
    ignored = {f.what.split()[4]: f.level for f in run.merged.plan.findings if f.code == "I101"}
    assert ignored["optimizer:"] == ignored["grad_accumulation_steps:"] == ignored["use_dora:"] == "warning"


def test_a_schedule_of_an_open_version_leaves_the_rates_unknown(tmp_path: Path) -> None:
    yaml = tmp_path / "run.yaml"
    yaml.write_bytes((GOLDEN / "mlx_lm_by_version" / "0.5.0" / "run.yaml").read_bytes())
    run = one(tmp_path, yaml)
    assert not setting(run, "lr_schedule").known
    assert not count(run, "last_learning_rate").known
    assert "I103" in codes(run)


def test_from_0_19_to_0_21_4_every_block_was_adapted(tmp_path: Path) -> None:
    run = imported(tmp_path, "0.21.4")
    (finding,) = [finding for finding in run.merged.plan.findings if finding.code == "I109"]
    assert finding.what == "The tensors adapt 4 blocks, the settings say 2."
    assert "0.19.0 to 0.21.4 adapted every block" in finding.why
    assert setting(run, "num_layers").declared == 2


def test_the_tensors_settle_whether_use_dora_was_read(tmp_path: Path) -> None:
    with_tensors = imported(tmp_path, "0.18.2")
    assert not any("use_dora" in finding.what for finding in with_tensors.merged.plan.findings)
    folder = GOLDEN / "mlx_lm_by_version" / "0.18.2"
    without = one(tmp_path, folder / "adapters" / "adapter_config.json", folder / "train.log")
    assert not setting(without, "fine_tune_type").known
    assert [f.code for f in without.merged.plan.findings if "use_dora" in f.what] == ["I103"]


@pytest.mark.parametrize(("version", "when"), [("0.14.1", "after"), ("0.18.2", "before")])
def test_when_a_validation_is_made(tmp_path: Path, version: str, when: str) -> None:
    run = imported(tmp_path, version, tool=f"mlx-lm@{version}")
    assert f"{when} its iteration's update" in (count(run, "validation_rows").origin.why or "")
    (finding,) = [finding for finding in run.merged.plan.findings if finding.code == "I110"]
    assert f"taken {when} its" in finding.why
