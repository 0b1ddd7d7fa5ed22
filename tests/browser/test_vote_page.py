"""The page of blind votes in a real browser: voted by keyboard to the end, on a desk and on a phone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser import pages
from tests.browser.pages import contrast
from tests.support.polls import QUESTIONS, Booth, answered, booth

from runoff.evaluation.votes import open_poll
from runoff.evaluation.votes.server import VoteServer

pytestmark = pytest.mark.browser

HOSTILE = "<img src=http://evil.example/i onerror=alert(1)> **bold** " + "x" * 200


@pytest.fixture
def made(tmp_path: Path) -> Booth:
    """One run's answers are long and hostile; the base's have no part in it."""
    found = booth(tmp_path)
    answered(found.runs[0], [f"LONG {at}. {HOSTILE}\n\n" + "And on. " * 120 for at in range(QUESTIONS)])
    return Booth(found.runs, open_poll(found.runs), found.box)


@pytest.fixture
def server(made: Booth) -> Iterator[VoteServer]:
    with VoteServer(made.voting()) as running:
        yield running


def opened(browser: Browser, server: VoteServer, **options: object) -> tuple[Page, list[str]]:
    """The page with its first question, and whatever it complained of or asked of anybody else."""
    page, trouble = pages.opened(browser, server.address, **options)
    expect(page.locator("#question")).to_contain_text("How long for dish")
    return page, trouble


def press(page: Page, key: str) -> None:
    """A key, and what follows from it."""
    with page.expect_response(lambda response: response.request.method == "POST"):
        page.keyboard.press(key)
    page.wait_for_selector("body:not([data-busy])", state="attached")


def test_a_voter_at_the_keyboard_reaches_the_end_and_learns_who_is_who(
    browser: Browser, server: VoteServer, made: Booth
) -> None:
    page, trouble = opened(browser, server, viewport={"width": 1200, "height": 900})
    for key in ("ArrowDown", "b", "s", "ArrowLeft", "u"):
        press(page, key)
    assert [vote.choice for vote in made.box.votes()] == ["tie", "both bad", "skip"]
    assert "short" not in page.content().replace("says", "")[:200]
    for _ in range(QUESTIONS):
        if page.locator("#ended").is_visible():
            break
        press(page, "ArrowRight" if page.locator("#left").inner_text().startswith("LONG") else "ArrowLeft")
    expect(page.get_by_role("heading", level=1)).to_have_text("The votes")
    expect(page.locator("#ended")).to_contain_text("short was preferred to long on 7 of 7 questions with a preference")
    expect(page.locator("#ended")).to_contain_text("apart from these: 1 tied, 1 where both were bad")
    assert server.wait(5)
    assert trouble == []
    page.close()


def test_ending_asks_first_and_a_pause_tells_nothing(browser: Browser, server: VoteServer, made: Booth) -> None:
    page, _ = opened(browser, server)
    page.keyboard.press("e")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("n")
    expect(page.get_by_role("dialog")).to_be_hidden()
    assert made.box.votes() == ()
    press(page, "p")
    expect(page.get_by_role("heading", level=1)).to_have_text("Paused")
    assert "long" not in page.locator("#ended").inner_text()
    assert not made.box.knows("ada", made.poll.adapters)
    page.close()


def test_ending_shows_the_result(browser: Browser, server: VoteServer, made: Booth) -> None:
    page, _ = opened(browser, server)
    press(page, "ArrowLeft")
    page.get_by_role("button", name="End and show who is who").click()
    page.keyboard.press("y")
    expect(page.locator("#ended")).to_contain_text("on 1 of 1 question with a preference")
    assert made.box.knows("ada", made.poll.adapters)
    page.close()


def test_a_phone_shows_everything_within_its_width_and_keeps_the_buttons_in_reach(
    browser: Browser, server: VoteServer, made: Booth
) -> None:
    page, _ = opened(browser, server, viewport={"width": 390, "height": 844}, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    boxes = [page.locator(f"#{side}").bounding_box() for side in ("left", "right")]
    assert boxes[0] is not None
    assert boxes[1] is not None
    assert boxes[0]["height"] == boxes[1]["height"]
    for name in ("Left", "Tie", "Both bad", "Right"):
        box = page.get_by_role("group", name="Your vote").get_by_role("button", name=name).bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= 844
        assert min(box["height"], box["width"]) >= 44
    with page.expect_response("**/vote"):
        page.get_by_role("group", name="Your vote").get_by_role("button", name="Left").tap()
    assert len(made.box.votes()) == 1
    page.close()


def test_what_a_model_wrote_is_text(browser: Browser, server: VoteServer) -> None:
    page, trouble = opened(browser, server)
    assert page.locator("#left img, #right img").count() == 0
    assert HOSTILE in page.locator("#left").inner_text() + page.locator("#right").inner_text()
    assert trouble == []
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_readable_and_announced(browser: Browser, server: VoteServer, scheme: str) -> None:
    page, _ = opened(browser, server, color_scheme=scheme)
    style = "e => [getComputedStyle(e).color, getComputedStyle(document.body).backgroundColor]"
    for place, least in (("#left", 7), ("#standing", 4.5), ("button.side", 7)):
        ink, paper = page.locator(place).first.evaluate(style)
        assert contrast(ink, paper) > least
    assert page.get_by_role("progressbar").get_attribute("aria-valuenow") == "0"
    assert page.get_by_role("article").count() == 2
    assert page.evaluate("document.activeElement.id") == "question"
    page.close()


def test_the_page_says_when_its_command_has_ended(browser: Browser, made: Booth) -> None:
    with VoteServer(made.voting()) as server:
        page, _ = opened(browser, server)
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("alert")).to_contain_text("Type it again to go on")
    page.close()


def test_nothing_that_the_page_was_sent_names_a_run(browser: Browser, made: Booth) -> None:
    """The texts of these answers name no run, so a name anywhere would be a leak."""
    for run, text in zip(made.runs, ("One", "Two"), strict=True):
        answered(run, [f"{text} {at}." for at in range(QUESTIONS)])
    poll = open_poll(made.runs)
    with VoteServer(Booth(made.runs, poll, made.box).voting()) as server:
        sent: list[str] = []
        page = browser.new_page()
        page.on("response", lambda response: sent.append(response.text() + json.dumps(response.headers)))
        page.goto(server.address)
        expect(page.locator("#question")).to_contain_text("How long for dish")
        for _ in range(6):
            press(page, "ArrowDown")
        page.close()
    whole = "".join(sent).replace("How long for dish", "")
    adapters = [one.adapter for one in poll.candidates]
    assert not any(name in whole for name in ("short", "long", *adapters, "/tmp"))
