"""Pairs of answers put to the judge in both orders. Owns: what two replies come to, and asking for many at once.

Must not: know whose the answers are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Any

from runoff.evaluation.judge.cache import Call, JudgeCache
from runoff.evaluation.judge.criteria import TEMPLATE, Criterion, Question, Verdict, read_verdict
from runoff.evaluation.judge.server import ChatServer, JudgeUnavailable, NoAnswer

__all__ = ["Asker", "Decision", "Pair"]

_FAILURES_IN_A_ROW = 3


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers to one question, by one criterion."""

    criterion: Criterion
    question: Question
    first: str
    second: str

    @property
    def orders(self) -> tuple[tuple[str, str], ...]:
        """Both orders; one where the two are equal."""
        both = ((self.first, self.second), (self.second, self.first))
        return both[:1] if self.first == self.second else both


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdicts on a pair: on (first, second), and on (second, first) unless the two are equal. None: unreadable."""

    pair: Pair
    verdicts: tuple[Verdict | None, ...]

    @property
    def missing(self) -> bool:
        """Whether a verdict is missing: never a tie."""
        return None in self.verdicts

    @property
    def consistent(self) -> bool:
        """Whether both orders say the same of the same answers."""
        return self.verdicts in (("A", "B"), ("B", "A"), ("TIE", "TIE"), ("TIE",))

    @property
    def score(self) -> int | None:
        """1: the first is preferred in both orders; -1: the second; 0: a tie, or the orders contradict each other."""
        if self.missing:
            return None
        return 1 if self.verdicts == ("A", "B") else -1 if self.verdicts == ("B", "A") else 0


@dataclass
class Asker:
    """A judge with its memory. server: None replays only. say: receives progress sentences."""

    model: str
    fingerprint: str
    cache: JudgeCache
    server: ChatServer | None
    say: Callable[[str], None]
    sampling: Mapping[str, Any]
    at_once: int = 4
    calls: int = 0
    failures: list[str] = field(default_factory=list)

    def decide(self, pairs: Sequence[Pair], what: str) -> list[Decision]:
        """Both orders of every pair.

        Raises:
            JudgeUnavailable: the server has gone away; what it said until then is kept.
        """
        calls = [[self._call(pair, order, *texts) for order, texts in enumerate(pair.orders)] for pair in pairs]
        replies = self._replies([call for some in calls for call in some], what)
        return [
            Decision(pair, tuple(read_verdict(replies[call.key]) if call.key in replies else None for call in some))
            for pair, some in zip(pairs, calls, strict=True)
        ]

    def _call(self, pair: Pair, order: int, first: str, second: str) -> Call:
        messages = pair.criterion.messages(pair.question, first, second)
        return Call(self.model, self.fingerprint, TEMPLATE, messages, self.sampling, order)

    def _replies(self, calls: Sequence[Call], what: str) -> dict[str, str]:
        """By key: from memory, else from the server; a call that came to nothing is left out."""
        wanted = {call.key: call for call in calls}
        replies = {key: text for key, call in wanted.items() if (text := self.cache.reply(call)) is not None}
        left = [call for key, call in wanted.items() if key not in replies]
        if left and self.server is None:
            raise JudgeUnavailable(
                f"the judge is offline and has not said anything on {len(left)} of {len(wanted)} calls ({what}). Run "
                "it once without --judge-offline."
            )
        if left:
            self.say(f"Asking the judge {self.model}: {what}, {len(left)} calls.")
        for call, text in self._answers(left):
            replies[call.key] = text
        return replies

    def _answers(self, calls: Sequence[Call]) -> Iterator[tuple[Call, str]]:
        """As they come. Every reply is kept at once, on this thread."""
        in_a_row = 0
        with ThreadPoolExecutor(self.at_once) as pool:
            asked = {pool.submit(self._ask, call): call for call in calls}
            try:
                for future in as_completed(asked):
                    found = _outcome(future)
                    self.calls += 1
                    if isinstance(found, NoAnswer):
                        self.failures.append(str(found))
                        in_a_row += 1
                        if in_a_row >= _FAILURES_IN_A_ROW:
                            raise JudgeUnavailable(f"the judge {self.model} has stopped answering: {found}.")
                        continue
                    in_a_row = 0
                    self.cache.keep(asked[future], *found)
                    yield asked[future], found[0]
            finally:  # Ctrl-C, or a server that has gone: don't wait for the patience of every call
                for future in asked:
                    future.cancel()
                if self.server and not all(future.done() for future in asked):
                    self.server.give_up()

    def _ask(self, call: Call) -> tuple[str, float]:
        if self.server is None:
            raise NoAnswer("offline")
        start = time.monotonic()
        return self.server.ask(call.messages, call.sampling), time.monotonic() - start


def _outcome(future: Future[tuple[str, float]]) -> tuple[str, float] | NoAnswer:
    try:
        return future.result()
    except NoAnswer as error:
        return error
