"""The page on measures, `docs/measures.md`. Owns: its text, made of what measures and checks say of themselves."""

from __future__ import annotations

from collections.abc import Iterator

from runoff.evaluation.measures.measure import MEASURES, PROFILE, SCORED_MEASURES
from runoff.evaluation.measures.result import About, Dimension
from runoff.evaluation.suite.checks import CHECKS

__all__ = ["measures_page"]

_INTRODUCTION = """\
# Measures

<!-- Made by runoff.evaluation.measures.document.measures_page; a test compares. -->

Every measure is reported for each run between two anchors: the **base** model, and the **author's own held-out
answers**. Each value is an estimate with its number of answers, of sources, an interval and a method; what can't be
measured is unknown and says why. Intervals of what has bounds (shares, probabilities, counts) stay within them: see
[statistics.md](statistics.md). *Matters from* is the smallest difference worth acting on.
"""

_OWN = '''\
## Your own measure

A Python function that takes an answer and returns a number, True or False, or None where it has nothing to say. Name it
as `file.py:function` or `module:function`; Runoff makes the mean, the interval and the anchors.

```python
# my_measures.py
def says_please(answer):
    """Whether the answer says please."""
    return "please" in answer.text.lower()


says_please.unit = "share of answers"
says_please.bounds = (0, 1)
says_please.higher_is_better = True
says_please.matters = 0.05
```

```sh
runoff evaluate long short --generate --measure my_measures.py:says_please
```

Answers that are stored are not generated again, so this takes seconds after an earlier `--generate`. Name your measures
each time: an evaluation has those of the last call. `runoff compare` shows them under *Your own measures*, with the
difference between the runs; they decide no verdict ([a gate of your own](verdict.md#a-gate-of-your-own)).

Without attributes the unit is whatever the function returns, and nearest to the author's own value is best. With
`bounds`, the interval stays within the least and the largest value, as a share's has to.

An answer has `example`, `source`, `question`, `reference`, `text`, `tokens`, `finish_reason` and `end_token_seen`.
'''

_PROMPTS = """\
## Your own prompts

The checkable prompts are a YAML file, and so are yours. `runoff evaluate long short --generate --prompts own.yaml` adds
them. A prompt is one question (`ask`) or turns of user and model in alternation (`turns`), which end with the user's.
An answer passes if it passes every check; without checks it is only shown side by side.

```yaml
prompts:
  - id: opening-hours
    category: shop
    ask: When does the shop open on Saturdays? Answer in one sentence.
    checks:
      - one_of: ["9:00", "nine"]
      - words: {max: 30}
  - id: remembers-the-name
    category: recall
    turns: [My name is Ada., "Hello Ada, how can I help?", What is my name?]
    checks: [contains: Ada]
```

| check | passes if |
|---|---|
"""


def measures_page() -> str:
    """The whole page as Markdown."""
    return "\n".join([_INTRODUCTION, *_dimensions(), _OWN, _PROMPTS + "\n".join(_check_rows()), ""])


def _dimensions() -> Iterator[str]:
    for dimension in Dimension:
        some = [measure.about for measure in (*SCORED_MEASURES, *MEASURES) if measure.about.dimension is dimension]
        if some:
            yield f"## {dimension.value}\n"
            yield from map(_entry, some)
        if dimension is Dimension.STYLE:
            yield _profile()


def _entry(about: About) -> str:
    needs = "; ".join(f"{need.value}" for need in about.needs)
    return (
        f"### {about.title} (`{about.key}`)\n\n{about.what}\n\n"
        f"- Unit: {about.unit}; {_direction(about)}; matters from {about.matters:.2g}.\n"
        f"- Can't see: {about.cannot_see}\n"
        f"- Unknown if {needs}.\n"
    )


def _direction(about: About) -> str:
    if about.higher_is_better is None:
        return "not ranked (where the author has a value, nearest to it is best)"
    return "higher is better" if about.higher_is_better else "lower is better"


def _profile() -> str:
    titles = "; ".join(measure.about.title for measure in PROFILE)
    return (
        "### What explains the style score (`profile_...`)\n\n"
        f"Each as a z-score against the author's training answers, mean over answers: {titles}.\n"
    )


def _check_rows() -> Iterator[str]:
    for check in CHECKS.values():
        yield f"| `{check.example}` | {check.what} |"
