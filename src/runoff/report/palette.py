"""Colours and marks that tell runs apart, the same in every chart and rendering.

Each colour comes as one for light and one for dark paper, with a contrast of 3 or more to it. Colour is never the only
cue: five marks turn with eight colours, so that 40 runs differ before a pair repeats.
"""

from typing import Literal

__all__ = ["COLOURS", "SHAPES", "Shape", "colour_index", "shape_of"]

Shape = Literal["circle", "square", "triangle", "diamond", "cross"]

COLOURS = (
    ("#0072b2", "#56b4e9"),
    ("#c44e00", "#ff9350"),
    ("#00805d", "#3fcf9f"),
    ("#b0468a", "#eb9acb"),
    ("#8a6a00", "#e6c043"),
    ("#6a4fb3", "#b3a0f5"),
    ("#5f666d", "#b4bcc4"),
    ("#8c3b2e", "#e5988a"),
)
SHAPES: tuple[Shape, ...] = ("circle", "square", "triangle", "diamond", "cross")


def colour_index(number: int) -> int:
    """Which of the colours a run has."""
    return number % len(COLOURS)


def shape_of(number: int) -> Shape:
    """Which mark a run has."""
    return SHAPES[number % len(SHAPES)]
