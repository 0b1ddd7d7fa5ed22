"""A judge's decisions as measures beside a run. Owns: the score, what is said of ties, missing verdicts and position.

A score is never mixed with another measure. Must not: ask anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runoff.estimates.estimate import Estimate, mean
from runoff.evaluation.judge.criteria import Criterion
from runoff.evaluation.judge.deciding import Decision
from runoff.evaluation.judge.exam import Exam
from runoff.evaluation.stored import StoredMeasure
from runoff.words import count_of

__all__ = ["DIMENSION", "against_base", "head_to_head"]

DIMENSION = "What does a judge model prefer?"
UNIT = "wins - losses, share of questions"
MATTERS = 0.2  # 60 to 40 among decided pairs
_CANNOT_SEE = (
    "Whether the judge is right. It reads like a model: it may like its own kind, and length. Its exam bounds that on "
    "pairs with a known answer, not on these."
)


def against_base(
    criterion: Criterion, model: str, exam: Exam, decisions: Sequence[Decision], warnings: Sequence[str] = ()
) -> StoredMeasure:
    """A run's answers against the base's: 1 if every one wins in both orders, -1 if every one loses."""
    scores = _scores(decisions)
    failed = f"The judge {model} does not count: {exam.sentence}."
    return StoredMeasure(
        key=f"judge_{criterion.key}",
        title=f"{criterion.title}, against the base, by the judge {model}, {exam.summary}",
        dimension=DIMENSION,
        unit=UNIT,
        higher_is_better=True,
        matters=MATTERS,
        cannot_see=_CANNOT_SEE,
        base=Estimate(0.0, None, None, 0.95, UNIT, len(scores), len({*_clusters(decisions).values()}), "by definition"),
        author=_author(exam),
        run=_estimate(exam, decisions),
        per_example={example: (score, 0.0) for example, score in scores.items()} if exam.passed else {},
        clusters=_clusters(decisions),
        flags=(*_missing(criterion, "the base", decisions), *warnings) if exam.passed else (failed,),
        remarks=(_told(criterion, "the base", decisions),) if exam.passed else (),
        bounds=(-1.0, 1.0),
    )


def head_to_head(
    criterion: Criterion, model: str, exam: Exam, decisions: Mapping[str, Sequence[Decision]]
) -> StoredMeasure:
    """A run's answers against each other run's, all together; shown, not ranked by: the base has no part in it."""
    together = [one for some in decisions.values() for one in some]
    told = tuple(_told(criterion, other, some) for other, some in decisions.items())
    missing = tuple(flag for other, some in decisions.items() for flag in _missing(criterion, other, some))
    nobody = Estimate.unknown_because("only runs were put against each other", UNIT)
    return StoredMeasure(
        key=f"judge_{criterion.key}_head_to_head",
        title=f"{criterion.title}, against the other runs, by the judge {model}, {exam.summary}",
        dimension=DIMENSION,
        unit=UNIT,
        higher_is_better=None,
        matters=MATTERS,
        cannot_see=_CANNOT_SEE,
        base=nobody,
        author=nobody,
        run=_estimate(exam, together),
        per_example={},
        clusters={},
        flags=missing if exam.passed else (),
        remarks=told if exam.passed else (),
    )


def _scores(decisions: Sequence[Decision]) -> dict[str, float]:
    return {one.pair.question.example: float(one.score) for one in decisions if one.score is not None}


def _clusters(decisions: Sequence[Decision]) -> dict[str, str]:
    return {one.pair.question.example: one.pair.question.cluster for one in decisions}


def _estimate(exam: Exam, decisions: Sequence[Decision]) -> Estimate:
    """The mean score over the questions with a verdict in both orders, cluster-robust."""
    if not exam.passed:
        return Estimate.unknown_because(f"the judge does not count: {exam.sentence}", UNIT)
    known = [one for one in decisions if one.score is not None]
    if not known:
        return Estimate.unknown_because("no verdict could be read", UNIT)
    return mean([float(one.score or 0) for one in known], [one.pair.question.cluster for one in known], unit=UNIT)


def _author(exam: Exam) -> Estimate:
    if not exam.author_over_base:
        return Estimate.unknown_because("the author's answers are the reference here, so they were not judged", UNIT)
    return _estimate(exam, exam.author_over_base)


def _missing(criterion: Criterion, other: str, decisions: Sequence[Decision]) -> tuple[str, ...]:
    """What was lost is no random part: what makes a judge mumble may be one side's answers."""
    missing = sum(one.missing for one in decisions)
    if not missing:
        return ()
    of = count_of(len(decisions), "question")
    return (f"{criterion.title} against {other}: no verdict could be read on {missing} of {of}; they are left out.",)


def _told(criterion: Criterion, other: str, decisions: Sequence[Decision]) -> str:
    """Counts before shares: wins, losses, ties, position, length."""
    known = [one for one in decisions if not one.missing]
    wins, losses = (sum(one.score == value for one in known) for value in (1, -1))
    split = sum(not one.consistent for one in known)
    first = [verdict for one in known if len(one.verdicts) == 2 for verdict in one.verdicts if verdict != "TIE"]
    decided = [one for one in known if one.score]
    longer = sum((len(one.pair.first) > len(one.pair.second)) == (one.score == 1) for one in decided)
    lost = "1 loss" if losses == 1 else f"{losses} losses"
    return (
        f"{criterion.title} against {other}: {count_of(wins, 'win')}, {lost} and "
        f"{count_of(len(known) - wins - losses, 'tie')} on the {len(known)} of {count_of(len(decisions), 'question')} "
        f"with a verdict in both orders, which contradict each other in {split}. The first place was chosen in "
        f"{first.count('A')} of {count_of(len(first), 'call')}; the longer answer won {longer} of "
        f"{count_of(len(decided), 'decided pair')}."
    )
