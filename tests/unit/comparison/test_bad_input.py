"""Half runs, edited records, damaged files: a sentence or a finding, no traceback, and no number out of nothing."""

from __future__ import annotations

import json
import math
import platform
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.golden.comparison.said import lines
from tests.support.run_folders import Told, make_run, random_losses, scored

from runoff.cli.main import run as command_line
from runoff.comparison import Decision, compare, verdict
from runoff.errors import RunoffError
from runoff.report import Report, report
from runoff.runs import MetricRow, load_run

LOSSES = random_losses(1)
NAN_ROW = MetricRow("train", 110, 27, 2.2, math.nan, target_tokens=20000)


def pair(root: Path) -> tuple[Path, Path]:
    """Two whole runs, evaluated on the same rows."""
    rows = {50: scored(LOSSES[:40]), 100: scored(LOSSES[:40] + 0.01)}
    for name, shift in (("long", 0.0), ("short", 0.2)):
        make_run(root, name, Told(validation_rows=rows), losses=LOSSES + shift)
    return root / "long", root / "short"


def compared(root: Path) -> Report:
    comparison = compare([load_run(root / "long"), load_run(root / "short")])
    return report(comparison, verdict(comparison))


def said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: object) -> tuple[int, str]:
    """What the command line prints, and its exit code."""
    monkeypatch.setattr(sys, "argv", ["runoff", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        command_line()
    captured = capsys.readouterr()
    code = ended.value.code
    return (code if isinstance(code, int) else 1 if code else 0), captured.out + captured.err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["long"], "a comparison needs two runs or more. Name another one; `runoff runs` lists them."),
        (["long", "shorr"], "shorr: no such run; did you mean short?"),
        (["long", "lo"], "lo: no such run; did you mean long?"),
        (["long", "half"], "is no run (it has no run.json)."),
        (["long", "planless"], "is half a run (it has no plan.json)."),
        (["long", "newer"], "written by a newer Runoff (record version 99, this one reads up to 1)"),
        (["long", "ageless"], "is not as Runoff writes it (it has no schema_version)."),
        (["long", "short", "--margin", "0"], "the margin must be above 0, not 0."),
        (["long", "short", "--aim", "fame"], "--aim fame: is none of generalization, style, keep-base, balanced."),
        (["long", "short", "--baseline", "x"], "--baseline x: is not one of the compared runs (long, short)."),
        (["long", "short", "--replicates"], "no two of these runs differ in nothing but their seed"),
        (["long", "short", "-o", "{root}/taken/report"], "could not be written"),
    ],
)
def test_one_sentence_and_exit_code_2(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    sentence: str,
) -> None:
    pair(tmp_path)
    (tmp_path / "half").mkdir()
    (tmp_path / "taken").write_text("a file")
    shutil.copytree(tmp_path / "long", tmp_path / "planless")
    (tmp_path / "planless" / "plan.json").unlink()
    for name, version in (("newer", 99), ("ageless", None)):
        shutil.copytree(tmp_path / "long", tmp_path / name)
        body = json.loads((tmp_path / name / "run.json").read_text()) | {"schema_version": version}
        (tmp_path / name / "run.json").write_text(json.dumps(body))
    filled = [word.format(root=tmp_path) for word in words]
    code, text = said(capsys, monkeypatch, "compare", *filled, "--runs", tmp_path)
    assert code == 2
    assert sentence in " ".join(text.split())
    assert "Traceback" not in text


def test_a_record_edited_by_hand_is_found_out(tmp_path: Path) -> None:
    long, short = pair(tmp_path)
    assert not any("changed after" in line for line in lines(compared(tmp_path)))
    plan = (long / "plan.json").read_text()
    (long / "plan.json").write_text(plan.replace('"value": 100', '"value": 300', 1))
    with (short / "metrics.jsonl").open("a") as metrics:
        metrics.write('{"kind": "validation", "iteration": 101, "nats_per_target_token": 0.1}\n')
    told = "\n".join(lines(compared(tmp_path)))
    assert "long's record was changed after the run had ended (plan.json)" in told
    assert "short's record was changed after the run had ended (metrics.jsonl)" in told


def test_edited_test_rows_block_the_ranking(tmp_path: Path) -> None:
    _, short = pair(tmp_path)
    rows = short / "evaluations" / "testset" / "rows.jsonl"
    bodies = [json.loads(line) for line in rows.open()]
    rows.write_text("".join(json.dumps(body | {"nats": body["nats"] / 2}) + "\n" for body in bodies))
    comparison = compare([load_run(tmp_path / "long"), load_run(short)])
    found = verdict(comparison)
    assert (found.decision, found.ship) == (Decision.NOT_COMPARABLE, None)
    assert any("stored test rows were changed by hand (rows.jsonl)" in text.text for text in found.because)


def test_a_test_row_of_nan_ranks_nothing(tmp_path: Path) -> None:
    make_run(tmp_path, "long", losses=LOSSES)
    broken = LOSSES.copy()
    broken[3] = math.nan
    make_run(tmp_path, "short", losses=broken)
    finished = compared(tmp_path)
    assert (finished.decision, finished.ship) == ("insufficient evidence", None)
    assert (
        "Insufficient evidence: short's evaluation holds 1 loss that is not a number, so none is recommended."
        in list(lines(finished))
    )


def test_a_run_still_going_is_compared_as_far_as_it_went(tmp_path: Path) -> None:
    make_run(tmp_path, "long", losses=LOSSES)
    make_run(tmp_path, "short", Told(identity={"status": "running"}))
    wanted = "short is still running (iteration 100 of 100); it is compared as far as it went."
    assert any(wanted in line for line in lines(compared(tmp_path)))
    lock = {"process": 2**22 + 1, "host": platform.node()}  # above Linux's highest
    (tmp_path / "short" / ".lock").write_text(json.dumps(lock))
    told = list(lines(compared(tmp_path)))
    assert not any(wanted in line for line in told)
    assert any("short was killed (iteration 100 of 100); it is compared as far as it went." in line for line in told)


def test_nan_among_the_metrics_is_counted_and_kept_out_of_every_number(tmp_path: Path) -> None:
    make_run(tmp_path, "long", losses=LOSSES)
    make_run(tmp_path, "short", Told(metrics=(*Told().metrics, NAN_ROW)), losses=LOSSES)
    told = list(lines(compared(tmp_path)))
    assert "short: 1 reported loss is not a number (nan or inf)." in told
    assert not any("nan" in line.split() for line in told)


def report_or_sentence(root: Path) -> Report | str:
    try:
        return compared(root)
    except RunoffError as error:
        return str(error)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "gone": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "binary": lambda path: path.write_bytes(bytes(range(256)) * 4),
    "null": lambda path: path.write_text("null\n"),
    "list": lambda path: path.write_text("[1, 2]\n"),
    "object": lambda path: path.write_text("{}\n"),
    "one row": lambda path: path.write_text(path.read_text().splitlines()[0] + "\n"),
    "numbers as words": lambda path: path.write_text(
        path.read_text().replace(": 1", ': "one').replace(": 2", ": null")
    ),
}
FILES = (
    "run.json", "plan.json", "metrics.jsonl", "config.yaml", "validation/0000050.jsonl",
    "evaluations/testset/rows.jsonl", "evaluations/testset/base.jsonl", "evaluations/testset/evaluation.json",
    "evaluations/testset/examples.jsonl",
    "adapter/adapter_model.safetensors",
)  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", FILES)
def test_whatever_is_damaged_there_is_a_report_or_one_sentence(tmp_path: Path, name: str, damage: str) -> None:
    _, short = pair(tmp_path)
    before = (short / name).read_bytes()
    DAMAGES[damage](short / name)
    if (short / name).exists() and (short / name).read_bytes() == before:
        return
    finished = report_or_sentence(tmp_path)
    if isinstance(finished, str):
        assert "\n" not in finished
        assert "short" in finished
        return
    measured = name.startswith(("evaluations/testset/rows", "evaluations/testset/base", "adapter"))
    assert finished.ship in ((None,) if measured else (None, "long"))
