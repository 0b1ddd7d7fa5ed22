"""The page's server, asked by a real HTTP client: what it tells, what it refuses, and when it ends."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.polls import QUESTIONS, Booth, answered, booth, chooses

from runoff.errors import RunError
from runoff.evaluation.votes import open_poll
from runoff.evaluation.votes.server import VoteServer

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def asked(
    address: str, body: object = None, *, raw: bytes | None = None, **headers: str
) -> tuple[int, dict[str, Any] | str]:
    """Status and JSON (or text) of a GET, or of a POST of this body."""
    sent = raw if raw is not None else json.dumps(body).encode() if body is not None else None
    kind = {"Content-Type": "application/json"} if sent is not None else {}
    request = urllib.request.Request(address, sent, {**kind, **{k.replace("_", "-"): v for k, v in headers.items()}})
    try:
        with OPENER.open(request, timeout=10) as answer:
            text, status, kind_of = answer.read().decode(), answer.status, answer.headers["Content-Type"]
    except urllib.error.HTTPError as error:
        text, status, kind_of = error.read().decode(), error.code, error.headers["Content-Type"]
    return status, json.loads(text) if kind_of == "application/json" else text


@pytest.fixture
def made(tmp_path: Path) -> Booth:
    return booth(tmp_path)


@pytest.fixture
def server(made: Booth) -> Iterator[VoteServer]:
    with VoteServer(made.voting()) as running:
        yield running


def shown(server: VoteServer) -> dict[str, Any]:
    status, found = asked(server.address + "state")
    assert status == 200
    assert isinstance(found, dict)
    return found


def test_the_page_is_whole_and_allows_nothing_but_its_own_parts(server: VoteServer) -> None:
    with OPENER.open(server.address) as answer:
        page, policy = answer.read().decode(), answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "connect-src 'self'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"""(src|href)=["'](?!data:,)""", page)
    assert "minutes" not in page


def test_the_state_holds_two_answers_and_no_name(server: VoteServer, made: Booth) -> None:
    state = shown(server)
    assert set(state) == {
        "ended", "ballot", "question", "left", "right", "anchors", "progress", "standing", "undo",
    }  # fmt: skip
    said = re.sub(r"(long|short) says \d+ minutes\.", "", json.dumps(state))  # the made-up answers name themselves
    assert not re.search(r"long|short|adapter|source|tape|token", said.replace("How long for", ""))
    assert {state["left"].split()[0], state["right"].split()[0]} == {"long", "short"}
    assert len(state["anchors"]) == 3


def test_votes_undo_and_skip_move_on(server: VoteServer, made: Booth) -> None:
    state = shown(server)
    status, after = asked(server.address + "vote", {"ballot": state["ballot"], "choice": "left"})
    assert status == 200
    assert isinstance(after, dict)
    assert after["ballot"] != state["ballot"]
    assert after["undo"] is True
    assert [vote.choice for vote in made.box.votes()] == ["left"]
    _, back = asked(server.address + "undo", {})
    assert isinstance(back, dict)
    assert (back["question"], back["left"]) == (state["question"], state["left"])
    assert made.box.votes() == ()
    asked(server.address + "vote", {"ballot": back["ballot"], "choice": "skip"})
    assert [vote.choice for vote in made.box.votes()] == ["skip"]


def test_the_same_ballot_twice_is_one_vote(server: VoteServer, made: Booth) -> None:
    ballot = shown(server)["ballot"]
    asked(server.address + "vote", {"ballot": ballot, "choice": "left"})
    status, found = asked(server.address + "vote", {"ballot": ballot, "choice": "left"})
    assert status == 409
    assert isinstance(found, dict)
    assert found["ballot"] != ballot
    assert len(made.box.votes()) == 1


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("vote", {"choice": "left"}),
        ("vote", {"ballot": "x", "choice": "up"}),
        ("vote", {"ballot": 1, "choice": "left"}),
        ("vote", {"ballot": "x", "choice": ["left"]}),
        ("vote", ["left"]),
        ("end", {"reveal": "yes"}),
        ("elsewhere", {}),
    ],
)
def test_what_is_no_vote_is_refused(server: VoteServer, made: Booth, path: str, body: object) -> None:
    assert asked(server.address + path, body) == (400, {"error": "this is not a vote"})
    assert made.box.votes() == ()


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b"[" * 3000, b'{"a": "' + b"x" * 5000 + b'"}'])
def test_garbage_is_refused(server: VoteServer, made: Booth, raw: bytes) -> None:
    try:
        assert asked(server.address + "vote", raw=raw)[0] == 400
    except (ConnectionError, urllib.error.URLError):
        assert len(raw) > 4096  # what is too long is not read to its end
    assert made.box.votes() == ()


def test_a_form_of_another_site_is_no_vote(server: VoteServer, made: Booth) -> None:
    body = json.dumps({"ballot": shown(server)["ballot"], "choice": "left"}).encode()
    assert asked(server.address + "vote", raw=body, Content_Type="text/plain")[0] == 400
    assert made.box.votes() == ()


def test_without_the_token_or_under_another_name_nothing_is_told(server: VoteServer) -> None:
    host = server.address.split("/")[2]
    for path in ("", "state", "wrong/state", "../state"):
        status, found = asked(f"http://{host}/{path}")
        assert (status, found) == (403, {"error": "open the address that the terminal printed"})
    assert asked(server.address + "state", Host="evil.example")[0] == 403
    assert asked(server.address + "vote", {"ballot": "x", "choice": "left"}, Host=f"evil.example:{80}")[0] == 403
    assert asked(server.address + "nothing")[0] == 404


def test_it_listens_on_this_machine_alone_and_a_taken_port_is_one_sentence(server: VoteServer, made: Booth) -> None:
    assert server.address.startswith("http://127.0.0.1:")
    port = int(server.address.split(":")[2].split("/")[0])
    with pytest.raises(RunError, match=f"--port {port}: can't be listened on"):
        VoteServer(made.voting(), port=port)


def test_a_decision_ends_it_and_tells_who_is_who(server: VoteServer, made: Booth) -> None:
    state = shown(server)
    for _ in range(QUESTIONS):
        assert not server.wait(0)
        choice = "left" if state["left"].startswith("short") else "right"
        _, found = asked(server.address + "vote", {"ballot": state["ballot"], "choice": choice})
        assert isinstance(found, dict)
        state = found
        if state["ended"]:
            break
    assert state["revealed"] is True
    assert state["sentences"][0].startswith("short was preferred to long on 7 of 7 questions")
    assert any(sentence.startswith("What this can't see: ") for sentence in state["sentences"])
    assert server.wait(5)


def test_a_pause_tells_nothing(server: VoteServer, made: Booth) -> None:
    made.vote(chooses("short"), most=3)
    _, found = asked(server.address + "end", {"reveal": False})
    assert found == {
        "ended": True,
        "revealed": False,
        "sentences": ["Paused. Every vote is kept; the same command goes on. Nothing has been revealed."],
    }
    assert server.wait(5)
    assert not made.box.knows("ada", made.poll.adapters)


def test_a_disk_that_is_full_is_told_and_the_vote_can_be_given_again(
    server: VoteServer, made: Booth, monkeypatch: pytest.MonkeyPatch
) -> None:
    ballot = shown(server)["ballot"]

    def full(_file: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        status, found = asked(server.address + "vote", {"ballot": ballot, "choice": "left"})
    assert status == 500
    assert isinstance(found, dict)
    assert "the disk is full" in found["error"]
    assert asked(server.address + "vote", {"ballot": ballot, "choice": "left"})[0] == 200


def test_texts_lose_what_only_a_machine_sees(made: Booth) -> None:
    answered(made.runs[0], [f"\n\n A{at}  \n\n\n\n\x1b[2Jb\u202e \n" for at in range(QUESTIONS)])
    with VoteServer(Booth(made.runs, open_poll(made.runs), made.box).voting()) as server:
        state = shown(server)
        text = state["left"] if state["left"].startswith("A") else state["right"]
    assert re.fullmatch(r"A\d+\n\n\\x1b\[2Jb\\u202e", text)
