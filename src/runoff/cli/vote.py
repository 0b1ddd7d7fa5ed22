"""`runoff vote`: which of two answers sounds more like the author, asked of a person who can't see whose they are."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from runoff.evaluation.votes import Voting

__all__ = ["command"]


def command(
    runs: Annotated[list[str], typer.Argument(help="Two or more run names, or paths of run folders.")],
    voter: Annotated[
        str | None, typer.Option("--voter", help="Your name, kept with your votes; default: anonymous.")
    ] = None,
    with_base: Annotated[
        bool, typer.Option("--with-base", help="The base's answers take part; then one run is enough.")
    ] = False,
    terminal: Annotated[bool, typer.Option("--terminal", help="Vote here, one key a vote, without a page.")] = False,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port of the page on 127.0.0.1; 0 takes a free one.")
    ] = 0,
    open_page: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in the browser, or only print its address.")
    ] = True,
    root: Annotated[
        Path | None, typer.Option("--runs", help="Folder of the runs; default $RUNOFF_DIR or ./runs.")
    ] = None,
) -> None:
    """Vote blindly between the stored answers of runs.

    Stop at any time; the same command goes on. Whose an answer is stays hidden until the votes decide, all
    are cast, or you end it. runoff compare shows the votes.
    """
    from runoff.cli.output import say
    from runoff.evaluation.votes import BallotBox, Voting, open_poll
    from runoff.evaluation.votes.sentences import standing
    from runoff.evaluation.votes.voting import voter_name
    from runoff.runs import load_run, votes_file

    name = voter_name(voter)
    loaded = [load_run(run, root) for run in dict.fromkeys(runs)]
    poll = open_poll(loaded, with_base=with_base)
    voting = Voting(poll, BallotBox(votes_file(loaded[0].folder.path.parent)), name)
    if not voting.ended:
        say(f"Votes by {name} go to {voting.box.path}. So far: {standing(voting)}")
        _vote(voting, terminal=terminal, port=port, open_page=open_page)
    _tell(voting)


def _vote(voting: Voting, *, terminal: bool, port: int, open_page: bool) -> None:
    """Until it has ended. Ctrl-C pauses: every vote is on the disk already."""
    try:
        if terminal:
            from runoff.cli.vote_terminal import vote_in_terminal

            vote_in_terminal(voting)
        else:
            _serve(voting, port, open_page=open_page)
    except KeyboardInterrupt:
        voting.end(reveal=False)


def _serve(voting: Voting, port: int, *, open_page: bool) -> None:
    import webbrowser

    from runoff.cli.output import say
    from runoff.evaluation.votes.server import VoteServer

    with VoteServer(voting, port=port) as server:
        say(f"Vote at {server.address} (this machine only; Ctrl-C pauses).")
        if open_page and sys.stdout.isatty():
            webbrowser.open(server.address)
        server.wait()


def _tell(voting: Voting) -> None:
    from runoff.cli.output import say
    from runoff.evaluation.votes.sentences import ended_sentences

    for sentence in ended_sentences(voting):
        say(sentence)
