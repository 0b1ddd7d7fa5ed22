"""The HTML report in a real browser: what a person sees, on a screen, a phone, in the dark and by keyboard."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from tests.support.run_folders import Told, make_run, random_losses

from runoff.comparison import compare, verdict
from runoff.report import report, write_report

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        assert "CI" not in os.environ, "continuous integration installs chromium"
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        found.close()


@pytest.fixture(scope="module")
def page_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("report")
    losses = random_losses(1)
    told = Told(settings={"num_layers": 6, "lora_parameters.dropout": 0.1}, counts={"adapted_blocks": 6})
    runs = [make_run(root, "long", losses=losses), make_run(root, "short", told, losses=losses + 0.1)]
    comparison = compare(runs)
    return write_report(report(comparison, verdict(comparison)), root / "out")[1]


def opened(browser: Browser, path: Path, **options: object) -> tuple[Page, list[str]]:
    """The page, and whatever it complained of or asked the network for."""
    page = browser.new_page(**options)  # type: ignore[arg-type]
    trouble: list[str] = []
    page.on("console", lambda message: trouble.append(message.text))
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("request", lambda request: trouble.append(request.url) if not request.url.startswith("file:") else None)
    page.goto(path.as_uri())
    return page, trouble


def test_the_verdict_is_the_first_thing_read(browser: Browser, page_path: Path) -> None:
    page, trouble = opened(browser, page_path, viewport={"width": 1200, "height": 900})
    first = page.locator("p.verdict").first
    assert first.inner_text().startswith("Ship long")
    box = first.bounding_box()
    assert box is not None
    assert box["y"] < 400
    assert trouble == []


def test_the_curves_are_drawn_and_named(browser: Browser, page_path: Path) -> None:
    page, _ = opened(browser, page_path)
    assert page.get_by_role("img", name="Line chart.").count() == 1
    assert [text.strip() for text in page.locator(".legend li").all_inner_texts()] == [
        "long, training",
        "long, validation",
        "short, training",
        "short, validation",
    ]
    shot = page.locator("svg.chart").screenshot()
    assert len(shot) > 5000


@pytest.mark.parametrize("width", [360, 768, 1400])
def test_nothing_runs_off_the_screen(browser: Browser, page_path: Path, width: int) -> None:
    page, _ = opened(browser, page_path, viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_dark_scheme_is_dark_and_readable(browser: Browser, page_path: Path) -> None:
    page, _ = opened(browser, page_path, color_scheme="dark")
    ink, paper = page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )
    assert contrast(ink, paper) > 7
    assert brightness(paper) < 0.1


def test_every_wide_table_can_be_reached_by_keyboard(browser: Browser, page_path: Path) -> None:
    page, _ = opened(browser, page_path)
    tables = page.locator("div.wide").count()
    reached: set[str] = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        label = page.evaluate("document.activeElement.getAttribute('aria-label')")
        if label:
            reached.add(label)
    assert len(reached) == tables


def test_headings_and_tables_are_named_for_a_screen_reader(browser: Browser, page_path: Path) -> None:
    page, _ = opened(browser, page_path)
    assert page.get_by_role("heading", level=1).count() == 1
    for table in page.locator("table").all():
        assert table.locator("caption").inner_text()
        assert table.locator("th[scope=col]").count() > 1


def brightness(colour: str) -> float:
    parts = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((brightness(one), brightness(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)
