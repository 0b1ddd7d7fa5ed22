"""Measures: style, copying, memory, facts, what was forgotten, what is broken. Must not: generate or score."""

from runoff.evaluation.measures.contrast import ContrastPair, propose_pairs
from runoff.evaluation.measures.measure import MEASURES, PROFILE, SAMPLED_MEASURES, SCORED_MEASURES, measure
from runoff.evaluation.measures.own import load_measure
from runoff.evaluation.measures.result import About, Dimension, Measure, MeasureResult

__all__ = [
    "MEASURES",
    "PROFILE",
    "SAMPLED_MEASURES",
    "SCORED_MEASURES",
    "About",
    "ContrastPair",
    "Dimension",
    "Measure",
    "MeasureResult",
    "load_measure",
    "measure",
    "propose_pairs",
]
