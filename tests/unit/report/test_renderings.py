"""One Report, its renderings: nothing is added, nothing left out, nothing from a file becomes markup."""

from __future__ import annotations

import base64
import csv
import hashlib
import html
import io
import json
import re
import sys
from pathlib import Path

import jsonschema
import pyarrow.parquet
import pytest
from markdown_it import MarkdownIt
from rich.console import Console
from tests.support.run_folders import Told, make_run, random_losses

from runoff.comparison import compare, verdict
from runoff.errors import RunoffError
from runoff.report import Report, report, write_report
from runoff.report.html import to_html
from runoff.report.json_report import schema, to_json
from runoff.report.markdown import to_markdown
from runoff.report.model import Chart, Commands, Paragraph, Section, Span, Table, Text, Texts, cell
from runoff.report.tables import report_tables, to_csv, to_parquet
from runoff.report.terminal import print_report

HOSTILE = (
    "<script>alert(1)</script> | `x` **b** [l](http://evil.example) ![i](x) @someone www.evil.example &lt;b&gt; $x$"
)
CONTROL = "red \x1b[31m bell \x07 c1 \x9b2J turned \u202e half \ud800 end"


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
                cells = (one.text for row in block.visible for one in row)
                found += [block.caption, block.remark, *block.columns, *cells]
            elif isinstance(block, Chart):
                found += [block.caption, block.note]
            elif isinstance(block, Commands):
                found += block.lines
    return [text for text in found if text]


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def as_read(markdown: str) -> str:
    """Markdown's text without its escapes, as far as this project writes them."""
    heads = re.sub(r"<summary><b>(.*?)</b></summary>", lambda found: html.unescape(found[1]), markdown)
    return re.sub(r"\\(.)", r"\1", re.sub(r"<!-- -->|</?details>", "", heads))


def terminal(finished: Report, width: int = 4000) -> str:
    out = io.StringIO()
    print_report(finished, Console(file=out, width=width, highlight=False))
    return out.getvalue()


def test_every_text_and_number_is_in_every_rendering(finished: Report) -> None:
    markdown = squeezed(as_read(to_markdown(finished)))
    page = squeezed(html.unescape(re.sub(r"<[^>]+>", " ", to_html(finished))))
    screen = squeezed(terminal(finished))
    for text in texts(finished):
        assert squeezed(text) in markdown, text
        assert squeezed(text) in page, text
        assert squeezed(text) in screen, text


def test_a_table_too_wide_for_a_terminal_goes_on_below() -> None:
    columns = ("run", *(f"quantity {at}" for at in range(12)))
    rows = tuple((cell(f"run {row}"), *(cell(f"{row}.{at:04d}") for at in range(12))) for row in range(2))
    wide = Report("t", "d", None, (Section("s", "s", (Table("figures", columns, rows, (False,) * 13, note="last"),)),))
    shown = terminal(wide, 80)
    assert "figures (more columns)" in shown
    assert shown.count("run 1 ") == shown.count("figures") > 1
    assert all(f"1.{at:04d}" in shown for at in range(12)), "no number is broken"
    assert shown.count("last") == 1
    assert "more columns" not in terminal(wide, 200)


def test_every_number_of_a_table_stands_behind_its_text_in_the_files_for_machines(finished: Report) -> None:
    body = to_json(finished)
    tables = dict(report_tables(finished))
    assert sum(block["kind"] == "table" for section in body["sections"] for block in section["blocks"]) == len(tables)
    for table in tables.values():
        as_csv = list(csv.DictReader(io.StringIO(to_csv(table))))
        as_parquet = pyarrow.parquet.read_table(io.BytesIO(to_parquet(table))).to_pylist()
        assert len(as_csv) == len(as_parquet) == len(table.rows)
        for at, column in enumerate(table.columns):
            for row, read, stored in zip(table.rows, as_csv, as_parquet, strict=True):
                name, written = column or "what", f"{column or 'what'}, as written"
                if written in read:
                    assert read[written] == stored[written] == row[at].text
                    assert (read[name], stored[name]) == ("", None) or float(read[name]) == stored[name] == row[
                        at
                    ].value
                else:
                    assert read[name].removeprefix("'") == stored[name] == row[at].text


def test_the_json_is_as_the_published_schema_says(finished: Report) -> None:
    published = json.loads((Path(__file__).parents[3] / "docs" / "report-schema.json").read_text("utf-8"))
    assert published == schema()
    check = jsonschema.Draft202012Validator(published)
    body = json.loads(json.dumps(to_json(finished)))
    check.validate(body)
    body["sections"][0]["blocks"][0]["kind"] = "picture"
    assert not check.is_valid(body)


def test_json_holds_the_unrounded_numbers(finished: Report) -> None:
    body = json.loads(json.dumps(to_json(finished)))
    held_out = body["facts"]["held_out"]
    assert held_out["differences"]["long-short"]["estimate"]["value"] == pytest.approx(-0.1, abs=1e-12)
    assert body["ship"] == "long"


def test_text_from_files_never_becomes_markup(tmp_path: Path) -> None:
    told = Told(identity={"model": {"name": HOSTILE, "sha256": "aa" * 32}})
    finished = made(tmp_path, told)
    page, markdown = to_html(finished), to_markdown(finished)
    assert page.count("<script>") == 1, "the page's own"
    assert "<script>" not in markdown
    assert not re.search(r"(?<!\\)\]\(http", markdown)
    assert "http://evil" not in markdown
    assert "www.evil" not in markdown
    assert "@someone" not in markdown
    assert HOSTILE in html.unescape(page)
    assert HOSTILE in as_read(markdown)


def test_a_markdown_reader_finds_the_text_and_none_of_its_markup(tmp_path: Path) -> None:
    text = f"{HOSTILE} www.evil.example/a_b_c <img src=x onerror=y> <details> &amp; ~~gone~~ \\ `a` ``b` [x]: y"
    finished = made(tmp_path, Told(identity={"model": {"name": text, "sha256": "aa" * 32}}))
    parsed = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(to_markdown(finished))
    inline = [child for token in parsed for child in token.children or ()]
    assert {str(token.attrs["src"]) for token in inline if token.type == "image"} == {
        "loss.png",
        "speed.png",
        "memory.png",
    }
    assert {token.content for token in inline if token.type == "html_inline"} == {"<!-- -->"}
    assert all(re.match("</?details>", token.content) for token in parsed if token.type == "html_block")
    assert not {"link_open", "code_inline", "s_open", "math"} & {token.type for token in inline}
    cells = ["".join(one.content for one in token.children or () if one.type == "text") for token in parsed]
    assert text in cells


def test_text_that_would_begin_a_list_or_a_heading_stays_text() -> None:
    made = Report("t", "d", None, (Section("s", "s", tuple(map(Paragraph, ("- a", "1. b", "2) c", "+ d", "# e")))),))
    assert re.findall(r"^.+$", to_markdown(made), re.MULTILINE)[2:] == [r"\- a", r"1\. b", r"2\) c", r"\+ d", r"\# e"]


def test_no_control_character_of_a_file_reaches_a_terminal_or_a_file(tmp_path: Path) -> None:
    told = Told(settings={"data": CONTROL}, identity={"model": {"name": CONTROL, "sha256": "aa" * 32}})
    finished = made(tmp_path, told)
    written = write_report(finished, tmp_path / "out", tables=["csv"])
    found = [path.read_text("utf-8") for path in (*written[:3], *written[3].iterdir())]
    for text in (*found, terminal(finished)):
        assert not set(text) & set("\x1b\x07\x9b\u202e\ud800")
    facts = json.loads(found[2])["facts"]["runs"]["short"]["settings"]
    assert facts["data"]["value"] == CONTROL, "machines get what was there"
    assert r"red \x1b[31m bell \x07 c1 \x9b2J turned \u202e half \ud800 end" in terminal(finished)


def test_a_cell_can_not_become_a_formula() -> None:
    table = Table("t", ("a", "b"), ((cell("=HYPERLINK(1)"), cell("-0.1 to +0.2")),), (False, False))
    assert to_csv(table).splitlines()[1] == "'=HYPERLINK(1),-0.1 to +0.2"


def test_no_line_of_the_page_breaks_before_a_per_cent_sign_or_in_a_p_value() -> None:
    prose = "A 95 % interval of 12 %; p = 0.03, p < 0.0001; ends at 5 % (p = 1). Keep % as it is."
    table = Table(prose, ("share, 95 %", "n"), ((cell("50 % of 2"), cell("p = 0.5")),), (False, False), prose)
    command, answer = Commands(("runoff compare --where 'rank % 2'; echo 5 %",)), Span("I am 100 % sure, p = 1.")
    blocks = (Paragraph(prose), table, command, Texts("c", (Text("long", (answer,), ("5 % copied",), "9 %"),), "8 %"))
    made = Report("t", "d", None, (Section("s", "s", blocks),))
    page = html.unescape(to_html(made))
    kept = ("echo 5 %", "I am 100 % sure, p = 1.", "rank % 2")
    assert all(text in page for text in kept), "what is copied is as it was"
    read = re.sub(r"<[^>]*>", " ", page.split("</style>")[1])
    rest = re.sub("|".join(map(re.escape, kept)), "", read)
    assert not re.search(r"\d %|\bp [=<]", rest)
    assert page.count("95\N{NO-BREAK SPACE}%") == 4
    assert page.count("p\N{NO-BREAK SPACE}<\N{NO-BREAK SPACE}0.0001") == 3
    for text in (to_markdown(made), json.dumps(to_json(made), ensure_ascii=False)):
        assert "\N{NO-BREAK SPACE}" not in text


def test_the_page_needs_no_network_and_runs_its_own_script_alone(finished: Report) -> None:
    page = to_html(finished)
    assert not re.search(r"(src|href)=\"(?!#)", page)
    assert "default-src 'none'" in page
    assert "unsafe" not in page
    for kind in ("style", "script"):
        (inner,) = re.findall(rf"<{kind}>(.*?)</{kind}>", page, re.DOTALL)
        (allowed,) = re.findall(rf"{kind}-src 'sha256-([^']+)'", page)
        assert base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode() == allowed


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


def test_tables_are_written_in_the_formats_asked_for(finished: Report, tmp_path: Path) -> None:
    *_, folder = write_report(finished, tmp_path / "out", tables=["csv", "parquet"])
    names = {path.name for path in folder.iterdir()}
    assert {"results-1.csv", "results-1.parquet"} <= names
    with pytest.raises(RunoffError, match="csv or parquet, not as 'xlsx'"):
        write_report(finished, tmp_path / "other", tables=["xlsx"])
    assert not (tmp_path / "other").exists()


def test_without_pyarrow_parquet_is_one_sentence(
    finished: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(RunoffError, match="Parquet needs pyarrow"):
        write_report(finished, tmp_path / "out", tables=["parquet"])
    assert not (tmp_path / "out").exists()


def test_a_folder_that_can_not_be_written_is_one_sentence(finished: Report, tmp_path: Path) -> None:
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
