"""What is typed wrongly is refused in one sentence with a fix: no traceback, no option that does nothing."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.run_folders import make_run, random_losses
from tests.support.runs import chat_row, make_data, write_rows
from typer.testing import CliRunner

import runoff.runs
from runoff.cli.main import app, run
from runoff.errors import RunoffError


def refused(*words: object) -> str:
    """The sentence; asserts that it is the user's to mend."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert isinstance(result.exception, RunoffError), result.output
    assert "\n" not in str(result.exception)
    return str(result.exception)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("a", "b"):
        make_run(tmp_path / "runs", name, losses=random_losses(1, sources=2))
    return tmp_path / "runs"


IDLE = {
    "evaluate": ("--generate", ["--prompts", "p.yaml"], ["--questions", "5"], ["--sampled", "1"], ["--measure", "m:f"]),
    "evaluate ": ("--judge", ["--judge-offline"], ["--judge-model", "m"], ["--judge-questions", "2"]),
    "evaluate  ": ("--harness", ["--harness-limit", "2"]),
    "generate": ("--temperature above 0", ["--top-p", "0.5", "-p", "hi"], ["--seed", "1", "-p", "hi"]),
    "side-by-side": ("--prompts", ["--max-tokens", "5"]),
}


@pytest.mark.parametrize("verb", IDLE)
def test_an_option_that_would_do_nothing_is_refused(verb: str, root: Path) -> None:
    needed, *given = IDLE[verb]
    for options in given:
        said = refused(verb.strip(), "a", "--runs", root, *options)
        assert said == f"{options[0]} has no effect without {needed}. Add that, or leave this out."


def test_a_file_in_the_place_of_the_output_folder_is_named(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "afile"
    file.write_text("")
    for out in (file, file / "below"):
        said = refused("compare", "a", "b", "--runs", root, "-o", out)
        assert said.startswith(f"{file}: is a file, so ")
        assert said.endswith("could not be written below it. Choose another folder.")
    assert file.read_text() == ""


def test_brief_prints_the_first_section_alone_with_or_without_a_report(root: Path, tmp_path: Path) -> None:
    asked = ["compare", "a", "b", "--runs", str(root)]
    whole, brief, written = (
        CliRunner().invoke(app, [*asked, *more]).output
        for more in ([], ["--brief"], ["--brief", "-o", str(tmp_path / "out")])
    )
    assert whole.startswith(brief)
    assert len(brief) < len(whole)
    assert written.startswith(brief)


def test_a_text_in_a_filter_goes_in_quotes(root: Path) -> None:
    said = refused("runs", "--runs", root, "--where", "status == finished")
    assert said.startswith("--where: no run has finished; a text stands in quotes ('finished'), and ")


def test_an_empty_name_is_no_name(tmp_path: Path, tiny_model: Path, tiny_data: Path) -> None:
    config = tmp_path / "run.yaml"
    config.write_text(f"model: {tiny_model}\ndata: {tiny_data}\n")
    assert refused("train", config, "--name", "", "--runs", tmp_path / "runs").startswith("'' can't be a run name: ")


def test_what_is_a_run_already_is_not_imported(root: Path) -> None:
    assert refused("import", root / "a") == f"{root / 'a'}: is a run already. To see it: runoff show {root / 'a'}."
    assert refused("import", root) == f"{root}: holds runs already. To see them: runoff runs --runs {root}."


def test_a_split_of_one_file_given_twice_or_of_no_source(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", [chat_row(number) for number in range(9)])
    again = tmp_path / "." / "rows.jsonl"
    out = tmp_path / "out"
    assert refused("data", "split", rows, again, "--out", out) == (
        f"{rows}: is named twice, so every row would count twice. Name it once."
    )
    assert refused("data", "split", rows, "--out", out, "--source", "chaptr") == (
        "--source chaptr: no row has this field. Name one that the rows have, or leave it out."
    )
    assert not out.exists()


def test_a_prompt_that_is_a_file_name_is_not_asked(root: Path) -> None:
    assert refused("generate", "a", "--runs", root, "-p", "questions.txt") == (
        "questions.txt: no such file. Prompts are a .jsonl or .yaml file, or one question."
    )


def test_a_name_that_no_file_can_have_is_no_bug(tmp_path: Path) -> None:
    name = "x" * 300
    done = subprocess.run(
        [sys.executable, "-m", "runoff", "show", name, "--runs", str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.endswith("x...: no file can have this name (File name too long).\n")


def test_a_run_in_the_place_of_an_adapter_is_refused_with_its_adapter(root: Path, tmp_path: Path) -> None:
    make_data(tmp_path / "data")
    said = refused("adapter", "convert", root / "a" / "run.json", tmp_path / "out", "--to", "mlx")
    assert said.startswith(f"{root / 'a' / 'run.json'}: has no adapter_config.json")


def test_what_may_not_be_read_is_not_called_unwritable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "data/train.jsonl")

    monkeypatch.setattr(runoff.runs, "load_run", refuse)
    monkeypatch.setattr(sys, "argv", ["runoff", "show", "a", "--runs", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        run()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said == "runoff: data/train.jsonl: Permission denied. Check who may read and write there.\n"
