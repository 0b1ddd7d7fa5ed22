"""What the votes come to. Owns: the majority on a question, what is counted and what is only shown beside it.

Every number is of questions, not of votes: two voters on one question are one question. Must not: say which to ship.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from runoff.estimates.bounded import bounded_mean
from runoff.estimates.estimate import Estimate
from runoff.evaluation.votes.arithmetic import THRESHOLD, log_e_value, sign_test
from runoff.evaluation.votes.poll import Pair, Poll
from runoff.evaluation.votes.record import Cast

__all__ = ["SHARE_UNIT", "PairResult", "VoteResults", "VoterResult", "count_votes", "first_votes", "question_scores"]

SHARE_UNIT = "share of the questions with a preference"
_LARGEST = 700.0  # exp() of more is no float


@dataclass(frozen=True, slots=True)
class PairResult:
    """The votes on two candidates, by question.

    wins, losses: questions on which more voters preferred the first, or the second. ties: neither was preferred by
    more. both_bad: nobody preferred a side, and somebody said that both are bad. identical: never shown, since both
    answered the same. unvoted: answered, and not voted on. share: wins over wins and losses, with a score
    interval over sources. first_wins, first_losses: by the first preference on each question, of which the e-value is
    made: it may be looked at any time, which a majority that later voters turn may not. threshold: of the e-value, 20
    for each pair that is voted on.
    """

    first: str
    second: str
    wins: int
    losses: int
    ties: int
    both_bad: int
    identical: int
    unvoted: int
    votes: int
    share: Estimate
    p_value: float | None
    first_wins: int
    first_losses: int
    threshold: float

    @property
    def pair(self) -> Pair:
        """Both labels."""
        return self.first, self.second

    @property
    def questions(self) -> int:
        """With at least one vote."""
        return self.wins + self.losses + self.ties + self.both_bad

    @property
    def decisive(self) -> int:
        """Questions with a preference."""
        return self.wins + self.losses

    @property
    def e_value(self) -> float:
        """The evidence against no preference; 1 is none."""
        return math.exp(min(log_e_value(self.first_wins, self.first_losses), _LARGEST))

    @property
    def decided(self) -> str | None:
        """Who is preferred: the e-value has passed, and the interval over sources does not hold one half."""
        low, high = self.share.low, self.share.high
        if low is None or high is None or self.e_value < self.threshold:
            return None
        if low > 0.5 and self.first_wins > self.first_losses:
            return self.first
        return self.second if high < 0.5 and self.first_wins < self.first_losses else None


@dataclass(frozen=True, slots=True)
class VoterResult:
    """What one voter did, and how far to be trusted. left: how often the left side, of `decisive` votes in all.

    same: hidden repeats that were answered as before. apart: votes cast after the result was seen; they do not count.
    """

    voter: str
    votes: int
    seconds: float | None
    repeats: int
    same: int
    left: int
    decisive: int
    apart: int

    @property
    def side_p_value(self) -> float | None:
        """Exact sign test against no preference for a side."""
        return sign_test(self.left, self.decisive - self.left)


@dataclass(frozen=True)
class VoteResults:
    """Pairs with at least one vote, and the voters. scores: by pair, example -> 1, -1 or 0 for the majority."""

    pairs: tuple[PairResult, ...]
    voters: tuple[VoterResult, ...]
    scores: Mapping[Pair, Mapping[str, int]]

    def pair(self, first: str, second: str) -> PairResult | None:
        """The result of two labels, in whichever order they stand."""
        return next((one for one in self.pairs if {*one.pair} == {first, second}), None)


def count_votes(poll: Poll, casts: Sequence[Cast]) -> VoteResults:
    """Count the votes on these very answers; others are passed over.

    The threshold is 20 for each pair that was voted on: one false decision among all of them has a chance of 1/20.
    """
    known = [cast for cast in casts if poll.labels(cast) and cast.choice != "skip"]
    scores = {pair: own for pair in poll.pairs if (own := question_scores(poll, pair, known))}
    threshold = THRESHOLD * len(scores)
    pairs = tuple(_pair(poll, pair, known, own, threshold) for pair, own in scores.items())
    voters = dict.fromkeys(cast.voter for cast in known)
    return VoteResults(pairs, tuple(_voter(poll, voter, known) for voter in voters), scores)


def question_scores(poll: Poll, pair: Pair, casts: Sequence[Cast]) -> dict[str, int]:
    """The majority of the voters on each question: 1 for the first of the pair, -1 for the second, 0 for neither."""
    sums: dict[str, int] = {}
    for example, score, _ in first_votes(poll, pair, casts):
        sums[example] = sums.get(example, 0) + score
    return {example: (total > 0) - (total < 0) for example, total in sums.items()}


def first_votes(poll: Poll, pair: Pair, casts: Sequence[Cast]) -> Iterator[tuple[str, int, Cast]]:
    """(example, score, vote): of each voter the first vote on each question that counts."""
    seen = set()
    for cast in casts:
        labels = poll.labels(cast)
        key = (cast.voter, cast.example)
        if labels is None or {*labels} != {*pair} or not _counts(cast) or key in seen:
            continue
        seen.add(key)
        yield cast.example, _score(cast, labels, pair), cast


def _counts(cast: Cast) -> bool:
    return not (cast.repeat or cast.unblinded or cast.choice == "skip")


def _score(cast: Cast, labels: Pair, pair: Pair) -> int:
    if cast.chosen is None:
        return 0
    return 1 if labels[cast.chosen is cast.right] == pair[0] else -1


def _pair(poll: Poll, pair: Pair, casts: Sequence[Cast], scores: Mapping[str, int], threshold: float) -> PairResult:
    votes = list(first_votes(poll, pair, casts))
    decided = {example: score for example, score in scores.items() if score}
    undecided = [example for example in scores if example not in decided]
    bad = {cast.example for _, _, cast in votes if cast.choice == "both bad"}
    preferred = {example for example, score, _ in votes if score}
    both_bad = sum(example in bad and example not in preferred for example in undecided)
    earliest = {example: score for example, score, _ in reversed(votes) if score}
    clusters = [poll.answer(pair[0], example).cluster for example in decided]
    wins = sum(score > 0 for score in decided.values())
    return PairResult(
        *pair,
        wins=wins,
        losses=len(decided) - wins,
        ties=len(undecided) - both_bad,
        both_bad=both_bad,
        identical=len(poll.identical(pair)),
        unvoted=len(poll.examples(pair)) - len(scores),
        votes=len(votes),
        share=_share([float(score > 0) for score in decided.values()], clusters),
        p_value=sign_test(wins, len(decided) - wins),
        first_wins=sum(score > 0 for score in earliest.values()),
        first_losses=sum(score < 0 for score in earliest.values()),
        threshold=threshold,
    )


def _share(values: Sequence[float], clusters: Sequence[str]) -> Estimate:
    if not values:
        return Estimate.unknown_because("there is no question with a preference", SHARE_UNIT)
    return bounded_mean(values, clusters, unit=SHARE_UNIT)


def _voter(poll: Poll, voter: str, casts: Sequence[Cast]) -> VoterResult:
    own = [cast for cast in casts if cast.voter == voter]
    counted = [cast for cast in own if not cast.unblinded]
    sides = [cast.choice for cast in counted if cast.chosen]
    before: dict[tuple[str, frozenset[str]], Cast] = {}
    repeats = same = 0
    for cast in counted:
        key = cast.example, frozenset(poll.labels(cast) or ())
        if not cast.repeat:
            before.setdefault(key, cast)
        elif key in before:
            repeats += 1
            same += _said(cast) == _said(before[key])
    return VoterResult(
        voter,
        votes=sum(not cast.repeat for cast in counted),
        seconds=median(cast.seconds for cast in counted) if counted else None,
        repeats=repeats,
        same=same,
        left=sides.count("left"),
        decisive=len(sides),
        apart=len(own) - len(counted),
    )


def _said(cast: Cast) -> str:
    """The preferred answer, or why there is none."""
    return cast.chosen.answer if cast.chosen else cast.choice
