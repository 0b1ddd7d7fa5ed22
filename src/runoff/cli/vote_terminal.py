"""Blind votes in a terminal: the two answers next to each other, one key a vote.

Owns: keys and layout. Must not: choose, keep or count (evaluation/votes/voting.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from rich.columns import Columns
from rich.panel import Panel
from rich.text import Text

from runoff.cli.output import console, say
from runoff.errors import RunError
from runoff.evaluation.votes.poll import shown_text
from runoff.evaluation.votes.sentences import standing
from runoff.plain_text import visible

if TYPE_CHECKING:
    from runoff.evaluation.votes import Ballot, Choice, Voting

__all__ = ["vote_in_terminal"]

_CHOICES: dict[str, Choice] = {
    "l": "left",
    "\x1b[D": "left",
    "r": "right",
    "\x1b[C": "right",
    "t": "tie",
    "\x1b[B": "tie",
    "b": "both bad",
    "s": "skip",
}
_KEYS = (
    "l or ← left, r or → right, t or ↓ tie, b both bad, s skip, u undo, m more of the answers, a author's answers, "
    "p pause, e end and show"
)
_LINES = 20
"""Of an answer, at first; both boxes are as high as each other."""


def vote_in_terminal(voting: Voting) -> None:
    """Ask until the voting has ended. Raises KeyboardInterrupt on Ctrl-C."""
    asked = ""
    while (ballot := voting.show()) is not None:
        if ballot.id != asked:
            _show(voting, ballot, anchors=not asked)
            asked = ballot.id
        key = _key()
        if key in _CHOICES:
            voting.vote(ballot.id, _CHOICES[key])
        elif key == "u":
            voting.undo()
        elif key in ("a", "m"):
            _show(voting, ballot, anchors=key == "a", whole=key == "m")
        elif key == "p":
            voting.end(reveal=False)
        elif key == "e" and _sure():
            voting.end(reveal=True)


def _show(voting: Voting, ballot: Ballot, *, anchors: bool, whole: bool = False) -> None:
    out, poll = console(), voting.poll
    out.rule(style="dim")
    if anchors:
        for text in poll.anchors[ballot.example]:
            out.print(Panel(Text(shown_text(text)), title="the author, to another question", border_style="dim"))
    out.print(Text(visible(poll.answer(ballot.left, ballot.example).question), style="bold"))
    beside = out.width >= 100
    width = out.width // 2 - 1 if beside else out.width
    texts = {side: Text(shown_text(poll.answer(label, ballot.example).text)) for side, label in _sides(ballot)}
    lines = max(len(text.wrap(out, width - 4)) for text in texts.values())
    height = 2 + (lines if whole else min(lines, _LINES))
    panels = [Panel(text, title=side, width=width, height=height) for side, text in texts.items()]
    out.print(Columns(panels, padding=(0, 1)) if beside else panels[0])
    if not beside:
        out.print(panels[1])
    say(f"Which sounds more like the author? ({standing(voting)})")
    say(_KEYS)


def _sides(ballot: Ballot) -> tuple[tuple[str, str], tuple[str, str]]:
    return ("left", ballot.left), ("right", ballot.right)


def _sure() -> bool:
    say("Show who is who? Votes that you cast on these answers afterwards are kept but do not count. y or n")
    return _key() == "y"


def _key() -> str:
    """One key, as it is pressed; letters in lower case. The end of the input pauses, as Ctrl-C does."""
    try:
        key = typer.getchar()
    except OSError:
        raise RunError("--terminal: there is no terminal to read keys from. Vote on the page, without it.") from None
    except EOFError:
        key = ""
    if not key:
        raise KeyboardInterrupt
    return key.lower() if len(key) == 1 else key
