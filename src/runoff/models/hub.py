"""Models of the Hugging Face hub. Owns: what is fetched of a model, and the sentences when it can't be.

Must not: convert anything. The files stay in Hugging Face's own cache (HF_HOME), where other tools find them too.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread

from runoff.errors import ModelError
from runoff.models.folder import missing_parts

__all__ = ["cached_model", "hub_answers", "hub_model"]

_WANTED = ["*.json", "*.safetensors", "*.jinja", "*.model", "*.tiktoken", "merges.txt", "vocab.txt"]
_UNWANTED = ["*/*", "consolidated*", "*.gguf"]  # folders hold other forms of the same weights


def hub_model(repo: str, say: Callable[[str], None]) -> Path:
    """The folder of a model on the hub: the copy in the local cache if it is whole, else fetched."""
    if (folder := cached_model(repo)) is not None:
        return folder
    say(f"Fetching {repo} from the Hugging Face hub")
    folder = _fetch(repo)
    if missing := missing_parts(folder):
        how = "connect to the network, or choose a model that is published as safetensors with a tokenizer.json"
        raise ModelError(f'model "{repo}": the hub gave no {" and no ".join(missing)}; {how}.')
    return folder


def cached_model(repo: str) -> Path | None:
    """The folder in the local cache, or None where it is missing or only part of it is there; asks no network."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        folder = Path(snapshot_download(repo, local_files_only=True, allow_patterns=_WANTED, ignore_patterns=_UNWANTED))
        return None if missing_parts(folder) else folder
    except HFValidationError as error:
        raise ModelError(f'"{repo}" is not a name that the Hugging Face hub allows; check its spelling.') from error
    except (OSError, ValueError, ModelError):  # not there, or damaged
        return None


def hub_answers(repo: str, seconds: float) -> bool:
    """Whether the hub has the model and says so in time.

    The question is asked on a thread of its own because looking up a name on a broken network knows no timeout.
    """
    from huggingface_hub import HfApi

    answers: list[object] = []

    def ask() -> None:
        with suppress(Exception):  # whatever it is, the hub is of no use now, and the caller has another way
            answers.append(HfApi().model_info(repo, timeout=seconds))

    thread = Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return bool(answers)


def _fetch(repo: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        return Path(snapshot_download(repo, allow_patterns=_WANTED, ignore_patterns=_UNWANTED))
    except GatedRepoError as error:
        problem = "has to be asked for on its page on the hub; do so, then run `hf auth login`"
        raise ModelError(f'model "{repo}" {problem}.') from error
    except RepositoryNotFoundError as error:
        problem = "is neither a folder here nor a public model on the Hugging Face hub; check its spelling"
        raise ModelError(f'model "{repo}" {problem}, or run `hf auth login` if it is private.') from error
    except LocalEntryNotFoundError as error:
        raise ModelError(_unreachable(repo)) from error
    except Exception as error:  # the hub's client lets its HTTP library's errors through, and changes that library
        reason = (str(error).splitlines() or [""])[0] or type(error).__name__
        raise ModelError(
            f'model "{repo}" could not be fetched from the Hugging Face hub ({reason}); try again.'
        ) from error


def _unreachable(repo: str) -> str:
    from huggingface_hub.constants import HF_HUB_OFFLINE

    why = "HF_HUB_OFFLINE is set" if HF_HUB_OFFLINE else "the Hugging Face hub can't be reached"
    how = "unset it" if HF_HUB_OFFLINE else "connect to the network"
    return (
        f'model "{repo}": {why} and there is neither a folder of that name nor a whole copy in the local cache; '
        f"{how}, or give a model folder or a .gguf file."
    )
