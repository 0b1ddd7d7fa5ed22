"""Reports of many runs: rows for columns, the best first, long lists folded."""

from __future__ import annotations

from pathlib import Path

from tests.support.run_folders import Told, make_run, random_losses

from runoff.comparison import compare, verdict
from runoff.report import Report, report
from runoff.report.arrange import MOST_CHARACTERS, MOST_COLUMNS, MOST_PARAGRAPHS, arranged
from runoff.report.markdown import to_markdown
from runoff.report.model import Paragraph, Section, Table, cell

LABELS = [f"r{number}" for number in range(MOST_COLUMNS + 1)]


def of_runs(root: Path, count: int) -> Report:
    """Runs whose held-out loss falls with their number."""
    losses = random_losses(1)
    runs = [
        make_run(root, f"r{at}", Told(settings={"num_layers": 2 + at}), losses=losses - 0.1 * at) for at in range(count)
    ]
    comparison = compare(runs)
    return report(comparison, verdict(comparison))


def table(finished: Report, caption: str) -> Table:
    return next(
        block
        for section in finished.sections
        for block in section.blocks
        if isinstance(block, Table) and block.caption == caption
    )


def test_few_runs_are_columns(tmp_path: Path) -> None:
    found = table(of_runs(tmp_path, 3), "Settings that differ or may differ, as they took effect")
    assert found.columns == ("setting", "r0", "r1", "r2", "what follows")


def test_many_runs_are_rows_the_best_first(tmp_path: Path) -> None:
    finished = of_runs(tmp_path, MOST_COLUMNS + 2)
    found = table(finished, "Settings that differ or may differ, as they took effect")
    assert found.columns == ("run", "num_layers")
    assert [row[0].text for row in found.rows] == [f"r{at}" for at in reversed(range(MOST_COLUMNS + 2))]
    assert [row[1].value for row in found.rows] == [2 + at for at in reversed(range(MOST_COLUMNS + 2))]
    follows = table(finished, "Settings that differ or may differ, as they took effect: what follows")
    assert follows.columns == ("setting", "what follows")
    held_out = next(one for section in finished.sections if section.key == "results" for one in section.blocks)
    assert isinstance(held_out, Table)
    assert [row[0].text for row in held_out.rows[:3]] == ["base", "r7", "r6"]


def test_of_many_runs_the_leader_is_held_against_each_other_one(tmp_path: Path) -> None:
    finished = of_runs(tmp_path, MOST_COLUMNS + 2)
    found = table(finished, "Paired differences on the same answers (negative: the first is better)")
    against = [row[0].text for row in found.rows if not row[0].text.endswith("base")]
    assert against == [f"r7 - r{at}" for at in range(7)]
    assert found.note.endswith("the one with the lowest loss is held against each other one.")
    assert set(finished.facts["held_out"]["differences"]) == {f"r7-r{at}" for at in range(7)}


def test_what_runs_are_measured_against_becomes_a_row_and_words_a_table_of_their_own() -> None:
    columns = ("measure", "base", *LABELS, "finding")
    rows = ((cell("style"), *(cell(at, at) for at in range(len(LABELS) + 1)), cell("r6 better")),)
    numeric = (False, *(True,) * (len(LABELS) + 1), False)
    section = arranged(Section("s", "S", (Table("t", columns, rows, numeric),)), LABELS)
    turned, words = section.blocks
    assert isinstance(turned, Table)
    assert isinstance(words, Table)
    assert [row[0].text for row in turned.rows] == ["base", *LABELS]
    assert turned.columns == ("run", "style")
    assert [[one.text for one in row] for row in words.rows] == [["style", "r6 better"]]


def test_a_long_list_of_sentences_becomes_a_table_warnings_first() -> None:
    many = [Paragraph(f"note {at}") for at in range(MOST_PARAGRAPHS)] + [Paragraph("careful", role="warning")]
    (folded,) = arranged(Section("s", "S", tuple(many)), LABELS).blocks
    assert isinstance(folded, Table)
    assert [one.text for one in folded.rows[0]] == ["warning", "careful"]
    assert folded.remark == f"Showing 12 of {MOST_PARAGRAPHS + 1} rows; report.json has all of them."
    assert arranged(Section("s", "S", tuple(many[:3])), LABELS).blocks == tuple(many[:3])


def test_a_sentence_about_every_run_is_cut_where_it_can_not_be_read() -> None:
    text = ", ".join(f"run {at} has {at} blocks" for at in range(200))
    (cut,) = arranged(Section("s", "S", (Paragraph(text),)), LABELS).blocks
    assert isinstance(cut, Paragraph)
    assert len(cut.text) < MOST_CHARACTERS + 50
    assert cut.text.endswith(" blocks, and so on for the other runs.")


def test_a_large_table_is_folded_in_markdown_and_a_small_one_is_not(tmp_path: Path) -> None:
    assert "<details><summary><b>" in to_markdown(of_runs(tmp_path / "many", MOST_COLUMNS + 2))
    small = to_markdown(of_runs(tmp_path / "few", 2))
    assert "**Settings that differ or may differ, as they took effect**" in small
