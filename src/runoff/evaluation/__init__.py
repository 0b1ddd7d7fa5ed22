"""Evaluation: held-out measures of runs and their base, each with its uncertainty. Must not: compare runs."""

from runoff.engines.scoring import held_out_loss
from runoff.estimates.estimate import Estimate
from runoff.evaluation.answering import Answering
from runoff.evaluation.evaluate import Evaluation, evaluate, load_evaluations
from runoff.evaluation.generating import generate_answers

__all__ = [
    "Answering",
    "Estimate",
    "Evaluation",
    "evaluate",
    "generate_answers",
    "held_out_loss",
    "load_evaluations",
]
