"""The page to vote on, served to this machine alone. Owns: HTTP, the token, what the page may know.

It listens on 127.0.0.1, answers nothing without the token in the path, and names no run before the end. Must not:
decide what is shown (evaluation/votes/voting.py).
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any

from runoff.errors import RunError, RunoffError
from runoff.evaluation.votes.poll import shown_text
from runoff.evaluation.votes.record import CHOICES, Choice
from runoff.evaluation.votes.sentences import ended_sentences, standing
from runoff.evaluation.votes.voting import Stale, Voting
from runoff.plain_text import visible

__all__ = ["VoteServer", "state"]

_LONGEST_BYTES = 4096


def state(voting: Voting) -> dict[str, Any]:
    """What the page shows now: a question with two answers, or that it has ended and, if the voter wished, how."""
    ballot = voting.show()
    if ballot is None:
        return {"ended": True, "revealed": voting.revealed, "sentences": ended_sentences(voting)}
    poll = voting.poll
    return {
        "ended": False,
        "ballot": ballot.id,
        "question": visible(poll.answer(ballot.left, ballot.example).question),
        "left": shown_text(poll.answer(ballot.left, ballot.example).text),
        "right": shown_text(poll.answer(ballot.right, ballot.example).text),
        "anchors": [shown_text(text) for text in poll.anchors[ballot.example]],
        "progress": voting.progress.share,
        "standing": standing(voting),
        "undo": voting.can_undo,
    }


class VoteServer:
    """Serves one voter until the voting has ended. Use as a context; `wait` returns when it is over."""

    def __init__(self, voting: Voting, *, port: int = 0) -> None:
        """Raises RunError if the port is taken. port: 0 takes a free one."""
        self.voting, self._token, self._lock = voting, secrets.token_urlsafe(24), threading.Lock()
        self._over = threading.Event()
        try:
            self._server = _Listener(("127.0.0.1", port), self)
        except OSError as error:
            raise RunError(f"--port {port}: can't be listened on ({error.strerror}). Choose another one.") from None

    @property
    def address(self) -> str:
        """Where the page is; who has it may vote."""
        return f"http://127.0.0.1:{self._server.server_port}/{self._token}/"

    def __enter__(self) -> VoteServer:
        """Start to listen."""
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_exception: object) -> None:
        """Stop to listen."""
        self._server.shutdown()
        self._server.server_close()

    def wait(self, seconds: float | None = None) -> bool:
        """Until the page was told that the voting has ended; False after so many seconds."""
        return self._over.wait(seconds)

    def route(self, path: str) -> str | None:
        """The part of the path behind the token; None where the token is missing or wrong."""
        token, _, rest = path.removeprefix("/").partition("/")
        return rest if secrets.compare_digest(token.encode(), self._token.encode()) else None

    def local(self, host: str | None) -> bool:
        """Whether the page was asked for under this machine's own name: another name is a rebound one."""
        port = self._server.server_port
        return host in (f"127.0.0.1:{port}", f"localhost:{port}")

    def act(self, action: Callable[[Voting], None] | None = None) -> tuple[HTTPStatus, dict[str, Any]]:
        """Do something with the voting, and what to show after it. One request at a time."""
        with self._lock:
            status = HTTPStatus.OK
            try:
                if action:
                    action(self.voting)
            except Stale:
                status = HTTPStatus.CONFLICT
            except RunoffError as error:
                return HTTPStatus.INTERNAL_SERVER_ERROR, {"error": str(error)}
            return status, state(self.voting)

    def told(self, body: dict[str, Any]) -> None:
        """The page has received this."""
        if body.get("ended"):
            self._over.set()


def _action(name: str, body: dict[str, Any]) -> Callable[[Voting], None] | None:
    """What a request asks for; None if it is nothing that we know."""
    if name == "vote" and body.get("choice") in CHOICES and isinstance(body.get("ballot"), str):
        choice: Choice = body["choice"]
        return lambda voting: voting.vote(body["ballot"], choice)
    if name == "undo":
        return lambda voting: voting.undo()
    if name == "end" and isinstance(body.get("reveal"), bool):
        return lambda voting: voting.end(reveal=body["reveal"])
    return None


class _Listener(ThreadingHTTPServer):
    """Hands each request the votes that it is about."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], votes: VoteServer) -> None:
        self.votes = votes
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    """One request."""

    server: _Listener

    timeout = 30

    def do_GET(self) -> None:
        """The page, or what it shows now."""
        route = self._route()
        if route == "":
            self._send(HTTPStatus.OK, _page().encode(), "text/html; charset=utf-8")
        elif route == "state":
            self._answer(*self.server.votes.act())
        elif route is not None:
            self._answer(HTTPStatus.NOT_FOUND, {"error": "there is nothing here"})

    def do_POST(self) -> None:
        """A vote, an undo, or the end."""
        route = self._route()
        if route is None:
            return
        body = self._body()
        action = _action(route, body) if body is not None else None
        if action is None:
            self._answer(HTTPStatus.BAD_REQUEST, {"error": "this is not a vote"})
        else:
            self._answer(*self.server.votes.act(action))

    def _route(self) -> str | None:
        route = self.server.votes.route(self.path)
        if route is None or not self.server.votes.local(self.headers.get("Host")):
            self._answer(HTTPStatus.FORBIDDEN, {"error": "open the address that the terminal printed"})
            return None
        return route

    def _body(self) -> dict[str, Any] | None:
        """The JSON object that was sent, if there is one."""
        length = self.headers.get("Content-Length", "")
        if not (length.isdecimal() and int(length) <= _LONGEST_BYTES):
            return None
        try:
            body = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            return None
        return body if isinstance(body, dict) and self.headers.get_content_type() == "application/json" else None

    def _answer(self, status: HTTPStatus, body: dict[str, Any]) -> None:
        self._send(status, json.dumps(body).encode(), "application/json")
        self.server.votes.told(body)

    def _send(self, status: HTTPStatus, content: bytes, kind: str) -> None:
        self.send_response(status)
        headers = {
            "Content-Type": kind,
            "Content-Length": str(len(content)),
            "Content-Security-Policy": _policy(),
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "Cross-Origin-Resource-Policy": "same-origin",
        }
        for name, value in headers.items():
            self.send_header(name, value)
        with suppress(ConnectionError):  # the window was closed meanwhile
            self.end_headers()
            self.wfile.write(content)

    def log_message(self, *_message: object) -> None:
        """Say nothing: the terminal belongs to the command."""


@cache
def _page() -> str:
    """The whole page; it holds no answer and no name, only the script that asks for them."""
    return _part("page.html").replace("/*style*/", _part("page.css")).replace("/*script*/", _part("page.js"))


def _policy() -> str:
    style, script = _hash(_part("page.css")), _hash(_part("page.js"))
    return (
        f"default-src 'none'; style-src '{style}'; script-src '{script}'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


@cache
def _part(name: str) -> str:
    return files("runoff.evaluation.votes").joinpath("page", name).read_text("utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
