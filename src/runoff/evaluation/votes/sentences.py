"""Votes in words. Owns: every sentence that is said of a vote, each computed from its facts. Must not: count.

What may be said while somebody still votes (`standing`) does not tell who leads.
"""

from __future__ import annotations

from collections.abc import Iterator

from runoff.evaluation.votes.agreement import Agreement, voters_agreement
from runoff.evaluation.votes.arithmetic import FAR, votes_to_go
from runoff.evaluation.votes.results import PairResult, VoteResults, VoterResult
from runoff.evaluation.votes.voting import LIKELY_SHARE, Voting
from runoff.words import count_of, p_words

__all__ = [
    "CANNOT_SEE",
    "METHOD",
    "agreement_sentence",
    "ended_sentences",
    "pair_sentence",
    "result_sentences",
    "settling_sentence",
    "shares_words",
    "standing",
    "voter_sentence",
    "voter_warnings",
]

METHOD = (
    "Blind votes on which answer sounds more like the author, sides drawn by lot; a question counts once, by the "
    "majority of its voters. Interval: score interval over sources. p: exact sign test. "
    "The e-value may be looked at after every vote."
)
CANNOT_SEE = (
    "Whether an answer is right, and whether other people would vote alike. The p-value and the e-value take each "
    "question for itself, though those of one source resemble each other."
)
_SIDE_ALARM = 0.05


def standing(voting: Voting) -> str:
    """How far a decision is, without a hint at whose."""
    progress = voting.progress
    parts = [f"{count_of(voting.votes, 'vote')}, about {count_of(progress.left, 'question')} left"]
    if progress.pairs > 1:
        parts.append(f"{progress.decided_pairs} of {progress.pairs} pairs decided")
    if voting.knows:
        parts.append("you have seen the result, so these votes are kept and do not count")
    elif voting.decided_before:
        parts.append("decided already; further votes make it firmer")
    elif progress.to_go is not None:
        parts.append(f"about {progress.to_go} more votes for a side would settle it if the true preference is 65 to 35")
    else:
        parts.append("a decision is far away")
    return "; ".join(parts) + "."


def ended_sentences(voting: Voting) -> list[str]:
    """What is said at the end; without a result where the voter only paused."""
    if not voting.revealed:
        return ["Paused. Every vote is kept; the same command goes on. Nothing has been revealed."]
    agreements = voters_agreement(voting.poll, voting.casts)
    return [*result_sentences(voting.results, agreements), METHOD, f"What this can't see: {CANNOT_SEE}"]


def pair_sentence(one: PairResult) -> str:
    """Who was preferred, how often, and how sure that is."""
    if one.share.value is None:
        return f"{one.first} and {one.second}: no preference on any of {count_of(one.questions, 'question')}."
    winner, loser = one.pair if one.wins >= one.losses else one.pair[::-1]
    start = f"{winner} was preferred to {loser}"
    if one.wins == one.losses:
        start = f"{winner} and {loser} were preferred equally often,"
    ending = f"decided for {one.decided}" if one.decided else "not decided"
    return f"{start} on {shares_words(one, winner)}: {ending}."


def shares_words(one: PairResult, label: str) -> str:
    """How often one of the two was preferred, with its uncertainty."""
    count, share, low, high = one.wins, one.share.value or 0.0, one.share.low, one.share.high
    if label != one.first:
        count, share = one.losses, 1 - share
        low, high = (None if high is None else 1 - high), (None if low is None else 1 - low)
    interval = "" if low is None or high is None else f", 95 % interval {_whole_percent(low)} to {_whole_percent(high)}"
    return (
        f"{count} of {count_of(one.decisive, 'question')} with a preference ({_whole_percent(share)}{interval}; "
        f"{p_words(one.p_value)}; e-value {one.e_value:.3g} of the {one.threshold:g} that decide)"
    )


def result_sentences(results: VoteResults, agreements: tuple[Agreement, ...] = ()) -> Iterator[str]:
    """Everything that may be said once the voting has ended."""
    if not results.pairs:
        yield "No vote counts so far."
    for one in results.pairs:
        yield pair_sentence(one)
        yield from _beside(one)
    for voter in results.voters:
        yield voter_sentence(voter)
        yield from voter_warnings(voter)
    for agreement in agreements:
        yield agreement_sentence(agreement)


def _beside(one: PairResult) -> Iterator[str]:
    """What is not in the share, and what is missing."""
    counts = {
        "tied": one.ties,
        "where both were bad": one.both_bad,
        "never shown, since both answers are the same": one.identical,
    }
    told = [f"{number} {words}" for words, number in counts.items() if number]
    if told:
        yield f"Questions between {one.first} and {one.second} apart from these: {', '.join(told)}."
    settling = settling_sentence(one)
    if settling:
        yield settling


def settling_sentence(one: PairResult) -> str:
    """What a pair that is open lacks; empty where it is decided."""
    if one.decided:
        return ""
    if one.e_value >= one.threshold:
        sources = count_of(one.share.clusters, "source")
        return (
            f"The e-value of {one.first} and {one.second} has passed, but over {sources} the interval still holds one "
            "half: more sources are needed, not more votes."
        )
    to_go = votes_to_go(one.first_wins, one.first_losses, share=LIKELY_SHARE, threshold=one.threshold)
    many = f"about {count_of(to_go, 'more question')}" if to_go else f"over {FAR:,} more questions"
    return (
        f"If the true preference is 65 to 35, {many} with a preference would settle the votes on "
        f"{one.first} and {one.second}; {one.unvoted} are answered and not voted on."
    )


def voter_sentence(voter: VoterResult) -> str:
    """What one voter did, and how consistently."""
    seconds = f", {voter.seconds:.0f} s each (median)" if voter.seconds is not None else ""
    repeats = (
        f"of {count_of(voter.repeats, 'hidden repeat')} with the sides swapped {voter.same} got the same answer"
        if voter.repeats
        else "no hidden repeat was drawn, so consistency is unknown"
    )
    sides = f"; the left side was chosen in {voter.left} of {voter.decisive}" if voter.decisive else ""
    return f"{voter.voter}: {count_of(voter.votes, 'vote')}{seconds}; {repeats}{sides}."


def voter_warnings(voter: VoterResult) -> Iterator[str]:
    """What speaks against one voter's votes."""
    p_value = voter.side_p_value
    if p_value is not None and p_value < _SIDE_ALARM:
        side = "left" if 2 * voter.left > voter.decisive else "right"
        yield (
            f"{voter.voter} seems to prefer the {side} side ({p_words(p_value)}). Sides were drawn by lot, so this "
            "makes the votes blunter, not wrong."
        )
    if voter.apart:
        yield (
            f"{voter.voter} cast {count_of(voter.apart, 'further vote')} after seeing the result; they are kept and "
            "not counted."
        )


def agreement_sentence(found: Agreement) -> str:
    """Two raters, and chance taken off."""
    kappa, many = found.kappa, count_of(found.kappa.n, "question")
    start = f"{found.one} and {found.two} say the same on {found.same} of {many} (first, second or neither)"
    start = start[0].upper() + start[1:]
    if kappa.value is None:
        return f"{start}; Cohen's kappa is unknown: {kappa.unknown}."
    ends = f" ({kappa.low:.2f} to {kappa.high:.2f})" if kappa.low is not None and kappa.high is not None else ""
    return f"{start}; Cohen's kappa {kappa.value:.2f}{ends}, where 0 is chance and 1 is full agreement."


def _whole_percent(share: float) -> str:
    """Votes are tens or hundreds: no digit behind the point would say anything."""
    return f"{100 * share:.0f} %"
