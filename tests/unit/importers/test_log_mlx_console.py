from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.importers.given import GOLDEN, count, facts_of, one, read, rows_of, write


def test_the_pipe_of_0_32(tmp_path: Path) -> None:
    rows = rows_of(GOLDEN / "mlx_0.32_pipe.log")
    assert [row.iteration for row in rows] == [5, 10, 15, 20, 23]
    assert rows[0].nats_per_target_token == 5.846
    assert rows[0].target_tokens == 600
    assert rows[0].rounding["target_tokens"] == 50
    assert rows[0].learning_rate is rows[0].peak_memory_bytes is rows[0].iterations_per_second is None
    assert [row.iteration for row in rows_of(GOLDEN / "mlx_0.32_pipe.log", "validation")] == [1, 10, 20, 23]
    assert [row.iteration for row in rows_of(GOLDEN / "mlx_0.32_pipe.log", "checkpoint")] == [10, 20]


def test_places_are_the_lines_that_an_editor_shows() -> None:
    for name in ("mlx_0.32_pipe.log", "mlx_0.32_both_streams.log", "mlx_0.32_terminal.log"):
        lines = (GOLDEN / name).read_bytes().decode().split("\n")
        for row in rows_of(GOLDEN / name):
            line = lines[int((row.place or "").rpartition(":")[2]) - 1]
            assert f"{row.nats_per_target_token:.3f}" in line


def test_a_captured_terminal_reads_like_the_pipe() -> None:
    both, terminal = (rows_of(GOLDEN / f"mlx_0.32_{name}.log") for name in ("both_streams", "terminal"))
    assert [(row.iteration, row.nats_per_target_token) for row in both] == [
        (row.iteration, row.nats_per_target_token) for row in terminal
    ]


def test_the_panel_tells_settings() -> None:
    facts = facts_of(GOLDEN / "mlx_0.32_pipe.log")
    told = {item.key: item.value for item in facts.settings}
    assert told == {
        "model": "tiny",
        "fine_tune_type": "lora",
        "num_layers": 2,
        "lora_parameters.rank": 8,
        "data": "data",
        "optimizer": "adamw",
        "learning_rate": 0.001,
        "batch_size": 2,
        "iters": 23,
        "max_seq_length": 64,
    }
    assert facts.labels == ("long",)


@pytest.mark.parametrize(
    ("line", "loss", "tokens", "speed"),
    [
        ("  1,800    1.443 ▼      1,180    751.7k\n", 1.443, 751_700, 1180),
        ("  12800   12.500 ▲     11,180    1234.5k\n", 12.5, 1_234_500, 11180),
        ("    10      nan ▲         0      0.0k\n", None, 0, 0),
    ],
)
def test_rows_without_colours(tmp_path: Path, line: str, loss: float | None, tokens: int, speed: float) -> None:
    (row,) = rows_of(write(tmp_path / "a.log", line))
    assert (row.target_tokens, row.tokens_per_second) == (tokens, speed)
    assert loss is None or row.nats_per_target_token == loss


@pytest.mark.parametrize("mark", ["", "?", "v", "\u00e2\u2013\u00bc"])
def test_rows_whose_arrows_a_code_page_lost(tmp_path: Path, mark: str) -> None:
    """The last one is UTF-8 read as Windows-1252."""
    text = (GOLDEN / "mlx_0.32_pipe.log").read_text("utf-8").replace("▼", mark).replace("▲", mark)
    found, whole = (rows_of(path) for path in (write(tmp_path / "a.log", text), GOLDEN / "mlx_0.32_pipe.log"))
    assert [(row.iteration, row.nats_per_target_token, row.target_tokens) for row in found] == [
        (row.iteration, row.nats_per_target_token, row.target_tokens) for row in whole
    ]


def test_a_table_of_another_kind_is_not_taken_for_rows(tmp_path: Path) -> None:
    reading = read(write(tmp_path / "a.log", "│ model │ price ▲ │\nNASDAQ 12,000 ▲ 3 1.2k\n 10 val x 0.3s\n"))
    assert reading.facts == ()


def test_tokens_of_the_console_carry_their_rounding_into_the_counts(tmp_path: Path) -> None:
    run = one(tmp_path, GOLDEN / "mlx_0.32_pipe.log")
    value = count(run, "target_tokens")
    assert value.origin.why == "printed rounded, +-50"
    assert not count(run, "training_seconds").known
