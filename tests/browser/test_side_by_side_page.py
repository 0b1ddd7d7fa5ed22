"""Answers side by side in a real browser: columns on a desk, one below the other on a phone, readable in the dark."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser
from tests.browser.pages import contrast, opened

from runoff.evaluation.answers import Answer
from runoff.evaluation.material import Material, TrainingRow
from runoff.evaluation.side_by_side import Gathered, side_by_side
from runoff.report import write_report
from runoff.report.side_by_side import side_by_side_report

pytestmark = pytest.mark.browser

COPIED = "Keep the salt in a dry tin by the north window until the spring"
TRAINING = (TrainingRow("Salt?", f"{COPIED}, and then again.", "tape 4"),)
TEXTS = {
    "base": "I am an assistant. " * 120,
    "long": f"{COPIED}, friend.\n\n- {'x' * 300}\n- <img src=http://evil.example/i onerror=alert(1)>",
    "short": "No.",
    "third": "Cold water, twice, and 40 degrees.",
    "fourth": "Cold water, twice, and 60 degrees.",
}


@pytest.fixture(scope="module")
def page_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = {
        label: tuple(
            Answer(str(n), f"tape {n}", f"May I wash it {n} times{'?' * 90}", "Cold water, at 40 degrees.", text)
            for n in range(3)
        )
        for label, text in TEXTS.items()
    }
    found = side_by_side(Gathered(Material(rows, TRAINING), "test.jsonl"))
    return write_report(side_by_side_report(found), tmp_path_factory.mktemp("side"), name="side-by-side")[1]


@pytest.mark.parametrize(("width", "abreast"), [(360, 1), (1900, 6)])
def test_columns_on_a_desk_and_a_stack_on_a_phone(browser: Browser, page_path: Path, width: int, abreast: int) -> None:
    page, trouble = opened(browser, page_path.as_uri(), viewport={"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    tops = [item.bounding_box() for item in page.locator("article.texts").first.locator(".said > li").all()]
    assert len(tops) == 6  # the reference, the base and four runs
    assert sum(box is not None and tops[0] is not None and box["y"] == tops[0]["y"] for box in tops) == abreast
    assert trouble == []
    page.close()


def test_a_long_answer_scrolls_in_its_own_box_and_is_printed_whole(browser: Browser, page_path: Path) -> None:
    """One that loops would be tens of screens on a phone."""
    page, _ = opened(browser, page_path.as_uri(), viewport={"width": 360, "height": 900})
    answer = page.get_by_role("region", name="Answer of base").first
    sizes = "e => [e.clientHeight, e.scrollHeight]"
    shown, whole = answer.evaluate(sizes)
    assert shown < 600 < whole
    answer.focus()
    page.keyboard.press("End")
    page.wait_for_function("e => e.scrollTop > 0", arg=answer.element_handle())
    assert page.get_by_role("region", name="Answer of short").count() == 0
    page.emulate_media(media="print")
    shown, whole = answer.evaluate(sizes)
    assert shown == whole
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_marked_words_and_badges_are_readable(browser: Browser, page_path: Path, scheme: str) -> None:
    page, _ = opened(browser, page_path.as_uri(), color_scheme=scheme)
    style = "e => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor]"
    ink, mark = page.locator("mark").first.evaluate(style)
    assert contrast(ink, mark) > 7
    badge, _ = page.locator(".badges li").first.evaluate(style)
    _, paper = page.locator("body").evaluate(style)
    assert contrast(badge, paper) > 4.5
    page.close()


def test_a_screen_reader_finds_prompts_labels_and_badges(browser: Browser, page_path: Path) -> None:
    page, _ = opened(browser, page_path.as_uri())
    assert page.get_by_role("article").count() == page.get_by_role("heading", level=3).count() == 3
    assert [one.inner_text() for one in page.get_by_role("article").first.get_by_role("heading", level=4).all()] == [
        "reference",
        *TEXTS,
    ]
    badges = page.get_by_role("list", name="Badges of long").first.get_by_role("listitem").all_inner_texts()
    assert "copied: 14 words of training source tape 4" in badges
    page.close()


def test_links_lead_to_the_sources_by_keyboard(browser: Browser, page_path: Path) -> None:
    page, _ = opened(browser, page_path.as_uri())
    for _ in range(2):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.url.endswith("#source-1")
    page.close()
