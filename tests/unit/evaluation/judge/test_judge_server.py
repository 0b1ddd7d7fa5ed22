"""The client against a server that misbehaves: what is tried again, how long it waits, what it gives up on, and how."""

from __future__ import annotations

import pytest
from tests.support.chat_server import Script, chat_server

from runoff.evaluation.judge.server import ChatServer, JudgeUnavailable, NoAnswer, Patience, server_address

KEY = "sk-very-secret-4711"
ASKED = ({"role": "user", "content": "Which?"},)


def client(script: Script, waits: list[float], *, key: str | None = None, seconds: float = 60.0) -> ChatServer:
    return ChatServer(script.address, "referee", key=key, patience=Patience(seconds, sleep=waits.append))


@pytest.mark.parametrize("fault", ["500", "503", "garbage", "no-choices", "cut", "drop"])
def test_what_may_pass_is_tried_again_after_a_growing_pause(fault: str) -> None:
    waits: list[float] = []
    with chat_server(Script(lambda _: "VERDICT: A", faults=[fault, fault])) as script:
        assert client(script, waits).ask(ASKED, {"temperature": 0}) == "VERDICT: A"
    assert waits == [1.0, 2.0]
    assert len(script.bodies) == 3
    assert script.bodies[0] == {"model": "referee", "messages": list(ASKED), "stream": False, "temperature": 0}


@pytest.mark.parametrize("fault", ["slow", "drip"])
def test_an_attempt_takes_no_longer_than_it_may(fault: str) -> None:
    waits: list[float] = []
    with chat_server(Script(lambda _: "VERDICT: A", faults=[fault])) as script:
        assert client(script, waits, seconds=1.0).ask(ASKED, {}) == "VERDICT: A"
    assert waits == [1.0]


def test_a_rate_limit_is_obeyed() -> None:
    waits: list[float] = []
    with chat_server(Script(faults=["429", "429"])) as script:
        client(script, waits).ask(ASKED, {})
    assert waits == [7.0, 7.0]


def test_a_time_to_wait_is_obeyed_up_to_the_longest_pause() -> None:
    waits: list[float] = []
    with chat_server(Script(faults=["429"])) as script:
        patience = Patience(1.0, longest_pause_seconds=3.0, sleep=waits.append)
        ChatServer(script.address, "referee", patience=patience).ask(ASKED, {})
    assert waits == [3.0]


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("500", "the server answered 500, 4 times"),
        ("garbage", "the answer is not what a chat server sends, 4 times"),
        ("drop", r"the connection failed \(RemoteProtocolError: .*\), 4 times"),
        ("cut", r"the connection failed \(RemoteProtocolError: .*\), 4 times"),
    ],
)
def test_a_fault_that_stays_is_given_up_with_its_reason(fault: str, why: str) -> None:
    with chat_server(Script(for_ever=fault)) as script, pytest.raises(NoAnswer, match=f"^{why}$"):
        client(script, []).ask(ASKED, {})
    assert len(script.bodies) == 4


def test_a_refusal_is_not_tried_again_and_does_not_repeat_the_key() -> None:
    with chat_server(Script(for_ever="401")) as script, pytest.raises(JudgeUnavailable) as refused:
        client(script, [], key=KEY).ask(ASKED, {})
    assert len(script.bodies) == 1
    assert script.headers[0]["authorization" if "authorization" in script.headers[0] else "Authorization"].endswith(KEY)
    assert KEY not in str(refused.value)
    assert "refuses the call (401: " in str(refused.value)
    assert "(the key)" in str(refused.value)


def test_a_server_that_is_down_is_one_sentence() -> None:
    waits: list[float] = []
    with chat_server(Script()) as script:
        pass
    with pytest.raises(
        JudgeUnavailable, match=r"^nobody answers at http://127\.0\.0\.1:\d+/v1 \(.*\)\. Start the serv"
    ):
        client(script, waits).fingerprint()
    assert waits == []


def test_the_fingerprint_is_of_the_model_and_not_of_the_hour() -> None:
    with chat_server(Script()) as script:
        first = client(script, []).fingerprint()
        script.models = [{**script.models[0], "created": 2}]
        assert client(script, []).fingerprint() == first
        script.models = [{**script.models[0], "root": "another/quantization"}]
        assert client(script, []).fingerprint() != first
        script.models = []  # an empty body: mlx_lm.server does that where there is no Hugging Face cache
        assert client(script, []).fingerprint() == client(script, []).fingerprint() != first


def test_after_it_was_given_up_nothing_is_tried_again() -> None:
    with chat_server(Script(for_ever="500")) as script:
        server = ChatServer(script.address, "referee", patience=Patience(sleep=lambda _: server.give_up()))
        with pytest.raises(NoAnswer, match="the judging has ended"):
            server.ask(ASKED, {})
    assert len(script.bodies) == 1


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("http://localhost:8080", "http://localhost:8080/v1"),
        ("localhost:8080", "http://localhost:8080/v1"),
        ("http://localhost:8080/v1/", "http://localhost:8080/v1"),
        ("https://host/openai/v1/chat/completions", "https://host/openai/v1"),
        ("https://user:password@host/v1?api_key=x", "https://host/v1"),
    ],
)
def test_addresses_as_people_give_them(given: str, used: str) -> None:
    assert server_address(given) == used


@pytest.mark.parametrize("given", ["", "ftp://host/v1", "http:///v1"])
def test_what_is_no_address_is_one_sentence(given: str) -> None:
    with pytest.raises(JudgeUnavailable, match="is not an address such as"):
        server_address(given)
