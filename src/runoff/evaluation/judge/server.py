"""One call to an OpenAI-compatible chat server. Owns: timeouts, retries, what counts as an answer, the key's secrecy.

Must not: know what is asked, or keep anything. The key stands in a header and nowhere else.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from runoff.errors import RunoffError

if TYPE_CHECKING:
    import httpx2

__all__ = ["ChatServer", "JudgeUnavailable", "Messages", "NoAnswer", "Patience", "server_address"]

Messages = Sequence[Mapping[str, str]]
_LONGEST_BYTES = 4 * 1024**2
_MODELS = "/models"
_AGAIN = (408, 409, 425, 429)


class JudgeUnavailable(RunoffError):
    """The judge can't be asked at all: the server is down, or refuses every call."""


class NoAnswer(Exception):
    """One call came to nothing, after every attempt; str() says why."""


@dataclass(frozen=True, slots=True)
class Patience:
    """seconds: for one attempt, from first byte to last. The pause doubles from attempt to attempt, up to the longest;
    a server that names a time (Retry-After) is obeyed up to the longest pause, too."""

    seconds: float = 120.0
    attempts: int = 4
    pause_seconds: float = 1.0
    longest_pause_seconds: float = 60.0
    sleep: Callable[[float], None] = time.sleep


def server_address(url: str) -> str:
    """The address that paths are added to, without user, password or query.

    Raises:
        JudgeUnavailable: not an http address.
    """
    parts = urlsplit(url if "//" in url else f"http://{url}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise JudgeUnavailable(f"--judge {url}: is not an address such as http://localhost:8080/v1.")
    path = parts.path.rstrip("/").removesuffix("/chat/completions") or "/v1"
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, path, "", ""))


class ChatServer:
    """An OpenAI-compatible server and one of its models. `key` is sent as a bearer token."""

    def __init__(self, address: str, model: str, *, key: str | None = None, patience: Patience | None = None) -> None:
        import httpx2

        self.address, self.model, self.patience = address, model, patience or Patience()
        self._key = key
        self._given_up = False
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        local = urlsplit(address).hostname in ("localhost", "127.0.0.1", "::1")
        timeout = httpx2.Timeout(self.patience.seconds, connect=min(10.0, self.patience.seconds))
        self._client = httpx2.Client(headers=headers, timeout=timeout, trust_env=not local)

    def give_up(self) -> None:
        """Begin no further attempt; those that are under way end as they may."""
        self._given_up = True

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def fingerprint(self) -> str:
        """Identity of what answers: a hash of what /models says of the model, without its time stamps.

        Some servers say nothing there (mlx_lm.server without a Hugging Face cache): then the name has to do.

        Raises:
            JudgeUnavailable: nobody answers there, or the model is not served.
        """
        try:
            body = self._patiently("GET", _MODELS, None)
        except NoAnswer as error:
            raise JudgeUnavailable(f"the judge at {self.address} can't be asked: {error}.") from None
        models = [one for one in body.get("data") or [] if isinstance(one, dict)]
        own = next((one for one in models if one.get("id") == self.model), None)
        about = {key: value for key, value in (own or {"id": self.model}).items() if key != "created"}
        return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]

    def ask(self, messages: Messages, sampling: Mapping[str, Any]) -> str:
        """The text of the reply; empty if the model said nothing.

        Raises:
            NoAnswer: every attempt failed in a way that may pass.
            JudgeUnavailable: the server refuses such calls altogether.
        """
        body = {"model": self.model, "messages": list(messages), "stream": False, **sampling}
        reply = self._patiently("POST", "/chat/completions", body)
        return str(reply["choices"][0]["message"].get("content") or "")

    def _patiently(self, method: str, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        """The JSON object of the reply, after as many attempts as patience allows."""
        pause, why = self.patience.pause_seconds, ""
        for attempt in range(self.patience.attempts):
            if attempt:
                self.patience.sleep(pause)
            if self._given_up:
                raise NoAnswer("the judging has ended")
            wanted, why, found = self._once(method, path, body)
            if found is not None:
                return found
            pause = max(wanted, self.patience.pause_seconds * 2**attempt)
            pause = min(pause, self.patience.longest_pause_seconds)
        raise NoAnswer(f"{why}, {self.patience.attempts} times")

    def _once(self, method: str, path: str, body: Mapping[str, Any] | None) -> tuple[float, str, dict[str, Any] | None]:
        """(seconds to wait at least, what went wrong, the reply): one of the last two counts."""
        import httpx2

        try:
            with self._client.stream(method, self.address + path, json=body) as response:
                raw = self._read(response)
                status, wait = response.status_code, _retry_after(response.headers.get("retry-after"))
        except TimeoutError:
            return 0.0, f"no whole answer within {self.patience.seconds:g} s", None
        except httpx2.TimeoutException:
            return 0.0, f"no answer within {self.patience.seconds:g} s", None
        except httpx2.TransportError as error:
            if path == _MODELS and isinstance(error, httpx2.ConnectError):  # the first contact: nobody to wait for
                raise JudgeUnavailable(f"nobody answers at {self.address} ({error}). Start the server.") from None
            return 0.0, self._hidden(f"the connection failed ({type(error).__name__}: {error})"), None
        if status in _AGAIN or status >= 500:
            return wait, f"the server answered {status}", None
        if path == _MODELS and status in (200, 404, 405):
            return 0.0, "", _reply(raw, wants_choice=False) or {}
        if status >= 400:
            said = " ".join(raw.decode("utf-8", "replace").split())[:200]
            raise JudgeUnavailable(self._hidden(f"the judge at {self.address} refuses the call ({status}: {said})."))
        found = _reply(raw, wants_choice=True)
        return wait, "" if found is not None else "the answer is not what a chat server sends", found

    def _read(self, response: httpx2.Response) -> bytes:
        """The whole body. Raises TimeoutError where it drips in for longer than an attempt may take."""
        start, raw = time.monotonic(), bytearray()
        for chunk in response.iter_bytes():
            raw += chunk
            if time.monotonic() - start > self.patience.seconds or len(raw) > _LONGEST_BYTES:
                raise TimeoutError
        return bytes(raw)

    def _hidden(self, text: str) -> str:
        """Servers like to repeat the key that they refuse."""
        return text.replace(self._key, "(the key)") if self._key else text


def _reply(raw: bytes, *, wants_choice: bool) -> dict[str, Any] | None:
    """The JSON object, if it has what is wanted of it."""
    try:
        body = json.loads(raw)
        whole = isinstance(body, dict) and (not wants_choice or isinstance(body["choices"][0]["message"], dict))
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        return None
    return body if whole else None


def _retry_after(value: str | None) -> float:
    """Seconds from now; 0 where nothing readable is given."""
    if not value:
        return 0.0
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 0.0
