from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from tests.unit.importers.given import (
    GOLDEN,
    codes,
    count,
    facts_of,
    old_log,
    one,
    read,
    rows_of,
    train_line,
    validation_line,
    write,
)

from runoff.errors import ImportFailed
from runoff.importers import import_runs
from runoff.importers.lines import blocks, clean, half_width, lines_with


def test_a_restart_begins_a_new_segment(tmp_path: Path) -> None:
    rows = rows_of(write(tmp_path / "a.log", train_line(10) + train_line(20) + train_line(10) + train_line(20)))
    assert [row.segment for row in rows] == [0, 0, 1, 1]


def test_runs_appended_to_one_file_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    path = write(tmp_path / "all.log", old_log(save="out/first") + old_log(60, save="out/second"))
    report = import_runs([path], root=tmp_path / "runs")
    assert [run.name for run in report.runs] == ["first", "second"]
    assert [max(row.iteration or 0 for row in run.metrics) for run in report.runs] == [40, 60]
    assert {row.segment for run in report.runs for row in run.metrics} == {0}


def test_a_run_that_was_started_again_is_one_run_with_segments(tmp_path: Path) -> None:
    crashed = old_log(save="out/x").split("Iter 30")[0]
    imported = one(tmp_path, write(tmp_path / "x.log", crashed + old_log(save="out/x")))
    assert {row.segment for row in imported.merged.rows} == {0, 1}
    assert "I106" in codes(imported)
    assert count(imported, "iterations").value == 40


def test_a_log_that_goes_on_in_a_second_file_has_one_segment(tmp_path: Path) -> None:
    whole = old_log(save="out/x")
    head, middle, tail = whole.partition("Iter 30")
    imported = one(tmp_path, write(tmp_path / "x1.log", head), write(tmp_path / "x2.log", middle + tail), name="x")
    assert {row.segment for row in imported.merged.rows} == {0}


def test_the_same_rows_in_two_files_count_once(tmp_path: Path) -> None:
    whole = old_log(save="out/x")
    part = "\n".join(whole.splitlines()[-4:]) + "\n"
    imported = one(tmp_path, write(tmp_path / "x.log", whole), write(tmp_path / "x_tail.log", part))
    assert len(imported.merged.rows) == len(rows_of(tmp_path / "x.log")) + len(
        rows_of(tmp_path / "x.log", "validation")
    )
    assert "I104" not in codes(imported)


def test_what_looks_like_metrics_and_is_none_is_shown(tmp_path: Path) -> None:
    reading = read(
        write(tmp_path / "a.log", train_line(10) + "Iter 20: Train loss 1.4\nepoch 3 loss: 0.3 acc: 0.9\nhello\n")
    )
    assert (reading.tally.read, reading.tally.skipped, reading.tally.not_understood) == (4, 1, 2)
    assert reading.tally.samples[0] == "a.log:2: Iter 20: Train loss 1.4"


def test_samples_are_printable_and_bounded(tmp_path: Path) -> None:
    reading = read(write(tmp_path / "a.log", "Iter 20: Train loss \x07" + "x" * 9000 + "\n" + train_line(10)))
    (sample,) = reading.tally.samples
    assert sample.isprintable()
    assert len(sample) < 200


def test_carriage_returns_part_lines_but_do_not_number_them(tmp_path: Path) -> None:
    text = "a\rb\r" + validation_line(1).strip() + "\rc\n" + train_line(10)
    path = write(tmp_path / "a.log", text)
    assert rows_of(path, "validation")[0].place == "a.log:1"
    assert rows_of(path)[0].place == "a.log:2"


def test_windows_line_ends(tmp_path: Path) -> None:
    path = write(tmp_path / "a.log", (train_line(10) + validation_line(20)).replace("\n", "\r\n"))
    assert [row.place for row in rows_of(path) + rows_of(path, "validation")] == ["a.log:1", "a.log:2"]


def test_lines_are_the_same_wherever_a_block_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.log", old_log(400))
    wanted = facts_of(path).rows
    for size in (150, 200, 333, 1000):
        monkeypatch.setattr("runoff.importers.lines.BLOCK_BYTES", size)
        assert facts_of(path).rows == wanted


def test_a_line_without_end_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    with path.open("wb") as file:
        file.write(train_line(10).encode() + b"x" * 40_000_000 + b"\n" + train_line(20).encode())
    tracemalloc.start()
    rows = rows_of(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [row.iteration for row in rows] == [10, 20]
    assert peak < 16_000_000


def test_lines_with_finds_each_line_once_in_order() -> None:
    block = "x\nIter 1 Iter 2\ny\rIter 3\nz"
    assert [(breaks, block[start:end]) for breaks, start, end in lines_with(block, ["Iter ", "3"])] == [
        (1, "Iter 1 Iter 2"),
        (2, "Iter 3"),
    ]


def test_blocks_keep_every_byte(tmp_path: Path) -> None:
    raw = bytes(range(256)) * 9000
    path = write(tmp_path / "a.bin", raw)
    with path.open("rb") as file:
        assert "".join(text for text, _ in blocks(file)).encode("latin-1") == raw


def test_clean_takes_colours_and_cursor_movements_away() -> None:
    raw = "\x1b[2K\x1b[1A\x1b[38;5;244m   5\x1b[0m ▼\x1b]0;title\x07".encode().decode("latin-1")
    assert clean(raw) == "   5 ▼"


@pytest.mark.parametrize(
    ("text", "width"),
    [
        *(("1.443", 5e-4), ("1.000e-05", 5e-9), ("12", None), ("nan", None), ("0.6", 0.05)),
        *(("1.1e9996667", None), ("1.1e-9996667", None)),
    ],
)
def test_half_width(text: str, width: float | None) -> None:
    assert half_width(text) == (pytest.approx(width) if width else None)


@pytest.mark.parametrize("name", ["mlx_0.32_pipe.log", "trl_stdout.log"])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_utf_16_reads_like_utf_8(tmp_path: Path, name: str, encoding: str) -> None:
    text = (GOLDEN / name).read_text("utf-8")
    mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
    wide = write(tmp_path / "16" / name, mark + text.encode(encoding))
    assert read(wide) == read(write(tmp_path / "8" / name, text))


def test_times_of_a_log_collector_before_each_line(tmp_path: Path) -> None:
    text = (GOLDEN / "mlx_0.32_pipe.log").read_text("utf-8")
    stamped = "".join(f"2025-11-02T10:00:00.123Z {line}\n" for line in text.splitlines())
    assert read(write(tmp_path / "a" / "x.log", stamped)).facts == read(write(tmp_path / "b" / "x.log", text)).facts


@pytest.mark.parametrize("start", [b"\x1f\x8b\x08", b"PK\x03\x04", b"BZh9", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd"])
def test_packed_files_are_to_be_unpacked_first(tmp_path: Path, start: bytes) -> None:
    with pytest.raises(ImportFailed, match=r"a\.log\.x is packed .*unpack it first\.$"):
        import_runs([write(tmp_path / "a.log.x", start + b"rest" * 9)], root=tmp_path / "runs")
