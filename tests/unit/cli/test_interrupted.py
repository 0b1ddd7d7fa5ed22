"""Ctrl-C before a verb has begun, and no room for a library: no traceback, and an exit code that says which."""

from __future__ import annotations

import subprocess
import sys

import pytest

from runoff.cli import main

INTERRUPTED_AT_AN_IMPORT = """
import os, runpy, signal, sys

class Interrupting:
    def find_spec(self, name, *_):
        if name == sys.argv[0]:
            os.kill(os.getpid(), signal.SIGINT)

sys.argv[:] = sys.argv[1:]
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Interrupting())
runpy.run_module("runoff", run_name="__main__")
"""


@pytest.mark.parametrize("module", ["typer", "runoff.cli.train", "numpy"])
def test_ctrl_c_while_something_is_imported_ends_quietly(module: str) -> None:
    command = [sys.executable, "-c", INTERRUPTED_AT_AN_IMPORT, module, "train", "there-is-none.yaml"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr, ended.stdout) == (130, "", "")


def test_no_room_for_a_library_is_not_called_a_bug(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def app() -> None:
        raise ImportError("libtorch_cpu.so: failed to map segment from shared object")

    monkeypatch.setattr(main, "app", app)
    with pytest.raises(SystemExit) as ended:
        main.run()
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "runoff: out of memory (libtorch_cpu.so: failed to map segment from shared object). Close other programs, or "
        "raise the limit (ulimit -v).\n"
    )
