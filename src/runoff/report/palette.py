"""Colours of the charts, the same everywhere; Okabe and Ito's colours, which the colour-blind tell apart."""

__all__ = ["COLOURS"]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F", "#A6761D")
