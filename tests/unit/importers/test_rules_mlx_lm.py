from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.importers.given import codes, count, mlx_config, old_log, one, read, setting, write
from tests.unit.importers.test_adapter_files import OLD

from runoff.errors import ImportFailed
from runoff.importers.rules_mlx_lm import mlx_validations
from runoff.importers.versions import Range, parse_version, range_of


def imported(tmp_path: Path, body: dict[str, Any], **options: Any) -> Any:
    return one(tmp_path, write(tmp_path / "run" / "adapter_config.json", body), **options)


def exactly(version: str) -> Range:
    return range_of((), version)


def test_misplaced_keys_are_found_with_what_holds_instead(tmp_path: Path) -> None:
    run = imported(tmp_path, mlx_config(lora_alpha=8, lora_dropout=0.1, lora_rank=8, use_dora=True, epochs=3))
    findings = {finding.what.split()[4]: finding for finding in run.merged.plan.findings if finding.code == "I101"}
    assert set(findings) == {"lora_alpha:", "lora_dropout:", "lora_rank:", "use_dora:", "epochs:"}
    assert "scale 20.0" in findings["lora_alpha:"].why
    assert "alpha 160" in findings["lora_alpha:"].why
    assert findings["lora_rank:"].level == "note"
    assert "not by this key" in findings["lora_rank:"].why
    scale, dropout = setting(run, "lora_parameters.scale"), setting(run, "lora_parameters.dropout")
    assert (scale.value, scale.declared) == (20.0, 1.0)
    assert (dropout.value, dropout.declared) == (0.0, 0.1)
    assert setting(run, "fine_tune_type").value == "lora"
    assert setting(run, "fine_tune_type").declared == "dora"


def test_nothing_is_found_where_nothing_is_misplaced(tmp_path: Path) -> None:
    assert "I101" not in codes(imported(tmp_path, mlx_config()))


def test_accumulation_before_0_28_3_was_ignored(tmp_path: Path) -> None:
    body = mlx_config(grad_accumulation_steps=8)
    run = imported(tmp_path, body, tool="mlx-lm@0.28.2")
    assert (setting(run, "grad_accumulation_steps").value, setting(run, "grad_accumulation_steps").declared) == (1, 8)
    assert count(run, "optimizer_updates").value == 40
    assert count(imported(tmp_path / "b", body, tool="mlx-lm@0.28.3"), "optimizer_updates").value == 5


def test_accumulation_in_an_unclear_version_is_unknown_and_said(tmp_path: Path) -> None:
    yaml = "model: m\niters: 40\nnum_layers: 4\nbatch_size: 2\ngrad_accumulation_steps: 8\n"
    run = one(tmp_path, write(tmp_path / "run.yaml", yaml))
    value = setting(run, "grad_accumulation_steps")
    assert (value.known, value.declared) == (False, 8)
    assert not count(run, "optimizer_updates").known
    assert "I103" in codes(run)


@pytest.mark.parametrize(
    ("version", "scale"), [("0.13.1", 20.0), ("0.14.2", 10.0), ("0.25.0", 10.0), ("0.25.1", 20.0), ("0.32.2", 20.0)]
)
def test_the_default_scale_by_version(tmp_path: Path, version: str, scale: float) -> None:
    run = one(tmp_path, write(tmp_path / "run.yaml", "iters: 40\nnum_layers: 4\n"), tool=f"mlx-lm@{version}")
    assert setting(run, "lora_parameters.scale").value == scale


def test_a_default_that_depends_on_an_unknown_version_is_unknown(tmp_path: Path) -> None:
    run = one(tmp_path, write(tmp_path / "run.yaml", "iters: 40\nnum_layers: 4\n"))
    assert not setting(run, "lora_parameters.scale").known
    assert setting(run, "lora_parameters.rank").value == 8


def test_alpha_worked_before_0_14_2(tmp_path: Path) -> None:
    early = imported(tmp_path, OLD, tool="mlx-lm@0.13.0")
    assert setting(early, "lora_parameters.scale").value == 10.0 * 16 / 8
    late = imported(tmp_path / "b", OLD, tool="mlx-lm@0.15.0")
    assert setting(late, "lora_parameters.scale").value == 10.0
    assert not setting(imported(tmp_path / "c", OLD), "lora_parameters.scale").known


def test_lora_layers_is_num_layers_of_old(tmp_path: Path) -> None:
    assert setting(imported(tmp_path, OLD), "num_layers").value == 16


def test_num_layers_adapted_every_block_from_0_19_to_0_21_4(tmp_path: Path) -> None:
    body = mlx_config(num_layers=4)
    assert count(imported(tmp_path, body, tool="mlx-lm@0.20.1"), "adapted_blocks").value == 36
    assert count(imported(tmp_path / "b", body, tool="mlx-lm@0.21.5"), "adapted_blocks").value == 4


def test_default_layers_were_two_before_0_28_2(tmp_path: Path) -> None:
    body = mlx_config(grad_accumulation_steps=1)
    few = imported(tmp_path, body, tool="mlx-lm@0.28.1")
    assert count(few, "adapted_layers").value == "self_attn.q_proj, self_attn.v_proj"
    assert count(few, "trainable_parameters").value == 851_968
    every = imported(tmp_path / "b", body, tool="mlx-lm@0.28.2")
    assert count(every, "trainable_parameters").value == 6_717_440


@pytest.mark.parametrize(
    ("iters", "every", "version", "wanted"),
    [
        (1800, 200, "0.28.3", 10),
        (1600, 50, "0.28.3", 33),
        (23, 10, "0.32.2", 4),
        (23, 10, "0.13.0", 4),
        (23, 10, "0.3.0", 3),
        (5, 1, "0.30.0", 5),
        (6, 10, "0.32.2", 2),
        (1, 10, "0.32.2", 1),
    ],
)
def test_validations(iters: int, every: int, version: str, wanted: int) -> None:
    direct = [it for it in range(1, iters + 1) if it == 1 or it % every == 0 or (it == iters and version != "0.3.0")]
    assert mlx_validations(iters, every, exactly(version)) == wanted == len(direct)


def test_validations_at_the_border_of_versions_are_unknown_only_where_it_matters() -> None:
    anything = Range()
    assert mlx_validations(1800, 200, anything) == 10
    assert mlx_validations(23, 10, anything) is None


def test_a_schedule_goes_before_the_rate_and_starts_at_0(tmp_path: Path) -> None:
    schedule = {"name": "cosine_decay", "warmup": 2, "arguments": [0.001, 5, 1e-05]}
    run = imported(tmp_path, mlx_config(lr_schedule=schedule, learning_rate=1e-4))
    assert (setting(run, "learning_rate").value, setting(run, "learning_rate").declared) == (0.001, 1e-4)
    assert setting(run, "lr_schedule.warmup").value == 2
    assert count(run, "first_learning_rate").value == 0.0
    assert "I101" not in codes(run)


def test_peak_memory_was_in_2_to_the_30_before_0_20(tmp_path: Path) -> None:
    path = write(tmp_path / "a.log", old_log())
    memory = {}
    for version in ("0.18.0", "0.28.3", None):
        run = one(tmp_path / str(version), path, tool=f"mlx-lm@{version}" if version else None)
        row = next(row for row in run.merged.rows if row.peak_memory_bytes)
        memory[version] = (row.peak_memory_bytes, round(row.rounding["peak_memory_bytes"]))
    assert memory["0.18.0"] == (round(8082000000 * 2**30 / 1e9), round(5e5 * 2**30 / 1e9))
    assert memory["0.28.3"] == (8082000000, 500_000)
    assert memory[None][1] > 5e8


def test_versions() -> None:
    span = Range(parse_version("0.28.3"), parse_version("0.31.2"))
    assert [span.at_least(version) for version in ("0.28.2", "0.28.3", "0.29", "0.31.2")] == [True, True, None, False]
    assert str(exactly("0.28.3")) == "0.28.3"


def test_a_key_that_stands_twice_is_named_with_its_line(tmp_path: Path) -> None:
    path = write(tmp_path / "run.yaml", "iters: 10\nmodel: m\nnum_layers: 4\niters: 20\n")
    with pytest.raises(ImportFailed, match=r"run\.yaml:4: iters stands here a second time\. Most tools take the last"):
        read(path)
