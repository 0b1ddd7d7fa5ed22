"""Every importer on files that were cut, mutated or never were what their name says: facts, or one sentence."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.importers.given import GOLDEN, mlx_adapter, mlx_config, old_log, tensorboard_event, train_line
from tests.unit.importers.test_model_card import CARD
from tests.unit.importers.test_other_tools import LIGHTNING, LITGPT
from tests.unit.importers.test_panels import TWO
from tests.unit.importers.test_training_arguments import ARGUMENTS, text_event

from runoff.errors import ImportFailed, RunoffError
from runoff.importers import IMPORTERS, Importer, import_runs
from runoff.importers.facts import Reading, SourceFile

FAST = settings(max_examples=60, suppress_health_check=list(HealthCheck))
NAMES = (
    "a.log",
    "adapter_config.json",
    "adapters.safetensors",
    "a.yaml",
    "config.yaml",
    "trainer_state.json",
    "m.csv",
    "m.jsonl",
    "trainer_log.jsonl",
    "metrics.json",
    "events.out.tfevents.1.x",
    "wandb-summary.json",
    "run.wandb",
    "README.md",
)


def _seeds() -> list[bytes]:
    import json

    with tempfile.TemporaryDirectory() as folder:
        adapter = mlx_adapter(Path(folder) / "adapters.safetensors").read_bytes()
    files = [path.read_bytes() for path in sorted(GOLDEN.rglob("*")) if path.is_file()]
    yaml = b"model: m\niters: 40\nnum_layers: 4\nlora_alpha: 8\nlora_parameters:\n  rank: 8\n  alpha: 16\n  keys: [q]\n"
    return [
        *files,
        adapter,
        old_log().encode(),
        json.dumps(mlx_config(lora_alpha=8, use_dora=True, lr_schedule={"name": "x", "arguments": [1]})).encode(),
        yaml,
        b"iteration,train_loss,val_loss\n10,2.5,\n20,2.25,2.4\n",
        b'{"current_steps": 5, "total_steps": 20, "loss": 1.5, "epoch": 0.5}\n' * 3,
        b'{"final_iteration": 40, "final_train_loss": 1.4, "eval_loss": null}',
        b"_wandb:\n  value: {}\nlearning_rate:\n  value: 0.001\n",
        b"".join(tensorboard_event(step, "train/loss", 1.0) for step in (1, 2, 3)),
        b'[{"iteration": 10, "train_loss": 2.5},\n {"iteration": 20, "val_loss": 2.25}]',
        b'{"iteration": [10, 20], "train_loss": [2.5, 2.25], "val_loss": [2.5, null]}',
        json.dumps({"r": 8, "lora_alpha": 16, "peft_type": "LORA", "rank_pattern": {"q": 4}}).encode(),
        b"iteration;train_loss\n10;2,5\n20;2,251\n",
        old_log().encode("utf-16"),
        b'{"train/loss": 1.5, "eval/loss": 1.25, "train/global_step": 5, "_step": 4}',
        b"W\x01wandb history",
        CARD.encode(),
        TWO.encode(),
        b'"Name","State","train/global_step","train/loss"\n"a","finished","450","1.5"\n"b","crashed","100",""\n',
        LITGPT.encode(),
        LIGHTNING.encode(),
        text_event("args/text_summary", json.dumps(ARGUMENTS)) + tensorboard_event(2, "train/loss", 2.0),
        json.dumps(
            {
                "global_step": 12,
                "max_steps": 36,
                "epoch": 2.0,
                "num_train_epochs": 6,
                "best_global_step": 10,
                "log_history": [
                    {
                        "step": 12,
                        "epoch": 2.0,
                        "train_samples_per_second": 4.0,
                        "train_steps_per_second": 1.0,
                        "rewards/chosen": 0.1,
                        "loss": 0.6,
                    }
                ],
            }
        ).encode(),
    ]


SEEDS = _seeds()
ODD = (
    b"",
    b"\0",
    b"\xff\xfe",
    b"nan",
    b"1e999",
    b"-1",
    b"\n",
    b"\r",
    b'"',
    b"{",
    b"}",
    b"[" * 400,
    b"99999999999999999999",
    b"\x1b[",
    b": ",
    b"null",
    b"true",
)


def _own(importer: Importer) -> list[tuple[str, bytes]]:
    """Names and files that the importer takes for its own."""
    sources = ((name, raw, SourceFile(Path(name), name, raw[: 1 << 16], len(raw))) for name in NAMES for raw in SEEDS)
    return [(name, raw) for name, raw, source in sources if importer.accepts(source)]


OWN = {importer.kind: _own(importer) for importer in IMPORTERS}


@st.composite
def mutated(draw: st.DrawFn, seeds: list[bytes] = SEEDS) -> bytes:
    """A real file, cut and with a few places overwritten."""
    raw = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, max(len(raw) - 1, 0)))
        piece = draw(st.one_of(st.sampled_from(ODD), st.binary(max_size=12)))
        raw[at : at + draw(st.integers(0, 40))] = piece
    return bytes(raw[: draw(st.integers(0, len(raw)))]) if draw(st.booleans()) else bytes(raw)


def _reading(importer: Importer, source: SourceFile) -> tuple[Reading | None, str]:
    try:
        return importer.read(source), ""
    except ImportFailed as error:
        return None, str(error)


def _source(folder: str, name: str, raw: bytes) -> SourceFile:
    path = Path(folder) / name
    path.write_bytes(raw)
    return SourceFile(path, name, raw[: 1 << 16], len(raw))


@pytest.mark.parametrize("importer", IMPORTERS, ids=lambda importer: importer.kind)
def test_every_importer_has_files_of_its_own_to_mutate(importer: Importer, tmp_path: Path) -> None:
    sentences = set()
    for number, (name, raw) in enumerate(OWN[importer.kind]):
        (tmp_path / str(number)).mkdir()
        reading, sentence = _reading(importer, _source(str(tmp_path / str(number)), name, raw))
        sentences.add(sentence)
        if reading is not None and reading.facts:
            return
    assert importer.kind == "wandb history"
    assert len(sentences) == 1


@pytest.mark.parametrize("importer", IMPORTERS, ids=lambda importer: importer.kind)
@FAST
@given(data=st.data())
def test_every_importer_reads_anything_or_says_a_sentence(importer: Importer, data: st.DataObject) -> None:
    own = OWN[importer.kind]
    if data.draw(st.integers(0, 3)):
        name, seed = data.draw(st.sampled_from(own))
        raw = data.draw(mutated([seed]))
    else:
        name, raw = data.draw(st.sampled_from(NAMES)), data.draw(st.one_of(mutated(), st.binary(max_size=400)))
    with tempfile.TemporaryDirectory() as folder:
        source = _source(folder, name, raw)
        importer.accepts(source)
        reading, sentence = _reading(importer, source)
        assert "\n" not in sentence
        assert folder not in sentence
    for row in (row for facts in (reading.facts if reading else ()) for row in facts.rows):
        assert row.place
        assert all(width > 0 and math.isfinite(width) for width in row.rounding.values())


@settings(FAST, max_examples=200)
@given(files=st.lists(st.tuples(st.sampled_from(NAMES), mutated()), min_size=1, max_size=3), together=st.booleans())
def test_any_mixture_is_imported_or_refused_and_can_be_read_back(
    files: list[tuple[str, bytes]], together: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for number, (name, raw) in enumerate(files):
            below = Path(folder) / "given" / str(number)
            below.mkdir(parents=True)
            paths.append(_source(str(below), name, raw).path)
        try:
            report = import_runs(paths, root=Path(folder) / "runs", name="x" if together else None)
        except RunoffError:
            return
        for run in report.runs:
            assert run.plan.counts
            assert len(run.metrics) == sum(len(each.merged.rows) for each in report.imported if each.run is run)


@settings(FAST, max_examples=60)
@given(cut=st.integers(0, 500), loss=st.sampled_from(("1.443", "nan", "inf", "12.000")))
def test_no_number_is_invented_at_a_cut(cut: int, loss: str) -> None:
    text = "".join(train_line(10 * n, loss, str(1000 * n)) for n in range(1, 5))
    with tempfile.TemporaryDirectory() as folder:
        source = _source(folder, "a.log", text[: min(cut, len(text))].encode())
        importer = next(importer for importer in IMPORTERS if importer.kind == "log")
        rows = [row for facts in importer.read(source).facts for row in facts.rows]
    for row in rows:
        assert str(row.nats_per_target_token) == str(float(loss))
        assert row.tokens_per_second == 180.235
        assert row.target_tokens in (None, (row.iteration or 0) * 100)
