"""What a model may be called, and the cache: made once, whole or not at all, at no cost the second time."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from tests.support import tiny_gguf as tiny

from runoff.errors import ModelError
from runoff.models import get_model, gguf_convert, gguf_weights
from runoff.models.cache import made_once, models_home


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RUNOFF_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "models"


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    return tiny.write_tiny(tmp_path / "Tiny Llama.F32.gguf")


def complaint(name: str | Path) -> str:
    with pytest.raises(ModelError) as raised:
        get_model(str(name))
    sentence = str(raised.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


def model_folder(path: Path, *files: str) -> Path:
    path.mkdir()
    for file in files:
        (path / file).write_text("{}")
    return path


# --- names ----------------------------------------------------------------------------------------------------------


def test_a_folder_is_given_back_as_it_is(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "m", "config.json", "model.safetensors", "tokenizer.json")
    assert get_model(str(folder)) == folder


def test_a_home_folder_may_be_written_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = model_folder(tmp_path / "m", "config.json", "model.safetensors", "tokenizer.json")
    assert get_model("~/m") == folder


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (("model.safetensors", "tokenizer.json"), "config.json missing; download the model again"),
        (("config.json", "tokenizer.json"), "*.safetensors missing; download the model again"),
        (("config.json", "model.safetensors"), "tokenizer.json missing; download the model again"),
        ((), "config.json and tokenizer.json and *.safetensors missing; download"),
        (("config.json", "tokenizer.json", "pytorch_model.bin"), "unpickles nothing"),
        (("adapter_config.json", "adapter_model.safetensors"), "this is an adapter"),
        (("a.gguf", "b.gguf"), "give the file itself, "),
        (("runoff_model.json", "config.json"), "delete this folder"),
    ],
)
def test_what_a_folder_lacks_is_said_and_what_to_do(files: tuple[str, ...], words: str, tmp_path: Path) -> None:
    assert words in complaint(model_folder(tmp_path / "m", *files))


def test_every_shard_has_to_be_there(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "m", "config.json", "tokenizer.json", "model-00001-of-00002.safetensors")
    index = folder / "model.safetensors.index.json"
    index.write_text(
        json.dumps({"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}})
    )
    assert "model-00002-of-00002.safetensors missing" in complaint(folder)
    (folder / "model-00002-of-00002.safetensors").touch()
    assert get_model(str(folder)) == folder
    index.write_text("{")
    assert "not a list of weight files" in complaint(folder)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "empty"),
        ("a\0b", "no name at all"),
        ("no such model", "no such folder or file"),
        ("./nowhere/at-all", "no such folder or file"),
        ("~nobody-of-that-name/m", "no home folder"),
        ("nowhere/model.gguf", "there is no such file"),
        ("nowhere/MODEL.GGUF", "there is no such file"),
    ],
)
def test_a_name_of_nothing_gets_a_sentence(name: str, words: str) -> None:
    assert words in complaint(name)


def test_a_file_of_another_kind_gets_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "model.bin").touch()
    assert "this is neither" in complaint(tmp_path / "model.bin")


# --- making ---------------------------------------------------------------------------------------------------------


def test_a_gguf_becomes_a_whole_folder_with_a_record(gguf: Path, home: Path) -> None:
    said: list[str] = []
    folder = get_model(str(gguf), progress=said.append)

    assert folder.parent == home
    assert folder.name.startswith("Tiny-Llama-F32-")
    assert {file.name for file in folder.iterdir()} == {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "runoff_model.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert said == ["Converting Tiny Llama.F32.gguf"]
    with safe_open(folder / "model.safetensors", framework="np") as file:
        np.testing.assert_array_equal(
            file.get_tensor("model.embed_tokens.weight"), tiny.tiny_tensors()["token_embd.weight"]
        )
    record = json.loads((folder / "runoff_model.json").read_text())
    assert record == {
        "source": "Tiny Llama.F32.gguf",
        "source_sha256": sha256(gguf),
        "converter": gguf_convert.CONVERTER,
        "details": {"dtype": "float32"},
    }


def sha256(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_second_call_costs_nothing(gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = get_model(str(gguf))
    monkeypatch.setattr(gguf_convert, "sha256_of", None)
    monkeypatch.setattr(gguf_convert, "convert_gguf", None)
    start = time.perf_counter()
    second = get_model(str(gguf), progress=pytest.fail)
    assert time.perf_counter() - start < 0.05
    assert second == first


def test_another_file_of_the_same_name_is_another_model(gguf: Path, tmp_path: Path) -> None:
    first = get_model(str(gguf))
    tiny.write_tiny(gguf, tensors={"output_norm.weight": np.ones(tiny.HIDDEN, np.float32)})
    assert get_model(str(gguf)) != first
    assert first.is_dir()


def test_a_damaged_folder_in_the_cache_is_named_and_not_mended_silently(gguf: Path) -> None:
    folder = get_model(str(gguf))
    (folder / "model.safetensors").unlink()
    assert "delete this folder, and Runoff makes it again" in complaint(gguf)


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), SystemExit(1), RuntimeError("a bug")])
def test_an_interruption_leaves_nothing(
    failure: BaseException, gguf: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(gguf_weights, "_values", interrupted_at(10, failure))
        with pytest.raises(type(failure)):
            get_model(str(gguf))
    assert leftovers(home) == []
    assert get_model(str(gguf)).is_dir()


def interrupted_at(count: int, failure: BaseException) -> Callable[..., Any]:
    whole, calls = gguf_weights._values, iter(range(count))

    def values(tensor: Any, plan: Any) -> Any:
        if next(calls, None) is None:
            raise failure
        return whole(tensor, plan)

    return values


def leftovers(home: Path) -> list[str]:
    return [entry.name for entry in home.iterdir() if not entry.name.endswith(".lock")]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EACCES, "not writable"),
        (errno.EIO, "could not be kept there"),
    ],
)
def test_a_disk_that_refuses_gets_a_sentence(
    code: int, words: str, gguf: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gguf_weights, "_values", interrupted_at(10, OSError(code, os.strerror(code))))
    sentence = complaint(gguf)
    assert words in sentence
    assert "RUNOFF_HOME" in sentence
    assert str(home) in sentence
    assert leftovers(home) == []


def test_a_home_that_is_a_file_gets_a_sentence(gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNOFF_HOME", str(gguf))
    assert "set RUNOFF_HOME" in complaint(gguf)


def test_the_cache_is_the_users_own_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNOFF_HOME")
    monkeypatch.setenv("HOME", "/somewhere")
    assert models_home() == Path("/somewhere/.cache/runoff/models")


# --- other processes ------------------------------------------------------------------------------------------------


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_what_a_killed_process_left_is_cleared_and_what_a_living_one_makes_is_not(home: Path) -> None:
    killed = subprocess.run(
        python(
            "import os, signal\nfrom runoff.models.cache import made_once\n"
            "def make(folder):\n"
            "    (folder / 'half').touch()\n"
            "    os.kill(os.getpid(), signal.SIGKILL)\n"
            "made_once('dead', make)"
        ),
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert leftovers(home) == [".dead.part"]
    with living():
        made_once("other", fill)
        assert sorted(leftovers(home)) == [".living.part", "other"]


@contextmanager
def living() -> Iterator[None]:
    """A process that is in the midst of making a model."""
    code = (
        "import sys\nfrom runoff.models.cache import made_once\n"
        "made_once('living', lambda folder: (print('begun', flush=True), sys.stdin.read()))"
    )
    with subprocess.Popen(python(code), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        yield
        process.kill()


def fill(folder: Path) -> None:
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (folder / name).write_text("{}")


def test_two_processes_at_once_make_it_once(gguf: Path) -> None:
    code = f"from runoff.models import get_model\nprint(get_model({str(gguf)!r}, progress=print))"
    both = [subprocess.Popen(python(code), stdout=subprocess.PIPE, text=True) for _ in range(2)]
    lines = [process.communicate()[0].splitlines() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted(map(len, lines)) == [1, 2]
    assert lines[0][-1] == lines[1][-1]


def test_importing_costs_nothing() -> None:
    heavy = ("numpy", "gguf", "tokenizers", "safetensors", "huggingface_hub", "torch", "transformers")
    code = f"import sys, runoff.models\nprint([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run(python(code), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
