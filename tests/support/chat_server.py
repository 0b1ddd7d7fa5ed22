"""A real HTTP server on this machine that speaks OpenAI's chat protocol, and misbehaves as its script says.

`think` makes the reply of a prompt. `faults` are used up one a request, before any reply: "500", "503", "429"
(with Retry-After: 7), "401", "garbage", "no-choices", "cut" (fewer bytes than promised), "drop", "slow" (nothing for
longer than a client should wait), "drip" (a byte at a time, for ever). None behaves well. With `once_each`
a prompt meets one fault at most, however many clients ask at once.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["Script", "chat_server"]

SLOW_SECONDS = 3.0


@dataclass
class Script:
    """What the server does, and what it was asked."""

    think: Callable[[str], str] = lambda _prompt: "VERDICT: TIE"
    faults: list[str | None] = field(default_factory=list)
    for_ever: str | None = None
    once_each: bool = False
    prompts: list[str] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    models: list[dict[str, Any]] = field(default_factory=lambda: [{"id": "referee", "object": "model", "created": 1}])
    address: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fault(self, prompt: str) -> str | None:
        with self.lock:
            if self.once_each and self.prompts.count(prompt) > 1:
                return None
            return self.faults.pop(0) if self.faults else self.for_ever


class Handler(BaseHTTPRequestHandler):
    """Plays the self.script."""

    script: Script
    protocol_version = "HTTP/1.0"  # a connection for each request: what a fault closes was not about to be used again

    def log_message(self, format: str, *args: object) -> None:
        return None

    def do_GET(self) -> None:
        self.send(200, json.dumps({"data": self.script.models}).encode() if self.script.models else b"")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        prompt = body["messages"][-1]["content"]
        with self.script.lock:
            self.script.bodies.append(body)
            self.script.prompts.append(prompt)
            self.script.headers.append(dict(self.headers))
        fault = self.script.fault(prompt)
        message = {"role": "assistant", "content": self.script.think(prompt)}
        reply = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode()
        if fault is None:
            self.send(200, reply)
        else:
            self.misbehave(fault, reply)

    def misbehave(self, fault: str, reply: bytes) -> None:
        if fault.isdecimal():
            extra = {"Retry-After": "7"} if fault == "429" else {}
            said = f"Incorrect API key provided: {self.headers.get('authorization', '')}"
            self.send(int(fault), json.dumps({"error": said}).encode(), extra)
        elif fault == "garbage":
            self.send(200, b"<html>\xff this is not JSON")
        elif fault == "no-choices":
            self.send(200, b'{"choices": []}')
        elif fault == "cut":
            self.send(200, reply[: len(reply) // 2], {"Content-Length": str(len(reply))})
        elif fault == "slow":
            time.sleep(SLOW_SECONDS)
        elif fault == "drip":
            self.drip()

    def drip(self) -> None:
        self.send(200, b"", {"Content-Length": "1000"})
        try:
            for _ in range(60):
                self.wfile.write(b" ")
                self.wfile.flush()
                time.sleep(0.05)
        except OSError:
            pass

    def send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        given = {"Content-Type": "application/json", "Content-Length": str(len(body)), **(headers or {})}
        for name, value in given.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


@contextmanager
def chat_server(script: Script) -> Iterator[Script]:
    """Serve until the end of the block; `script.address` is where."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"script": script}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    script.address = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield script
    finally:
        server.shutdown()
        server.server_close()
