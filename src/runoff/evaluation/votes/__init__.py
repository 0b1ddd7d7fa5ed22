"""Blind human votes between stored answers: drawn, kept, counted. Must not: rank runs or decide what to ship."""

from runoff.evaluation.votes.poll import Candidate, Poll, open_poll, poll_of
from runoff.evaluation.votes.record import BallotBox, Cast, Choice
from runoff.evaluation.votes.results import PairResult, VoteResults, VoterResult, count_votes
from runoff.evaluation.votes.voting import Ballot, Voting

__all__ = [
    "Ballot",
    "BallotBox",
    "Candidate",
    "Cast",
    "Choice",
    "PairResult",
    "Poll",
    "VoteResults",
    "VoterResult",
    "Voting",
    "count_votes",
    "open_poll",
    "poll_of",
]
