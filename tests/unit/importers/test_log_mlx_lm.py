from __future__ import annotations

import math
from pathlib import Path

import pytest
from tests.unit.importers.given import facts_of, old_log, read, rows_of, train_line, validation_line, write


def test_a_train_line_keeps_every_field_with_its_place_and_rounding(tmp_path: Path) -> None:
    (row,) = rows_of(write(tmp_path / "a.log", "hello\n" + train_line(1800)))
    assert (row.iteration, row.optimizer_updates, row.place) == (1800, None, "a.log:2")
    assert (row.nats_per_target_token, row.target_tokens, row.learning_rate) == (1.443, 751673, 1e-05)
    assert (row.iterations_per_second, row.tokens_per_second) == (0.417, 180.235)
    assert row.rounding["nats_per_target_token"] == pytest.approx(0.0005)
    assert row.rounding["learning_rate"] == pytest.approx(5e-9)
    assert row.rounding["peak_memory_bytes"] == pytest.approx(5e5 + 8.082 * (2**30 - 1e9))


@pytest.mark.parametrize(
    "line",
    [
        "Iter 10: Train loss 4.461, It/sec 0.608, Tokens/sec 677.748\n",
        "Iter 10: Train loss 4.461, It/sec 0.608, Tokens/sec 677.748, Trained Tokens 11152\n",
        "Iter 10: Train loss 4.461, Learning Rate 1.000e-05, It/sec 0.608, Tokens/sec 677.748, Trained Tokens 11152\n",
        train_line(10, "4.461", "11152.0"),
        "[1,0]<stdout>: " + train_line(10, "4.461", "11152"),
        "\rCalculating loss...:  40%|████      | 4/10 [00:00<00:00, 10.15it/s]" + train_line(10, "4.461", "11152"),
    ],
)
def test_every_dialect_of_the_train_line(tmp_path: Path, line: str) -> None:
    (row,) = rows_of(write(tmp_path / "a.log", line))
    assert (row.iteration, row.nats_per_target_token) == (10, 4.461)
    assert row.target_tokens in (11152, None)


def test_a_validation_line(tmp_path: Path) -> None:
    (row,) = rows_of(write(tmp_path / "a.log", validation_line(1, "2.381")), "validation")
    assert (row.iteration, row.nats_per_target_token, row.seconds) == (1, 2.381, 28.928)


def test_nan_and_inf_stay_what_they_are(tmp_path: Path) -> None:
    rows = rows_of(write(tmp_path / "a.log", train_line(10, "nan") + train_line(20, "inf")))
    assert math.isnan(rows[0].nats_per_target_token or 0.0)
    assert rows[1].nats_per_target_token == math.inf
    assert "nats_per_target_token" not in rows[0].rounding


@pytest.mark.parametrize("cut", range(5, 120, 7))
def test_a_line_that_was_cut_gives_no_number(tmp_path: Path, cut: int) -> None:
    whole = train_line(1800)
    reading = read(write(tmp_path / "a.log", train_line(1790) + whole[:cut]))
    rows = [row for facts in reading.facts for row in facts.rows]
    assert [row.iteration for row in rows] in ([1790], [1790, 1800])
    if len(rows) == 2:
        assert rows[1].target_tokens in (None, 751673)
        assert (rows[1].nats_per_target_token, rows[1].tokens_per_second) == (1.443, 180.235)


def test_a_cut_number_at_the_end_of_the_file_is_not_believed(tmp_path: Path) -> None:
    cut = "Iter 1800: Train loss 1.443, Learning Rate 1.000e-05, It/sec 0.417, Tokens/sec 180.235, Trained Tokens 7516"
    reading = read(write(tmp_path / "a.log", train_line(10) + cut))
    assert len(reading.facts[0].rows) == 1
    assert reading.tally.not_understood == 1


def test_a_line_that_was_cut_and_written_over_by_the_next_run(tmp_path: Path) -> None:
    (row,) = rows_of(write(tmp_path / "a.log", "Iter 1800: Train loss 1.4" + validation_line(1)), "validation")
    assert row.iteration == 1


def test_saves_tell_the_folder_by_name_only(tmp_path: Path) -> None:
    folder = "/etc/x/run7"
    text = (
        f"Iter 100: Saved adapter weights to {folder}/adapters.safetensors and {folder}/0000100_adapters.safetensors.\n"
    )
    facts = facts_of(write(tmp_path / "a.log", text))
    assert facts.labels == ("run7",)
    assert (facts.rows[0].kind, facts.rows[0].iteration) == ("checkpoint", 100)


def test_the_announcements(tmp_path: Path) -> None:
    text = "Trainable parameters: 0.218% (6.717M/3075.099M)\n" + old_log() + "Test loss 1.234, Test ppl 3.435.\n"
    facts = facts_of(write(tmp_path / "a.log", text))
    told = {item.key: item for item in facts.counts}
    assert told["trainable_parameters"].value == 6717000
    assert told["trainable_parameters"].rounding == pytest.approx(500)
    assert {item.key: item.value for item in facts.settings} == {"iters": 40}
    assert facts.finished
    assert facts.rows[-1].text == "test loss 1.234, perplexity 3.435"


def test_the_longest_row_is_the_longest_of_all_warnings(tmp_path: Path) -> None:
    warning = "[WARNING] Some sequences are longer than 512 tokens. The longest sentence {} will be truncated to 512.\n"
    text = "".join(warning.format(n) for n in (600, 739, 590)) + train_line(10)
    facts = facts_of(write(tmp_path / "a.log", text))
    assert [(item.key, item.value) for item in facts.counts] == [("longest_row_tokens", 739)]


def test_mlx_lm_lora_has_its_own_words(tmp_path: Path) -> None:
    text = (
        "Iter 10: loss 1.234, lr 1.000e-05, it/s 0.417, tok/s 180.235, trained_tok 751673, peak_mem 8.082GB\n"
        "Iter 20: loss 0.612, chosen_r 0.100, rejected_r -0.200, acc 0.500, margin 0.300, lr 1.000e-05, it/s 0.417, "
        "tok/s 180.235, peak_mem 8.082GB\n"
    )
    facts = facts_of(write(tmp_path / "a.log", text))
    assert [row.nats_per_target_token for row in facts.rows] == [1.234, None], "the loss of preferences is in no nats"
    assert dict(facts.rows[1].others) == {"loss": 0.612}
    assert facts.rows[1].text == "chosen_r 0.100, rejected_r -0.200, acc 0.500, margin 0.300"
    assert {clue.tool for clue in facts.clues} == {"mlx-lm-lora"}
