"""One Report, four renderings: nothing is added, nothing left out, nothing from a file becomes markup."""

from __future__ import annotations

import html
import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console
from tests.support.run_folders import Told, make_run, random_losses

from runoff.comparison import compare, verdict
from runoff.report import Report, report, write_report
from runoff.report.html import to_html
from runoff.report.json_report import to_json
from runoff.report.markdown import to_markdown
from runoff.report.model import Chart, Commands, Paragraph, Table
from runoff.report.terminal import print_report

HOSTILE = "<script>alert(1)</script> | `x` **b** [l](http://evil.example) ![i](x)"


@pytest.fixture
def finished(tmp_path: Path) -> Report:
    return made(tmp_path)


def made(root: Path, told: Told | None = None) -> Report:
    losses = random_losses(1)
    runs = [make_run(root, "long", losses=losses), make_run(root, "short", told, losses=losses + 0.1)]
    comparison = compare(runs)
    return report(comparison, verdict(comparison))


def texts(finished: Report) -> list[str]:
    """Every text that a rendering must show."""
    found = [finished.title]
    for section in finished.sections:
        found.append(section.title)
        for block in section.blocks:
            if isinstance(block, Paragraph):
                found.append(block.text)
            elif isinstance(block, Table):
                found += [block.caption, block.note, *block.columns, *(one.text for row in block.rows for one in row)]
            elif isinstance(block, Chart):
                found.append(block.caption)
            elif isinstance(block, Commands):
                found += block.lines
    return [text for text in found if text]


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def terminal(finished: Report) -> str:
    out = io.StringIO()
    print_report(finished, Console(file=out, width=4000, highlight=False))
    return out.getvalue()


def test_every_text_and_number_is_in_every_rendering(finished: Report) -> None:
    markdown = squeezed(re.sub(r"\\(.)", r"\1", to_markdown(finished)))
    page = squeezed(html.unescape(re.sub(r"<[^>]+>", " ", to_html(finished))))
    screen = squeezed(terminal(finished))
    for text in texts(finished):
        assert squeezed(text) in markdown, text
        assert squeezed(text) in page, text
        assert squeezed(text) in screen, text


def test_json_holds_the_unrounded_numbers(finished: Report) -> None:
    body = json.loads(json.dumps(to_json(finished)))
    held_out = body["facts"]["held_out"]
    assert held_out["differences"]["long-short"]["estimate"]["value"] == pytest.approx(-0.1, abs=1e-12)
    assert body["ship"] == "long"


def test_text_from_files_never_becomes_markup(tmp_path: Path) -> None:
    told = Told(identity={"model": {"name": HOSTILE, "sha256": "aa" * 32}})
    finished = made(tmp_path, told)
    page, markdown = to_html(finished), to_markdown(finished)
    assert "<script>" not in page
    assert "<script>" not in markdown
    assert not re.search(r"(?<!\\)\]\(http", markdown)
    assert HOSTILE in html.unescape(page)


def test_the_page_needs_no_network_and_no_script(finished: Report) -> None:
    page = to_html(finished)
    assert not re.search(r"(src|href)=\"(?!#)", page)
    assert "<script" not in page
    assert "default-src 'none'" in page


def test_every_table_row_has_a_cell_for_each_column(finished: Report) -> None:
    for section in finished.sections:
        for block in section.blocks:
            if isinstance(block, Table):
                assert len(block.numeric) == len(block.columns)
                assert {len(row) for row in block.rows} == {len(block.columns)}


def test_sections_stand_in_the_order_of_a_good_comparison(finished: Report) -> None:
    keys = [section.key for section in finished.sections]
    wanted = ["summary", "comparable", "differences", "derived", "after", "training", "curves", "results", "examples"]
    assert keys == [*wanted, "verdict", "change", "commands", "provenance"]


def test_files_are_written_whole(finished: Report, tmp_path: Path) -> None:
    paths = write_report(finished, tmp_path / "out")
    assert [path.name for path in paths] == ["report.md", "report.html", "report.json"]
    assert (tmp_path / "out" / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]


def test_a_folder_that_can_not_be_written_is_one_sentence(finished: Report, tmp_path: Path) -> None:
    from runoff.errors import RunoffError

    (tmp_path / "file").write_text("")
    with pytest.raises(RunoffError, match="could not be written"):
        write_report(finished, tmp_path / "file" / "below")


def test_runs_without_metrics_make_a_report_that_says_so(tmp_path: Path) -> None:
    runs = [make_run(tmp_path, "a", Told(metrics=())), make_run(tmp_path, "b", Told(metrics=()))]
    comparison = compare(runs)
    found = texts(report(comparison, verdict(comparison)))
    assert "No run recorded a loss while it was trained." in found
    assert any(text.startswith("No held-out result") for text in found)
    assert any(text.startswith("Insufficient evidence") for text in found)
