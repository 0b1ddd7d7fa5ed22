"""The learning rate of each update is mlx-lm's own."""

from __future__ import annotations

import re

import pytest

from runoff.config import LrSchedule, Settings
from runoff.errors import ConfigError
from runoff.plan.schedule import SCHEDULES as MAKERS
from runoff.plan.schedule import check_schedule, learning_rate

SCHEDULES = [
    ("cosine_decay", (1e-3, 20.0)),
    ("cosine_decay", (1e-3, 20.0, 1e-5)),
    ("cosine_decay", (1e-3, 1.0)),
    ("linear_schedule", (1e-3, 1e-5, 15.0)),
    ("linear_schedule", (0.0, 1e-3, 7.0)),
    ("exponential_decay", (1e-3, 0.9)),
    ("step_decay", (1e-3, 0.5, 4.0)),
]


@pytest.mark.parametrize("warmup", [(0, 0.0), (1, 0.0), (5, 0.0), (5, 1e-4)])
@pytest.mark.parametrize(("name", "arguments"), SCHEDULES)
def test_the_rate_of_every_update_is_mlx_lms(
    name: str, arguments: tuple[float, ...], warmup: tuple[int, float]
) -> None:
    mx = pytest.importorskip("mlx.core")
    build_schedule = pytest.importorskip("mlx_lm.tuner.utils").build_schedule
    config = {"name": name, "arguments": list(arguments), "warmup": warmup[0], "warmup_init": warmup[1]}
    theirs = build_schedule(config)
    schedule = LrSchedule(name=name, arguments=arguments, warmup=warmup[0], warmup_init=warmup[1])
    check_schedule(schedule)
    settings = Settings(lr_schedule=schedule)
    ours = [learning_rate(settings, done) for done in range(40)]
    expected = [float(theirs(mx.array(done))) for done in range(40)]
    assert ours == pytest.approx(expected, rel=2e-5, abs=1e-9)


def test_the_first_update_of_a_warm_up_has_the_rate_0_and_the_one_after_it_the_full_rate() -> None:
    schedule = LrSchedule(name="cosine_decay", arguments=(1e-3, 100), warmup=4)
    rates = [learning_rate(Settings(lr_schedule=schedule), done) for done in range(6)]
    assert rates == pytest.approx([0.0, 2.5e-4, 5e-4, 7.5e-4, 1e-3, 1e-3])


def test_without_a_schedule_the_rate_stays() -> None:
    assert {learning_rate(Settings(learning_rate=3e-4), done) for done in (0, 1, 10**6)} == {3e-4}


def test_a_rate_beyond_all_numbers_is_infinite_not_an_error() -> None:
    settings = Settings(lr_schedule=LrSchedule(name="exponential_decay", arguments=(1.0, 1e200)))
    assert learning_rate(settings, 5) == float("inf")


@pytest.mark.parametrize(
    ("name", "arguments", "sentence"),
    [
        ("cosine_decay", (1e-3,), "cosine_decay takes 2 or 3 numbers, but 1 are given."),
        ("cosine_decay", (1e-3, 2, 3, 4), "cosine_decay takes 2 or 3 numbers, but 4 are given."),
        ("linear_schedule", (1e-3, 2), "linear_schedule takes 3 numbers, but 2 are given."),
        ("exponential_decay", (), "exponential_decay takes 2 numbers, but 0 are given."),
        ("step_decay", (1e-3, 2), "step_decay takes 3 numbers, but 2 are given."),
        ("cosine_decay", (1e-3, 0), "a length of 0 updates must be at least 1."),
        ("linear_schedule", (1e-3, 0, -5), "a length of -5 updates must be at least 1."),
        ("step_decay", (1e-3, 0.5, 0.5), "a length of 0.5 updates must be at least 1."),
    ],
)
def test_arguments_that_a_schedule_does_not_take(name: str, arguments: tuple[float, ...], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_schedule(LrSchedule(name=name, arguments=arguments), "a.yaml:3: ")
    assert str(caught.value) == f"a.yaml:3: lr_schedule.arguments: {sentence}"


@pytest.mark.parametrize(("name", "fewest", "most"), [(name, low, high) for name, (_, low, high) in MAKERS.items()])
def test_the_settings_page_names_the_arguments_of_every_schedule(name: str, fewest: int, most: int) -> None:
    said = re.search(rf"{name} \[(.*?)\]", LrSchedule.model_fields["arguments"].description or "")
    assert said is not None
    arguments = said[1].split(", ")
    assert len(arguments) == most
    assert sum("(" not in one for one in arguments) == fewest  # a default stands in brackets
