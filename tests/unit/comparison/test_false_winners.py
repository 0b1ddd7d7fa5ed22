"""How often the whole verdict names a winner where there is none, and where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.support.fake_engine import FakeBase
from tests.support.run_folders import Losses, Told, make_run, random_losses, scored
from tests.support.runs import chat_row, fake_train, make_config, make_data, write_rows

from runoff.comparison import Comparison, Decision, Verdict, compare, verdict
from runoff.comparison.statistics import Outcome
from runoff.evaluation import evaluate
from runoff.files import jsonl
from runoff.runs import Run, load_run

SIMULATIONS = 500
SOURCES, QUESTIONS = 12, 10
BASE = random_losses(0)


def noise(seed: int) -> Losses:
    """Differences by source and by question, with heavy tails."""
    random = np.random.Generator(np.random.PCG64([seed, 77]))
    by_source = np.repeat(random.standard_t(4, SOURCES) * 0.03, QUESTIONS)
    made: Losses = by_source + random.standard_t(4, SOURCES * QUESTIONS) * 0.08
    return made


def judged(root: Path, seeds: range, effect: float) -> Iterator[tuple[Comparison, Verdict]]:
    """Verdicts on two settings, the second better by `effect`; only the stored rows change from one to the next."""
    base = BASE + 0.5
    a = make_run(root, "a", Told(settings={"num_layers": 4}), losses=BASE, base=base)
    b = make_run(root, "b", Told(settings={"num_layers": 8}), losses=BASE, base=base)
    rows = b.folder.evaluation("testset") / "rows.jsonl"
    for seed in seeds:
        rows.write_bytes(jsonl(row.to_json() for row in scored(BASE - effect + noise(seed))))
        body = (b.folder.evaluation("testset") / "evaluation.json").read_text()
        (b.folder.evaluation("testset") / "evaluation.json").write_text(body.replace('"files"', '"unsealed"'))
        comparison = compare([a, load_run(b.folder.path)])
        yield comparison, verdict(comparison)


def test_settings_that_do_nothing_have_a_winner_in_at_most_five_per_cent(tmp_path: Path) -> None:
    named = sum(found.ship is not None for _, found in judged(tmp_path, range(SIMULATIONS), 0.0))
    # 5 % of 500 is 25; a true rate of 5 % stays at or below 37 in 99 of 100 such tests.
    assert named <= 37


def test_twice_the_smallest_detectable_difference_is_found_in_nine_of_ten(tmp_path: Path) -> None:
    ((comparison, _),) = judged(tmp_path / "first", range(1), 0.0)
    assert comparison.evidence.loss is not None
    detectable = comparison.evidence.loss.pairs["a", "b"].smallest_detectable
    assert detectable is not None
    found = sum(one.ship == "b" for _, one in judged(tmp_path, range(1, 121), 2 * detectable))
    assert found >= 108


def test_an_adapter_at_four_scales_is_ordered_as_they_are(tmp_path: Path) -> None:
    gains = {"none": 0.0, "quarter": 0.1, "half": 0.22, "whole": 0.4}
    runs = [
        make_run(
            tmp_path, name, Told(settings={"lora_parameters.scale": 20 * gain}),
            losses=BASE - gain + (0.2 * noise(at) if gain else 0.0), base=BASE,
        )
        for at, (name, gain) in enumerate(gains.items())
    ]  # fmt: skip
    comparison = compare(runs)
    loss = comparison.evidence.loss
    assert loss is not None
    assert sorted(gains, key=lambda name: loss.values[name].value or 0.0) == ["whole", "half", "quarter", "none"]
    for better, worse in (("whole", "half"), ("half", "quarter"), ("quarter", "none")):
        assert loss.between(better, worse) is Outcome.BETTER
    assert loss.against_base["none"].exact_zero
    assert verdict(comparison).ship == "whole"


def test_a_run_against_itself_is_exactly_zero_and_says_so(tmp_path: Path) -> None:
    run = make_run(tmp_path, "a", losses=BASE)
    comparison = compare([run, run])
    found = verdict(comparison)
    assert comparison.evidence.loss is not None
    for pair in comparison.evidence.loss.pairs.values():
        assert (pair.difference.value, pair.p_value, pair.exact_zero) == (0.0, 1.0, True)
    assert (found.decision, found.ship) == (Decision.EQUIVALENT, None)
    assert any("exactly the same held-out loss on every answer" in text.text for text in found.because)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> list[tuple[Run, Run]]:
    """Twenty pairs of short trainings that differ in their seed, scored on 36 new answers of 12 sources."""
    root = tmp_path_factory.mktemp("trained")
    data = make_data(root / "data", train=12, valid=3)
    write_rows(data / "test.jsonl", [chat_row(number) for number in range(200, 236)])
    pairs = []
    for number in range(20):
        one, two = (
            fake_train(make_config(tiny_model, data, seed=seed, iters=24), f"run{seed}", root / "runs")
            for seed in (2 * number, 2 * number + 1)
        )
        evaluate([one, two], data / "test.jsonl", base=FakeBase())
        pairs.append((one, two))
    return pairs


def test_two_seeds_of_one_thing_have_no_winner(trained: list[tuple[Run, Run]]) -> None:
    found = [verdict(compare(pair)) for pair in trained]
    assert sum(one.ship is not None for one in found) <= 1
    told = [one.headline.text for one in found]
    assert any("differ in nothing but their seed" in text for text in told)
    # As adapters many of them do differ: what the questions show is not kept back.
    assert any("has the lower held-out loss on" in text.text for one in found for text in one.because)
