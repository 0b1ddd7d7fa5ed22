"""A measure as it is remembered: what is read is what was written, by older versions too."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
from tests.support.run_folders import made_measure

from runoff.estimates.bounded import Bounds
from runoff.estimates.estimate import Estimate
from runoff.evaluation.measures.ending import END_FIRST, END_PLACE
from runoff.evaluation.measures.result import MeasureResult
from runoff.evaluation.stored import StoredMeasure

GIVEN = made_measure("broken", 0.1, higher_is_better=False)


@pytest.mark.parametrize("bounds", [(0.0, 1.0), None])
def test_what_is_read_is_what_was_written(bounds: Bounds | None) -> None:
    written = replace(GIVEN, bounds=bounds)
    assert StoredMeasure.from_json(json.loads(json.dumps(asdict(written), allow_nan=False))) == written


def test_a_measure_written_before_bounds_were_has_none() -> None:
    body = asdict(GIVEN)
    del body["bounds"], body["remarks"]
    assert StoredMeasure.from_json(json.loads(json.dumps(body))) == GIVEN


@pytest.mark.parametrize(("about", "bounds"), [(END_FIRST.about, (0.0, 1.0)), (END_PLACE.about, None)])
def test_bounds_are_remembered_where_there_are_two(about: object, bounds: Bounds | None) -> None:
    nothing = Estimate.unknown_because("nobody looked", "")
    result = MeasureResult(about, nothing, nothing, {"long": nothing})  # type: ignore[arg-type]
    assert StoredMeasure.of(result, "long", {}).bounds == bounds
