"""One voter at the ballot box. Owns: what is shown now, undo, when it ends, what may be told before that.

The page and the terminal drive this and nothing else. Must not: know how it is shown.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random, SystemRandom

from runoff.errors import RunError
from runoff.evaluation.votes.arithmetic import THRESHOLD, log_e_value, votes_to_go
from runoff.evaluation.votes.drawing import Ballot, draw, open_pairs, unseen
from runoff.evaluation.votes.poll import Poll
from runoff.evaluation.votes.record import BallotBox, Cast, Choice
from runoff.evaluation.votes.results import PairResult, VoteResults, count_votes
from runoff.plain_text import visible

__all__ = ["LIKELY_SHARE", "Ballot", "Progress", "Stale", "Voting", "voter_name"]

LIKELY_SHARE = 0.65
_TOLD_EVERY = 5
"""Votes between two looks at the progress: after each single one the bar would show which way that vote counted, and
the questions left, which a hidden repeat does not lessen, that it was one."""


class Stale(Exception):
    """A vote on a ballot that is no longer the one shown: a second click, or a second window."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a decision is; not for whom. share: of the way there, 0 to 1, the mean over pairs.

    to_go: votes for a side that are missing if the true preference is 65 to 35, of all pairs; None if very many.
    left: ballots that the voter may still see, repeats aside.
    """

    share: float
    to_go: int | None
    decided_pairs: int
    pairs: int
    left: int


class Voting:
    """The state is the file: each change is appended, then everything is counted anew."""

    def __init__(
        self,
        poll: Poll,
        box: BallotBox,
        voter: str,
        *,
        random: Random | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.poll, self.box, self.voter = poll, box, voter
        self._random, self._clock, self._now = random or SystemRandom(), clock, now
        self.revealed = False
        self.paused = False
        self.ballot: Ballot | None = None
        self._shown_at: float | None = None
        self._count()
        self.decided_before = self._all_decided()
        self.progress = self._progress()
        self._next()

    @property
    def ended(self) -> bool:
        """Whether nothing more is shown."""
        return self.paused or self.ballot is None

    @property
    def votes(self) -> int:
        """This voter's own on these answers, repeats among them, skips not."""
        return sum(cast.choice != "skip" for cast in self._own())

    @property
    def knows(self) -> bool:
        """Whether this voter had seen a result before: further votes are kept and do not count."""
        return self.box.knows(self.voter, self.poll.adapters)

    def show(self) -> Ballot | None:
        """What to show now; the clock of a ballot starts when it is first asked for."""
        if not self.ended and self._shown_at is None:
            self._shown_at = self._clock()
        return None if self.paused else self.ballot

    def vote(self, ballot: str, choice: Choice) -> None:
        """Keep a vote on the ballot that is shown; the next one is drawn, or the voting ends.

        Raises:
            Stale: another ballot is shown.
            RunError: the vote can't be written; nothing has changed.
        """
        shown = self.show()
        if shown is None or shown.id != ballot:
            raise Stale
        left, right = (self.poll.candidate(label).shown(shown.example) for label in (shown.left, shown.right))
        seconds = round(self._clock() - (self._shown_at or 0.0), 1)
        test = self.poll.test
        self.box.cast(
            Cast(shown.id, self._time(), self.voter, test, shown.example, left, right, choice, seconds, shown.repeat)
        )
        self._count()
        if self.votes % _TOLD_EVERY == 0:
            self.progress = self._progress()
        if self._all_decided() and not self.decided_before and not self.knows:
            self.end(reveal=True)
        else:
            self._next()

    @property
    def can_undo(self) -> bool:
        """Whether there is a vote to take back: one from before the result was seen stays."""
        own = self._own()
        if self.ended or not own:
            return False
        return own[-1].unblinded == self.box.knows(self.voter, (own[-1].left.adapter, own[-1].right.adapter))

    def undo(self) -> None:
        """Take this voter's last vote back, and show it again as it was; nothing happens where there is none."""
        if not self.can_undo:
            return
        last = self._own()[-1]
        labels = self.poll.labels(last)
        self.box.undo(last, self._time())
        self._count()
        if labels:
            self.ballot = Ballot(f"{self._random.getrandbits(64):016x}", last.example, *labels, repeat=last.repeat)
            self._shown_at = None

    def end(self, *, reveal: bool) -> None:
        """Stop here. With `reveal` the voter is told who is who, and later votes of his on these do not count."""
        if reveal and not self.knows:
            self.box.reveal(self.voter, self.poll.adapters, self._time())
        self.revealed = self.revealed or reveal
        self.paused = True

    @property
    def results(self) -> VoteResults:
        """What all votes come to, other voters' among them. For after the end."""
        return self._results

    @property
    def casts(self) -> tuple[Cast, ...]:
        """All votes on these answers, other voters' among them."""
        return self._casts

    def _count(self) -> None:
        self._casts = tuple(cast for cast in self.box.votes() if self.poll.labels(cast))
        self._results = count_votes(self.poll, self._casts)

    def _next(self) -> None:
        self.ballot = draw(self.poll, self._casts, self.voter, self._results, self._random)
        self._shown_at = None
        if self.ballot is None:
            self.end(reveal=True)

    def _own(self) -> list[Cast]:
        return [cast for cast in self._casts if cast.voter == self.voter]

    def _time(self) -> str:
        return self._now().isoformat(timespec="seconds")

    def _pairs(self) -> list[PairResult | None]:
        """Of every pair that can be voted on."""
        return [self._results.pair(*pair) for pair in self.poll.pairs if self.poll.examples(pair)]

    def _all_decided(self) -> bool:
        return all(one is not None and one.decided for one in self._pairs())

    def _progress(self) -> Progress:
        pairs = self._pairs()
        threshold = THRESHOLD * len(pairs)
        decided = sum(one is not None and one.decided is not None for one in pairs)
        shares, to_go = [], []
        for one in pairs:
            wins, losses = (one.first_wins, one.first_losses) if one else (0, 0)
            way = max(0.0, log_e_value(wins, losses) / math.log(threshold))
            shares.append(1.0 if one and one.decided else min(way, 0.99))
            to_go.append(votes_to_go(wins, losses, share=LIKELY_SHARE, threshold=threshold))
        known = [votes for votes in to_go if votes is not None]
        total = sum(known) if len(known) == len(to_go) else None
        own = self._own()
        left = sum(len(unseen(self.poll, pair, own)) for pair in open_pairs(self.poll, own, self._results))
        return Progress(sum(shares) / len(shares), total, decided, len(pairs), left)


def voter_name(given: str | None) -> str:
    """The name to keep; "anonymous" where none is given.

    Raises:
        RunError: no name that can be kept in a line.
    """
    name = (given or "").strip()
    if len(name) > 40 or visible(name) != name or "\n" in name:
        raise RunError("--voter: a name has at most 40 letters, on one line.")
    return name or "anonymous"
