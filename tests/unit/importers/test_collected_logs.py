"""Logs as collectors, shells and terminals keep them, and folders with more in them than a run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.importers.given import old_log, one, read, write

from runoff.errors import ImportFailed
from runoff.importers import import_runs

CONSOLE = (
    "iter   train_loss     tok/s     tokens\n   1    val 6.865    0.48s\n   5    6.825 ▼       89      0.6k\n"
    "  save  0000010_adapters.safetensors\n"
)
PREFIXES = [
    "[2026-11-25 10:00:00,123] [INFO] ",
    "2026-11-25T10:00:00.123Z stdout F ",
    "Nov 25 10:00:00 host python[123]: ",
    "[rank0]: ",
    "trainer-1  | ",
    "10:00:00 ",
]


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("text", [CONSOLE, old_log()])
def test_what_a_collector_puts_before_each_line(prefix: str, text: str, tmp_path: Path) -> None:
    plain = read(write(tmp_path / "a.log", text))
    found = read(write(tmp_path / "b.log", "".join(prefix + line for line in text.splitlines(keepends=True))))
    told = [
        [(row.kind, row.iteration, row.nats_per_target_token) for row in one.facts[0].rows] for one in (plain, found)
    ]
    assert told[0] == told[1] != []
    assert found.tally.not_understood == 0


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_with_and_without_its_mark(encoding: str, tmp_path: Path) -> None:
    raw = CONSOLE.replace("\n", "\r\n").encode(encoding)
    path = write(tmp_path / "a.log", b"\xfe\xff" + raw if encoding == "utf-16-be" else raw)
    assert [row.kind for row in read(path).facts[0].rows] == ["validation", "train", "checkpoint"]


def test_runs_of_our_own_and_readmes_are_not_taken_for_logs(tmp_path: Path) -> None:
    work = tmp_path / "work"
    write(work / "train.log", old_log())
    write(work / "README.md", "It printed:\n\n" + old_log())
    for _ in range(2):
        report = import_runs([work], root=work / "runs")
        assert [one.name for one in report.files] == ["work/train.log"]
    assert [imported.new for imported in report.imported] == [False]
    assert len(import_runs([work / "README.md"], root=tmp_path / "other").runs) == 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"columns": {"a": "b"}}, "--column a=b: can't map to a"),
        ({"name": "a b/c"}, "--name a b/c: can't be a run name. Write e.g. a-b-c."),
        ({"tool": "mlxlm@0.28.3"}, r"--tool mlxlm@0.28.3: did you mean mlx-lm\?"),
    ],
)
def test_an_option_that_can_not_be_meant_is_refused_whatever_the_files(
    options: dict[str, object], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(ImportFailed, match=sentence):
        one(tmp_path, write(tmp_path / "a.log", old_log()), **options)


def test_names_that_the_locale_can_not_say(tmp_path: Path) -> None:
    path = write(tmp_path / "Ärger" / "läuft.log", old_log())
    plain = {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "runoff", "import", str(path), "--name", "a", "--runs", str(tmp_path / "runs")]
    done = subprocess.run(command, check=False, capture_output=True, env=os.environ | plain)
    assert (done.returncode, done.stderr) == (0, b"")
    assert '"läuft.log"' in (tmp_path / "runs" / "a" / "run.json").read_text("utf-8")
    assert (tmp_path / "runs" / "a" / "source" / "läuft.log").read_text("utf-8") == old_log()
