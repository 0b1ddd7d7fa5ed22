"""What the shape of a curve of losses says: spikes, an end above the start, standing still.

Owns: the rules, which are plain arithmetic on the reported values; none is a test. Must not: judge a run by them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

__all__ = ["Shape", "shape"]

FEWEST = 12
SPIKE_NOISES, SPIKE_SHARE = 6.0, 0.05


@dataclass(frozen=True, slots=True)
class Shape:
    """Of a curve of at least 12 values; indices into it.

    noise: what neighbouring values differ by for no lasting reason (robust standard deviation). spikes: values above
    both neighbours by more than 6 noises and 5 % of the median. start, third, end: medians of those quarters.
    """

    noise: float
    spikes: tuple[int, ...]
    start: float
    third: float
    end: float

    @property
    def rises(self) -> bool:
        """It ends above where it began."""
        return self.end > self.start + 3 * self.noise

    @property
    def still(self) -> bool:
        """Over its second half it does not move beyond its noise."""
        return abs(self.end - self.third) < self.noise


def shape(values: Sequence[float]) -> Shape | None:
    """None for fewer than 12 finite values: their shape is not worth a word."""
    if len(values) < FEWEST or not all(map(math.isfinite, values)):
        return None
    changes = [later - earlier for earlier, later in pairwise(values)]
    middle = median(changes)
    # 1.4826 makes a median absolute deviation a standard deviation; a change is the difference of two noises.
    noise = 1.4826 * median(abs(change - middle) for change in changes) / math.sqrt(2)
    height = max(SPIKE_NOISES * noise, SPIKE_SHARE * abs(median(values)))
    spikes = tuple(at for at in range(1, len(values) - 1) if values[at] - max(values[at - 1], values[at + 1]) > height)
    quarter = len(values) // 4
    parts = (values[:quarter], values[-2 * quarter : -quarter], values[-quarter:])
    return Shape(noise, spikes, *(median(part) for part in parts))
