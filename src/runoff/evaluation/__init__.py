"""Evaluation: held-out measures of runs and their base, each with its uncertainty. Must not: compare runs."""

from runoff.evaluation.answering import Answering
from runoff.evaluation.estimates import Estimate
from runoff.evaluation.evaluate import Evaluation, evaluate, held_out_loss, load_evaluations
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
