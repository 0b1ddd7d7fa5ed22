"""Side by side in every rendering: each word is there, nothing becomes markup, and the marks are where they belong."""

from __future__ import annotations

import html
import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from runoff.evaluation.answers import Answer
from runoff.evaluation.material import Material, TrainingRow
from runoff.evaluation.side_by_side import Gathered, SideBySide, side_by_side
from runoff.report import Report, write_report
from runoff.report.html import to_html
from runoff.report.json_report import to_json
from runoff.report.markdown import to_markdown
from runoff.report.model import Texts
from runoff.report.side_by_side import side_by_side_report
from runoff.report.terminal import print_report

HOSTILE = "<script>alert(1)</script> | `x` **b** [l](http://evil.example)\n- item\n1. one\n# head\n> quote\n    code"
TRAINING = (TrainingRow("Salt?", "Keep the salt in a dry tin by the north window until spring.", "tape 4"),)


def found(*, hostile: bool = False) -> SideBySide:
    questions = ("May I keep salt?", "May I wash wool?", HOSTILE if hostile else "May I dry figs?")
    answers = {
        "base": ("You can.", "As an AI, I would.", "Dry them."),
        "long": ("Keep the salt in a dry tin by the north window, friend.", "Cold water, twice.", HOSTILE),
        "short": ("Keep salt dry.", "Cold water, twice.", "Dry them all."),
    }
    rows = {
        label: tuple(
            Answer(str(n), f"tape {n}", question, "Cold water, friend.", text)
            for n, (question, text) in enumerate(zip(questions, texts, strict=True))
        )
        for label, texts in answers.items()
    }
    return side_by_side(Gathered(Material(rows, TRAINING), "test.jsonl", ("Read with care.",)))


@pytest.fixture(scope="module")
def finished() -> Report:
    return side_by_side_report(found())


def terminal(report: Report, width: int) -> str:
    out = io.StringIO()
    print_report(report, Console(file=out, width=width, highlight=False))
    return out.getvalue()


def said(report: Report) -> list[str]:
    """Every text, badge, label and heading that a reader must see."""
    blocks = [block for section in report.sections for block in section.blocks if isinstance(block, Texts)]
    texts = [text for block in blocks for text in block.texts]
    return [
        *(block.caption for block in blocks),
        *(part for text in texts for part in (text.label, text.note, *text.badges)),
        *(word for text in texts for span in text.spans for word in span.text.split()),
    ]


def plain(text: str) -> str:
    return re.sub(r"[\s*]+", "", text)


def test_every_word_badge_and_note_is_in_every_rendering(finished: Report) -> None:
    page = plain(html.unescape(re.sub(r"<[^>]+>", "", to_html(finished))))
    markdown = plain(re.sub(r"\\(.)", r"\1", to_markdown(finished)))
    screen = plain(re.sub(r"[^\S\n]*\n", "\n", terminal(finished, 60)))
    for text in said(finished):
        for name, rendering in (("page", page), ("markdown", markdown), ("terminal", screen)):
            assert plain(text) in rendering, (name, text)


def test_columns_where_they_fit_and_one_below_the_other_where_not(finished: Report) -> None:
    wide, narrow = terminal(finished, 160), terminal(finished, 60)
    heading = next(line for line in wide.splitlines() if "reference" in line and "short" in line and "long" in line)
    assert heading.index("reference") < heading.index("base") < heading.index("long")
    assert not any("base" in line and "Keep salt" in line for line in narrow.splitlines())
    assert max(len(line) for line in narrow.splitlines()) <= 60


def test_text_of_models_never_becomes_markup() -> None:
    report = side_by_side_report(found(hostile=True))
    page, markdown = to_html(report), to_markdown(report)
    assert "<script" not in page
    assert not re.search(r"(?<!\\)<script", markdown)
    assert not re.search(r"(?<!\\)\]\(http", markdown)
    quoted = [line[1:].strip() for line in markdown.splitlines() if line.startswith(">")]
    assert any("item" in line for line in quoted)
    assert not any(re.match(r"[-+#>]|\d+[.)]| {3}", line) for line in quoted)


def test_marks_are_where_they_belong(finished: Report) -> None:
    page = to_html(finished)
    assert "<u><mark>Keep the salt in a dry tin by the north window, </mark></u>friend." in page
    assert "***Keep the salt in a dry tin by the north window,*** friend." in to_markdown(finished)
    assert "<li>copied: 11 words of training source tape 4</li>" in page


def test_every_text_has_a_heading_and_badges_are_a_named_list(finished: Report) -> None:
    page = to_html(finished)
    assert page.count('<article class="texts"') == page.count("<h3>") == 3
    assert page.count("<h4>") == 3 * 4
    assert 'aria-label="Badges of long"' in page


def test_the_overview_counts_what_is_shown(finished: Report) -> None:
    overview = finished.sections[0]
    body = json.dumps(to_json(finished))
    assert "3 prompts from test.jsonl, 3 sources." in body
    assert "Read with care." in body
    table = next(block for block in overview.blocks if hasattr(block, "rows"))
    assert [one.text for one in table.rows[0]] == ["answers", "3", "3", "3", "3"]
    assert ["copied", "0", "0", "1", "0"] in [[one.text for one in row] for row in table.rows]


def test_equal_answers_are_said_to_be_equal(finished: Report) -> None:
    notes = {
        block.caption: block.note
        for section in finished.sections
        for block in section.blocks
        if isinstance(block, Texts)
    }
    assert notes["May I wash wool?"] == "All runs answer the same, word for word."
    assert notes["May I keep salt?"].startswith("Disagreement ")


def test_a_terminal_shows_the_first_prompts_alone() -> None:
    report = side_by_side_report(found(), most=1)
    assert [section.key for section in report.sections] == ["overview", "source-1"]


def test_files_are_named_for_what_they_are(finished: Report, tmp_path: Path) -> None:
    paths = write_report(finished, tmp_path, name="side-by-side")
    assert [path.name for path in paths] == ["side-by-side.md", "side-by-side.html", "side-by-side.json"]
