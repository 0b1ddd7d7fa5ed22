"""Which two answers come next, and on which sides. Owns: balance, hidden repeats. Must not: keep a vote or show a text.

The randomness comes from the generator that is passed in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from runoff.evaluation.votes.poll import Pair, Poll
from runoff.evaluation.votes.record import Cast
from runoff.evaluation.votes.results import VoteResults

__all__ = ["Ballot", "draw", "open_pairs", "unseen"]

_REPEATED = 0.10
_FORGOTTEN = 5
"""Ballots between a question and its hidden repeat, at least."""


@dataclass(frozen=True, slots=True)
class Ballot:
    """One question with two answers. id: all that the page learns; left, right: labels."""

    id: str
    example: str
    left: str
    right: str
    repeat: bool = False


def draw(poll: Poll, casts: Sequence[Cast], voter: str, results: VoteResults, random: Random) -> Ballot | None:
    """What this voter is to see next; None when nothing is left.

    Of several pairs those that are not decided yet, with the fewest questions so far first; of the pair's sources
    those that the voter has seen the least of. One ballot in ten repeats an old one with the sides swapped.

    casts: all votes on this poll's answers. results: what they come to.
    """
    own = [cast for cast in casts if cast.voter == voter]
    name = f"{random.getrandbits(64):016x}"
    pair = _pair(poll, own, results, random)
    if pair is None:
        return None
    again = _to_repeat(own)
    if again and random.random() < _REPEATED:
        cast = random.choice(again)
        left, right = poll.labels(cast) or pair
        return Ballot(name, cast.example, right, left, repeat=True)
    example = _example(poll, pair, own, random)
    left, right = _sides(poll, pair, own, random)
    return Ballot(name, example, left, right)


def _seen(poll: Poll, pair: Pair, own: Sequence[Cast]) -> list[Cast]:
    """Votes (and skips) on a pair, without repeats."""
    return [cast for cast in own if {*(poll.labels(cast) or ())} == {*pair} and not cast.repeat]


def unseen(poll: Poll, pair: Pair, own: Sequence[Cast]) -> list[str]:
    """Questions that the voter has not seen this pair's answers to."""
    done = {cast.example for cast in _seen(poll, pair, own)}
    return [example for example in poll.examples(pair) if example not in done]


def open_pairs(poll: Poll, own: Sequence[Cast], results: VoteResults) -> list[Pair]:
    """Pairs that the voter has not seen all questions of: those that are not decided, if there are any."""
    left = [pair for pair in poll.pairs if unseen(poll, pair, own)]
    return [pair for pair in left if (one := results.pair(*pair)) is None or one.decided is None] or left


def _pair(poll: Poll, own: Sequence[Cast], results: VoteResults, random: Random) -> Pair | None:
    found = {pair: results.pair(*pair) for pair in open_pairs(poll, own, results)}
    fewest = [(one.decisive if one else 0, random.random(), pair) for pair, one in found.items()]
    return min(fewest)[2] if fewest else None


def _example(poll: Poll, pair: Pair, own: Sequence[Cast], random: Random) -> str:
    seen = Counter(poll.answer(pair[0], cast.example).cluster for cast in _seen(poll, pair, own))
    left = unseen(poll, pair, own)
    sources = {poll.answer(pair[0], example).cluster for example in left}
    source = min((seen[source], random.random(), source) for source in sorted(sources))[2]
    return random.choice([example for example in left if poll.answer(pair[0], example).cluster == source])


def _sides(poll: Poll, pair: Pair, own: Sequence[Cast], random: Random) -> Pair:
    """Each of the two as often on the left as on the right, but for one."""
    lefts = Counter((poll.labels(cast) or pair)[0] for cast in _seen(poll, pair, own))
    ahead = lefts[pair[0]] - lefts[pair[1]]
    swapped = ahead > 0 or (ahead == 0 and random.random() < 0.5)
    return (pair[1], pair[0]) if swapped else pair


def _to_repeat(own: Sequence[Cast]) -> list[Cast]:
    """Old enough to be forgotten, and not repeated yet."""
    again = {(cast.example, frozenset({cast.left, cast.right})) for cast in own if cast.repeat}
    return [
        cast
        for cast in own[:-_FORGOTTEN]
        if not cast.repeat and cast.choice != "skip" and (cast.example, frozenset({cast.left, cast.right})) not in again
    ]
