"""The HTML report in a real browser: what a person sees, on a screen, a phone, in the dark and by keyboard."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page
from tests.browser.pages import brightness, contrast, opened
from tests.support.run_folders import Told, make_run, random_losses

from runoff.comparison import compare, verdict
from runoff.report import report, write_report
from runoff.runs import MetricRow

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("report")
    losses = random_losses(1)
    told = Told(settings={"num_layers": 6, "lora_parameters.dropout": 0.1}, counts={"adapted_blocks": 6})
    runs = [make_run(root, "long", losses=losses), make_run(root, "short", told, losses=losses + 0.1)]
    comparison = compare(runs)
    return write_report(report(comparison, verdict(comparison)), root / "out")[1]


def settled(page: Page) -> None:
    """After the next frame, in which charts are drawn anew."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def test_the_verdict_is_the_first_thing_read(browser: Browser, page_path: Path) -> None:
    page, trouble = opened(browser, page_path.as_uri(), viewport={"width": 1200, "height": 900})
    first = page.locator("p.verdict").first
    assert first.inner_text().startswith("Ship long")
    box = first.bounding_box()
    assert box is not None
    assert box["y"] < 400
    assert trouble == []


def test_the_curves_are_drawn_and_named(browser: Browser, page_path: Path) -> None:
    page, trouble = opened(browser, page_path.as_uri())
    charts = page.get_by_role("application", name="Line chart of 2 runs.")
    assert charts.count() == page.locator("figure").count() == 3
    legend = page.locator(".legend").first
    assert [text.strip() for text in legend.locator("li").all_inner_texts()] == ["long", "short"]
    assert len(charts.first.screenshot()) > 5000
    assert trouble == []


def test_without_scripts_the_curves_stand_still_and_nothing_is_missing(browser: Browser, page_path: Path) -> None:
    page, trouble = opened(browser, page_path.as_uri(), java_script_enabled=False)
    assert page.get_by_role("img", name="Line chart of 2 runs.").count() == 3
    assert page.locator("svg.chart").first.locator("path.line").count() == 4
    assert page.locator(".controls").count() == 0
    assert trouble == []


def test_a_run_is_hidden_and_shown_by_its_name_in_the_legend(browser: Browser, page_path: Path) -> None:
    page, _ = opened(browser, page_path.as_uri())
    figure = page.locator("figure").first
    lines = figure.locator("svg.chart path.line")
    toggle = figure.get_by_role("button", name="short")
    assert lines.count() == 4
    toggle.press("Enter")
    settled(page)
    assert (lines.count(), toggle.get_attribute("aria-pressed")) == (2, "false")
    toggle.press("Enter")
    settled(page)
    assert (lines.count(), toggle.get_attribute("aria-pressed")) == (4, "true")
    figure.get_by_role("checkbox", name="training").uncheck()
    settled(page)
    assert lines.count() == 2


def test_the_axis_can_be_changed(browser: Browser, page_path: Path) -> None:
    page, _ = opened(browser, page_path.as_uri())
    figure = page.locator("figure").first
    figure.get_by_role("combobox").select_option(label="epochs")
    settled(page)
    texts = figure.locator("svg.chart text").all_text_contents()
    assert {"epochs", "0.5", "2"} <= set(texts)
    assert not {"target tokens trained on", "5,000"} & set(texts)


def test_dragging_zooms_and_the_whole_range_comes_back(browser: Browser, page_path: Path) -> None:
    page, _ = opened(browser, page_path.as_uri())
    figure = page.locator("figure").first
    figure.scroll_into_view_if_needed()
    box = figure.locator("svg.chart").bounding_box()
    assert box is not None
    whole = figure.locator("svg.chart text").all_text_contents()
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 120, steps=3)
    page.mouse.up()
    settled(page)
    assert figure.locator("svg.chart text").all_text_contents() != whole
    figure.get_by_role("button", name="Whole range").click()
    settled(page)
    assert figure.locator("svg.chart text").all_text_contents() == whole


def test_the_values_are_read_with_the_mouse_and_with_the_keyboard(browser: Browser, page_path: Path) -> None:
    page, _ = opened(browser, page_path.as_uri())
    figure = page.locator("figure").first
    chart, reading = figure.locator("svg.chart"), figure.get_by_role("status")
    chart.focus()
    for key in ("End", "ArrowLeft", "ArrowRight"):
        page.keyboard.press(key)
    assert "18,000 target tokens trained on" in reading.inner_text()
    assert "long, validation: 2.7" in reading.inner_text()
    assert "long, training: 2.6" in reading.inner_text()
    page.keyboard.press("Escape")
    assert not reading.is_visible()
    chart.hover(position={"x": 300, "y": 100})
    assert "long, validation: " in reading.inner_text()


def test_smoothing_is_drawn_over_what_was_reported_and_can_be_turned_off(browser: Browser, tmp_path: Path) -> None:
    rows = tuple(MetricRow("train", at, at // 4, at / 50, 3.0 + at % 2, at * 90) for at in range(1, 61))
    runs = [make_run(tmp_path, name, Told(metrics=rows)) for name in ("a", "b")]
    comparison = compare(runs)
    page, _ = opened(browser, write_report(report(comparison, verdict(comparison)), tmp_path / "out")[1].as_uri())
    figure = page.locator("figure").first
    assert figure.locator("path.faint").count() == 2
    strong = figure.locator("path.line").first.get_attribute("d")
    figure.get_by_role("checkbox", name="smoothed").uncheck()
    settled(page)
    assert figure.locator("path.faint").count() == 0
    assert figure.locator("path.line").first.get_attribute("d") != strong


def test_a_name_from_a_file_is_never_run(browser: Browser, tmp_path: Path) -> None:
    name = "</script><script>document.title='taken'</script><img src=x onerror=document.title='taken'>"
    runs = [make_run(tmp_path, "a", Told(identity={"name": name})), make_run(tmp_path, "b")]
    comparison = compare(runs)
    page, trouble = opened(browser, write_report(report(comparison, verdict(comparison)), tmp_path / "out")[1].as_uri())
    assert page.title().startswith("Runoff: </script>")
    assert page.locator("img").count() == 0
    assert name in page.locator(".legend").first.inner_text()
    assert trouble == []


def test_it_prints_in_dark_ink_without_buttons(browser: Browser, page_path: Path) -> None:
    page, _ = opened(browser, page_path.as_uri(), color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert brightness(page.evaluate("getComputedStyle(document.body).color")) < 0.1
    assert not page.locator(".controls").first.is_visible()
    assert page.pdf().startswith(b"%PDF")


@pytest.mark.parametrize("width", [360, 768, 1400])
def test_nothing_runs_off_the_screen(browser: Browser, page_path: Path, width: int) -> None:
    page, _ = opened(browser, page_path.as_uri(), viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_on_a_phone_no_table_is_scrolled_and_each_cell_names_its_column(browser: Browser, page_path: Path) -> None:
    page, _ = opened(browser, page_path.as_uri(), viewport={"width": 390, "height": 800})
    wide = "[...document.querySelectorAll('.wide')].filter(one => one.scrollWidth > one.clientWidth + 1)"
    assert page.evaluate(f"{wide}.map(one => one.getAttribute('aria-label'))") == []
    stacked = page.locator(".stacks").first
    heads = stacked.locator("thead th").all_inner_texts()
    cells = stacked.locator("tbody tr").first.locator("td")
    assert [cell.get_attribute("data-column") for cell in cells.all()] == heads[1:]
    shown = "getComputedStyle(document.querySelector('.stacks td'), '::before').content"
    assert page.evaluate(shown) not in ("none", "normal")
    desk, _ = opened(browser, page_path.as_uri(), viewport={"width": 1400, "height": 800})
    assert desk.evaluate(shown) in ("none", "normal")


def test_the_dark_scheme_is_dark_and_readable(browser: Browser, page_path: Path) -> None:
    page, _ = opened(browser, page_path.as_uri(), color_scheme="dark")
    ink, paper = page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )
    assert contrast(ink, paper) > 7
    assert brightness(paper) < 0.1


def test_every_wide_table_can_be_reached_by_keyboard(browser: Browser, page_path: Path) -> None:
    page, _ = opened(browser, page_path.as_uri())
    tables = page.locator("div.wide").count()
    reached: set[str] = set()
    for _ in range(90):
        page.keyboard.press("Tab")
        label = page.evaluate("document.activeElement.matches('.wide') && document.activeElement.ariaLabel")
        if label:
            reached.add(label)
    assert len(reached) == tables


def test_headings_and_tables_are_named_for_a_screen_reader(browser: Browser, page_path: Path) -> None:
    page, _ = opened(browser, page_path.as_uri())
    assert page.get_by_role("heading", level=1).count() == 1
    for table in page.locator("table").all():
        assert table.locator("caption").inner_text()
        assert table.locator("th[scope=col]").count() > 1
