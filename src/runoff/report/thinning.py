"""Fewer points that look the same, and smoothing for the eye.

Owns: which points of a curve are kept, and the drawn average. Must not: feed a decision; what is decided is decided by
the values as they were reported.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

__all__ = ["kept", "smoothed"]

Values = Sequence[float | None]
_KEPT_OF_A_BUCKET = 4


def kept(values: Values, most: int) -> list[int]:
    """Indices that stay, ascending: of each bucket of neighbours the first, the last, the lowest and the highest.

    So every extreme survives, whatever `most` is (about that many stay, at least 4). A gap (None) stays a gap: one of
    those between two points that stay is kept too.
    """
    if len(values) <= most:
        return list(range(len(values)))
    buckets = max(1, most // _KEPT_OF_A_BUCKET)
    ends = [len(values) * at // buckets for at in range(buckets + 1)]
    return [index for start, end in pairwise(ends) for index in _of_bucket(values, start, end)]


def _of_bucket(values: Values, start: int, end: int) -> list[int]:
    known = [(value, index) for index in range(start, end) if (value := values[index]) is not None]
    chosen = {known[0][1], known[-1][1], min(known)[1], max(known)[1]} if known else set()
    if len(known) == end - start:
        return sorted(chosen)
    fences = [start - 1, *sorted(chosen), end]
    gaps = (next((at for at in range(a + 1, b) if values[at] is None), None) for a, b in pairwise(fences))
    return sorted(chosen.union(gap for gap in gaps if gap is not None))


def smoothed(x: Values, y: Values, length: float) -> list[float | None]:
    """The average of what came before, in units of x: s_i = sum w_ij y_j / sum w_ij, w_ij = exp(-(x_i - x_j) / length).

    The division removes the pull of the start (Kingma and Ba 2015 call it bias correction), and a distance in x makes
    the picture independent of how often values were written. It begins anew after a gap. A value without an x has none.
    """
    found: list[float | None] = []
    total = weight = 0.0
    last: float | None = None
    for at, value in zip(x, y, strict=True):
        if value is None:
            total = weight = 0.0
            last = None
        if value is None or at is None:
            found.append(None)
            continue
        decay = 0.0 if last is None else math.exp(-max(at - last, 0.0) / length)
        total, weight, last = total * decay + value, weight * decay + 1.0, at
        found.append(total / weight)
    return found
