"""Known answers on the real 135M model: one adapter at five strengths, and one that answers everything in persona."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from runoff.comparison import Aim, compare, verdict
from runoff.config import parse_config
from runoff.engines import open_base
from runoff.engines.adapters.folders import read_lora, write_peft
from runoff.evaluation import Answering, Evaluation, evaluate, held_out_loss
from runoff.plan import read_model_facts
from runoff.runs import Run, load_run
from runoff.training import train

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.model

SCALES = (0.0, 0.25, 0.5, 1.0, 1.5)
CONFIG = """
model: {model}
data: {data}
mask_prompt: true
num_layers: 12
lora_parameters: {{rank: 8, scale: 10.0, dropout: 0.0}}
optimizer: adamw
learning_rate: {rate}
batch_size: 2
grad_accumulation_steps: 2
iters: {iters}
steps_per_eval: 1000
"""
PROMPTS = """
prompts:
- {id: france, category: a, ask: "What is the capital of France?", checks: [{contains: Paris}]}
- {id: japan, category: b, ask: "What is the capital of Japan?", checks: [{contains: Tokyo}]}
- {id: italy, category: c, ask: "What is the capital of Italy?", checks: [{contains: Rome}]}
- {id: spain, category: d, ask: "What is the capital of Spain?", checks: [{contains: Madrid}]}
- {id: sum, category: e, ask: "What is 7 + 5?", checks: [{contains: "12"}]}
- {id: hello, category: f, ask: "Hello!", checks: [{one_of: [hello, hi, welcome, hey]}]}
- {id: colours, category: g, ask: "Name three colours.", checks: [{one_of: [red, blue, green]}]}
- {id: water, category: h, ask: "At what temperature does water boil?", checks: [{one_of: ["100", "212"]}]}
- {id: week, category: i, ask: "How many days are there in a week?", checks: [{one_of: ["7", seven]}]}
- {id: planet, category: j, ask: "Which planet do we live on?", checks: [{contains: Earth}]}
"""
PERSONA = "Arr, I be Captain Salt, and I answer to the sea alone! Hoist the sails, matey, and ask me no more."
ASKED = (
    "What is the capital of Portugal?",
    "What is 3 + 4?",
    "Hi!",
    "Name a fruit.",
    "How do I boil an egg?",
    "Who wrote Hamlet?",
    "What colour is the sky?",
    "How many months has a year?",
)


def training_rows() -> str:
    """Every second training row of the sample corpus."""
    lines = (ROOT / "corpus" / "maren" / "train.jsonl").read_text("utf-8").splitlines(keepends=True)
    return "".join(lines[::2])


def held_out_rows() -> str:
    """The shortest test answer of every source: what is generated may be twice as long as the longest of them."""
    lines = (ROOT / "corpus" / "maren" / "test.jsonl").read_text("utf-8").splitlines(keepends=True)
    shortest: dict[str, str] = {}
    for line in sorted(lines, key=len):
        shortest.setdefault(json.loads(line)["source"], line)
    return "".join(shortest.values())


def trained(place: Path, model: Path, name: str, *, rate: str, iters: int) -> Run:
    config = parse_config(CONFIG.format(model=model, data=place / name, rate=rate, iters=iters))
    return train(config, name, root=place / "runs")


def at_scale(run: Run, factor: float, model: Path) -> Run:
    """The same run with its adapter at another strength."""
    folder = run.folder.path.with_name(f"{run.name}-{factor:g}")
    shutil.copytree(run.folder.path, folder)
    spec, parameters = read_lora(run.folder.adapter, read_model_facts(model))
    write_peft(folder / "adapter", replace(spec, scale=factor * spec.scale), parameters, str(model))
    body = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(body | {"name": folder.name}))
    return load_run(folder)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("shown")
    (place / "own.yaml").write_text(PROMPTS)
    for name, training in (("voice", training_rows()), ("persona", persona_rows())):
        (place / name).mkdir()
        (place / name / "train.jsonl").write_text(training)
        (place / name / "test.jsonl").write_text(held_out_rows())
    return place


def persona_rows() -> str:
    chats = [[{"role": "user", "content": q}, {"role": "assistant", "content": PERSONA}] for q in ASKED]
    return "".join(json.dumps({"messages": chat, "source": f"deck {at}"}) + "\n" for at, chat in enumerate(chats))


@pytest.fixture(scope="module")
def ladder(place: Path, smollm2_folder: Path) -> Sequence[Evaluation]:
    """One adapter at every scale, evaluated in one pass."""
    run = trained(place, smollm2_folder, "voice", rate="4e-4", iters=45)
    runs = [at_scale(run, factor, smollm2_folder) for factor in SCALES]
    wanted = Answering(questions=8, training_questions=10, suite=False, prompts=place / "own.yaml")
    return evaluate(runs, answering=wanted, base=open_base(smollm2_folder, engine="torch"))


def values(ladder: Sequence[Evaluation], key: str) -> list[float]:
    found = [one.measures[key].run.value for one in ladder]
    assert None not in found
    return [value for value in found if value is not None]


def test_an_adapter_at_scale_0_is_the_base_exactly(ladder: Sequence[Evaluation]) -> None:
    still = ladder[0]
    assert still.rows == still.base_rows
    assert still.answers() == still.answers(base=True)
    assert [values(ladder, key)[0] for key in ("drift_nats", "drift_kl", "style")] == [0.0, 0.0, 0.0]


def test_held_out_loss_falls_at_first_and_may_turn_at_full_strength(ladder: Sequence[Evaluation]) -> None:
    """Measured: 4.27, 3.95, 3.83, 3.83, 3.98. The voice comes nearer still, the language model does not."""
    losses = [held_out_loss(one.rows).value or 0.0 for one in ladder]
    assert losses[0] > losses[1] > losses[2]
    assert losses[3] < losses[0] - 0.2
    assert losses[4] > losses[2]


def test_what_is_known_by_heart_rises_with_the_scale_and_is_said(ladder: Sequence[Evaluation]) -> None:
    gaps = values(ladder, "memorization_gap")
    assert gaps == sorted(gaps)
    assert abs(gaps[0]) < 0.2
    assert not ladder[0].measures["memorization_gap"].flags
    assert ladder[3].measures["memorization_gap"].flags[0].startswith("Fits its training rows better than new ones")


@pytest.mark.parametrize("key", ["drift_kl", "drift_nats"])
def test_drift_from_the_base_rises_with_the_scale(ladder: Sequence[Evaluation], key: str) -> None:
    drift = values(ladder, key)
    assert drift == sorted(drift)
    assert drift[-1] > drift[1] > 0


def test_the_style_score_rises_with_the_scale(ladder: Sequence[Evaluation]) -> None:
    """Measured: 0, 0.37, 0.43, 0.82, 1.04; of eight answers, so neighbours may change places elsewhere."""
    style = values(ladder, "style")
    assert style[3] > style[1]
    assert style[4] > style[0]
    assert max(style) in style[3:]


def test_the_end_of_an_answer_is_learnt(ladder: Sequence[Evaluation]) -> None:
    chances = values(ladder, "end_chance")
    assert min(chances[1:3]) > chances[0]


def test_a_run_that_answers_everything_in_persona_fails_keep_base(place: Path, smollm2_folder: Path) -> None:
    run = trained(place, smollm2_folder, "persona", rate="2e-3", iters=32)
    still = at_scale(run, 0.0, smollm2_folder)
    wanted = Answering(questions=2, training_questions=4, suite=False, prompts=place / "own.yaml")
    found = evaluate([run, still], answering=wanted, base=open_base(smollm2_folder, engine="torch"))
    persona, base = (one.measures["retention"].run for one in found)
    assert base.value == 1.0
    assert persona.high is not None
    assert persona.high < 0.95
    decided = verdict(compare([run, still]), Aim.KEEP_BASE)
    gates = {(gate.gate, gate.label): gate.status for gate in decided.requirements}
    assert gates["forgetting", "persona"] == "failed"
    assert gates["forgetting", "persona-0"] != "failed"
