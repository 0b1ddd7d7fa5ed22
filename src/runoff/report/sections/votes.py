"""Blind votes of people on the runs' answers: pairs, voters, and a judge model held against them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from runoff.comparison import Comparison, Verdict
from runoff.comparison.voting import Votes
from runoff.evaluation.votes import PairResult
from runoff.evaluation.votes.sentences import CANNOT_SEE, METHOD, agreement_sentence, voter_sentence, voter_warnings
from runoff.report.model import Block, Cell, Paragraph, Table, cell
from runoff.report.numbers import measured_text, percent_text
from runoff.words import p_text

__all__ = ["vote_facts", "votes"]

_COUNTS = ("the first", "the second", "tie", "both bad", "identical")
_COLUMNS = ("pair", *_COUNTS, "share of the first", "p", "e-value", "finding")


def votes(comparison: Comparison, _verdict: Verdict) -> Iterator[Block]:
    """Each pair that was voted on, by question; then who voted, and how far they agree."""
    found = comparison.evidence.votes
    if found is None:
        return
    yield Table(
        "Which answer sounds more like the author? Questions by pair",
        _COLUMNS,
        tuple(_pair_row(one) for one in found.results.pairs),
        (False, *(True for _ in range(8)), False),
        note=f"{METHOD} What this can't see: {CANNOT_SEE}",
    )
    for voter in found.results.voters:
        cites = (f"votes.voters.{voter.voter}",)
        yield Paragraph(voter_sentence(voter), cites)
        for text in voter_warnings(voter):
            yield Paragraph(text, cites, "warning")
    for agreement in (*found.voters, *((found.judge,) if found.judge else ())):
        yield Paragraph(agreement_sentence(agreement), ("votes.agreement",))


def _pair_row(one: PairResult) -> tuple[Cell, ...]:
    share = one.share
    counts = (one.wins, one.losses, one.ties, one.both_bad, one.identical)
    return (
        cell(f"{one.first}, {one.second}"),
        *(cell(count, count) for count in counts),
        cell(
            f"unknown: {share.unknown}"
            if share.value is None
            else f"{percent_text(share.value)} ({percent_text(share.low)} to {percent_text(share.high)})",
            share.value,
        ),
        cell(p_text(one.p_value), one.p_value),
        cell(f"{measured_text(one.e_value)} (decides from {one.threshold:g})", one.e_value),
        cell(f"{one.decided} preferred" if one.decided else "not decided"),
    )


def vote_facts(found: Votes | None) -> dict[str, Any]:
    """The numbers for machines; empty where nobody voted."""
    if found is None:
        return {}
    pairs = {
        f"{one.first}-{one.second}": {
            "wins": one.wins,
            "losses": one.losses,
            "ties": one.ties,
            "both_bad": one.both_bad,
            "identical": one.identical,
            "unvoted": one.unvoted,
            "votes": one.votes,
            "share": one.share.to_json(),
            "p_value": one.p_value,
            "e_value": one.e_value,
            "threshold": one.threshold,
            "decided": one.decided,
        }
        for one in found.results.pairs
    }
    return {
        "pairs": pairs,
        "voters": [asdict(voter) for voter in found.results.voters],
        "judge_agreement": found.judge.kappa.to_json() if found.judge else None,
    }
