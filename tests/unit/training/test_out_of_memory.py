"""Out of memory names the setting that is estimated to fit."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.support.fake_engine import FakeBase, FakeEngine
from tests.support.runs import fake_train, make_config, make_data

from runoff.data import Batch
from runoff.errors import EngineError
from runoff.plan import AdapterSpec, MachineFacts, Plan
from runoff.plan.memory import memory_parts
from runoff.runs import load_run
from runoff.training import prepare
from runoff.training.out_of_memory import is_out_of_memory, what_fits

REPOSITORY = Path(__file__).parents[3]


def needed(plan: Plan, **changes: Any) -> int:
    parts = memory_parts(plan.settings.model_copy(update=changes), plan.model, plan.adapter, plan.data)
    return sum(part.bytes for part in parts if part.name != "trunk cache")


@pytest.fixture
def plan(tiny_model: Path, tiny_data: Path) -> Plan:
    return prepare(make_config(tiny_model, tiny_data, batch_size=64, grad_accumulation_steps=1)).plan


@pytest.mark.parametrize(
    ("fits", "named"),
    [
        ({"batch_size": 32, "grad_accumulation_steps": 2}, "With batch_size: 32, grad_accumulation_steps: 2 it"),
        (
            {"batch_size": 1, "grad_accumulation_steps": 64, "grad_checkpoint": True},
            "With batch_size: 1, grad_accumulation_steps: 64, grad_checkpoint: true it",
        ),
    ],
)
def test_the_least_change_that_fits_is_named(plan: Plan, fits: dict[str, Any], named: str) -> None:
    limit = needed(plan, **fits)
    said = what_fits(plan, MachineFacts(int(limit / 0.9) + 10, None))
    assert said.startswith("out of memory: the run takes about ")
    assert named in said


def test_nothing_fits(plan: Plan) -> None:
    said = what_fits(plan, MachineFacts(1000, None))
    assert said.endswith("use a smaller or quantized model.")


def test_a_machine_with_room_still_gets_a_lighter_setting(plan: Plan) -> None:
    said = what_fits(plan, MachineFacts(10**12, None))
    assert "With batch_size: " in said


def test_whole_weights_that_fit_in_no_way_are_named(tiny_model: Path, tiny_data: Path) -> None:
    plan = prepare(make_config(tiny_model, tiny_data, fine_tune_type="full")).plan
    said = what_fits(plan, MachineFacts(10**3, None))
    assert said.endswith("Train fewer blocks (num_layers), or with fine_tune_type: lora.")


@pytest.mark.parametrize(
    ("error", "is_it"),
    [
        (MemoryError(), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (RuntimeError("[malloc] Unable to allocate 4398046511104 bytes."), True),
        (RuntimeError("shapes do not match"), False),
        (OSError("out of memory"), False),
    ],
)
def test_errors_of_memory_are_told_from_others(error: Exception, is_it: bool) -> None:
    assert is_out_of_memory(error) is is_it


@dataclass
class Full(FakeEngine):
    def accumulate(self, batch: Batch, weight: float = 1.0) -> float:
        raise MemoryError


class FullBase(FakeBase):
    def attach(self, spec: AdapterSpec | None, *, seed: int = 0, checkpointing: bool = False) -> FakeEngine:
        return Full(spec, super().attach(spec, seed=seed).random)


def test_a_run_without_memory_is_failed_with_the_sentence(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError) as caught:
        fake_train(make_config(tiny_model, tiny_data), "run", tmp_path, base=FullBase())
    identity = load_run("run", tmp_path).identity
    assert identity.status == "failed"
    assert identity.result["reason"] == str(caught.value)
    assert str(caught.value).startswith("out of memory: ")


SCRIPT = """
import resource, sys
from pathlib import Path
from runoff.engines import open_base
from runoff.training import train
from tests.support.runs import make_config
model, data, root = map(Path, sys.argv[1:])
settings = {"dtype": "float32", "batch_size": 64, "grad_accumulation_steps": 1, "trunk_cache": "off"}
base = open_base(model, engine="torch", dtype="float32")
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 60_000_000,) * 2)
try:
    train(make_config(model, data, **settings), "run", root=root, base=base)
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the limit is set by what /proc says")
def test_the_error_of_a_real_library_at_a_real_limit(tiny_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    data = make_data(tmp_path / "data", train=64)
    rows = data / "train.jsonl"
    rows.write_text(rows.read_text("utf-8").replace("Question", "Question " * 60), "utf-8")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tiny_model), str(data), str(tmp_path / "runs")],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'src'}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("EngineError out of memory: the run takes about "), done.stdout + done.stderr
    assert "With batch_size: " in done.stdout
    assert load_run("run", tmp_path / "runs").identity.status == "failed"
