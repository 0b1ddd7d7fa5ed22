"""The judge's whole work on some runs: exam, each run against the base, run against run, results beside each run.

Owns: the order, and that whatever goes wrong with a judge costs one sentence and nothing else. Must not: decide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from runoff.errors import RunoffError
from runoff.evaluation.anchors import anchor_texts
from runoff.evaluation.answers import Answer
from runoff.evaluation.evaluate import Evaluation
from runoff.evaluation.gather import material_of
from runoff.evaluation.judge.cache import JudgeCache
from runoff.evaluation.judge.criteria import CRITERIA, TEMPLATE, Criterion, Question
from runoff.evaluation.judge.deciding import Asker, Decision, Pair
from runoff.evaluation.judge.exam import Exam, Sat, hold_exam
from runoff.evaluation.judge.results import against_base, head_to_head
from runoff.evaluation.judge.server import ChatServer, JudgeUnavailable, Patience, server_address
from runoff.evaluation.material import BASE, Material
from runoff.evaluation.stored import JUDGE, JUDGE_DECISIONS, StoredMeasure, answers_sha256, store_measures
from runoff.files import jsonl, write_bytes
from runoff.runs import Run, judge_cache_file

__all__ = ["Judging", "judge_runs"]


@dataclass(frozen=True)
class Judging:
    """What to ask of whom. questions: at most, spread over the test set. at_once: calls in flight.

    max_tokens: of one reply; a model that thinks aloud needs more, and a verdict that was cut off is missing.
    """

    url: str
    model: str
    offline: bool = False
    questions: int = 50
    max_tokens: int = 384
    at_once: int = 4
    criteria: tuple[Criterion, ...] = CRITERIA

    @property
    def sampling(self) -> dict[str, Any]:
        """The same reply every time, as far as the server can."""
        return {"temperature": 0, "seed": 0, "max_tokens": self.max_tokens}


def judge_runs(
    runs: Sequence[Run],
    evaluations: Sequence[Evaluation],
    judging: Judging,
    *,
    say: Callable[[str], None] = lambda _text: None,
    key: str | None = None,
    patience: Patience | None = None,
) -> bool:
    """Judge the stored answers, and keep the results beside each run.

    evaluations: one for each run that was measured, of the same test set; other runs are left out. key: the server's,
    sent and never kept. A judge that can't be used costs a sentence; False says that nothing was stored.
    """
    named = {run.name: run for run in runs}
    try:
        if not judging.model:
            raise JudgeUnavailable("the judge's model has no name. Add --judge-model NAME.")
        if not evaluations or not all(one.answers() for one in evaluations):
            raise JudgeUnavailable("there are no generated answers to judge. Add --generate.")
        _judge([named[one.run] for one in evaluations], evaluations, judging, say, key, patience)
    except RunoffError as error:
        say(f"Not judged: {error}")
        return False
    return True


def _judge(
    runs: Sequence[Run],
    evaluations: Sequence[Evaluation],
    judging: Judging,
    say: Callable[[str], None],
    key: str | None,
    patience: Patience | None,
) -> None:
    material = material_of(runs, evaluations)
    address = server_address(judging.url)
    cache = JudgeCache(judge_cache_file(runs[0].folder.path.parent))
    server = None if judging.offline else ChatServer(address, judging.model, key=key, patience=patience)
    try:
        fingerprint = _fingerprint(server, cache, address, judging.model)
        asker = Asker(judging.model, fingerprint, cache, server, say, judging.sampling, judging.at_once)
        found = _Work(material, judging, asker, _family(runs[0], judging.model))
        measures = found.measures()
    finally:
        cache.close()
        if server:
            server.close()
    for run, one in zip(runs, evaluations, strict=True):
        about = {"judge": judging.model, "server": address, "fingerprint": fingerprint, "template": TEMPLATE}
        about |= {"answers_sha256": answers_sha256(one.folder), **judging.sampling}
        write_bytes(one.folder / JUDGE_DECISIONS, jsonl(found.rows(run.name)))
        store_measures(one.folder, about, measures[run.name], name=JUDGE)


def _fingerprint(server: ChatServer | None, cache: JudgeCache, address: str, model: str) -> str:
    if server:
        found = server.fingerprint()
        cache.keep_fingerprint(address, model, found)
        return found
    known = cache.fingerprint(address, model)
    if known is None:
        raise JudgeUnavailable(
            f"nothing is kept of the judge {model} at {address}. Run it once without --judge-offline."
        )
    return known


def _family(run: Run, judge: str) -> tuple[str, ...]:
    """A warning where the judge's name begins as the base's does."""
    base = str(run.identity.model.get("name") or "")
    names = [name.rpartition("/")[2].lower().replace("_", "-").split("-")[0] for name in (base, judge)]
    if names[0] and names[0] == names[1]:
        return (f"The judge {judge} and the base {base} seem to be of one family: it may prefer its own kind.",)
    return ()


class _Work:
    """Every pair that there is to judge."""

    def __init__(self, material: Material, judging: Judging, asker: Asker, warnings: tuple[str, ...]) -> None:
        self.material, self.asker, self.warnings = material, asker, warnings
        self.answers = {label: {one.example: one.text for one in some} for label, some in material.answers.items()}
        asked = [one for one in material.author if all(one.example in own for own in self.answers.values())]
        count = min(judging.questions, len(asked))
        spread = [asked[at * len(asked) // count] for at in range(count)]
        self.questions = [_question(material, one, at) for at, one in enumerate(spread)]
        self.criteria = judging.criteria
        self.decisions: dict[tuple[str, str, str], list[Decision]] = {}

    def measures(self) -> dict[str, list[StoredMeasure]]:
        """By run."""
        found: dict[str, list[StoredMeasure]] = {run: [] for run in self.material.runs}
        for criterion in self.criteria:
            sat = [Sat(question, self.answers[BASE][question.example]) for question in self.questions]
            exam = hold_exam(self.asker, criterion, sat)
            self.asker.say(f"The judge {self.asker.model}, {criterion.key}: {exam.sentence}.")
            if exam.passed:
                self._decide_all(criterion)
            for run in self.material.runs:
                found[run] += self._of(run, criterion, exam)
        return found

    def _decide_all(self, criterion: Criterion) -> None:
        runs = self.material.runs
        pairs = [(run, BASE) for run in runs]
        pairs += [(one, other) for at, one in enumerate(runs) for other in runs[at + 1 :]]
        for one, other in pairs:
            asked = [
                Pair(criterion, question, self.answers[one][question.example], self.answers[other][question.example])
                for question in self.questions
            ]
            found = self.asker.decide(asked, f"{criterion.key}, {one} against {other}")
            self.decisions[criterion.key, one, other] = found
            self.decisions[criterion.key, other, one] = [_mirrored(decision) for decision in found]

    def _of(self, run: str, criterion: Criterion, exam: Exam) -> Iterator[StoredMeasure]:
        model, others = self.asker.model, [other for other in self.material.runs if other != run]
        own = self.decisions.get((criterion.key, run, BASE), [])
        yield against_base(criterion, model, exam, own, self.warnings)
        if others:
            met = {other: self.decisions.get((criterion.key, run, other), []) for other in others}
            yield head_to_head(criterion, model, exam, met)

    def rows(self, run: str) -> Iterator[dict[str, Any]]:
        """Every decision on a run's answers, as stored."""
        for (criterion, one, other), decisions in self.decisions.items():
            if one == run:
                for found in decisions:
                    yield {
                        "criterion": criterion,
                        "against": other,
                        "example": found.pair.question.example,
                        "verdicts": list(found.verdicts),
                        "score": found.score,
                    }


def _mirrored(decision: Decision) -> Decision:
    """The same verdicts, seen from the other side: its first order is our second."""
    pair = decision.pair
    return Decision(Pair(pair.criterion, pair.question, pair.second, pair.first), decision.verdicts[::-1])


def _question(material: Material, answer: Answer, at: int) -> Question:
    """With three of the author's answers to other questions, other ones for each question."""
    return Question(answer.example, answer.cluster, answer.question, answer.text, anchor_texts(material, answer, at))
