"""A language model as a judge of pairs of answers, once it has passed an exam. Must not: rank runs or decide."""

from runoff.evaluation.judge.judging import Judging, judge_runs
from runoff.evaluation.judge.server import Patience

__all__ = ["Judging", "Patience", "judge_runs"]
