"""Losses that are none in nats per target token: of preferences (DPO, ORPO, KTO, ...), of rewards, of GRPO.

A report of such a training names rewards or log-probabilities beside its loss; that loss is kept under `loss` among the
other measures, so that it is never compared with one in nats. Source: trl/trainer/{dpo,kto,orpo,reward,grpo}_trainer.py
1.16; mlx_lm_lora/trainer. Must not: know a format.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from runoff.runs import MetricRow

__all__ = ["by_its_objective", "other_objective", "told_by"]

_BEGINNINGS = ("rewards/", "logps/", "logits/", "objective/", "completions/")
_NAMES = frozenset(
    ("reward", "mean_reward", "log_odds_ratio", "log_odds_chosen", "nll_loss", "kl", "chosen_r", "rejected_r")
)


def other_objective(names: Iterable[str]) -> str | None:
    """The name among a report's that tells of another objective than the next token."""
    named = map(str, names)  # cells beyond a table's header stand under None
    plain = ((name, name.removeprefix("eval_").removeprefix("eval/").removeprefix("train/")) for name in named)
    return next((name for name, own in plain if own.startswith(_BEGINNINGS) or own in _NAMES), None)


def by_its_objective(row: MetricRow, names: Iterable[str]) -> MetricRow:
    """The row, its loss in nats only where no name says otherwise."""
    loss = row.nats_per_target_token
    if loss is None or other_objective(names) is None:
        return row
    rounding = {key: width for key, width in row.rounding.items() if key != "nats_per_target_token"}
    return replace(row, nats_per_target_token=None, others={"loss": loss, **row.others}, rounding=rounding)


def told_by(rows: Sequence[MetricRow]) -> str | None:
    """The first name among the rows' own that tells of another objective."""
    names = (name for row in rows for name in (*row.others, *(row.text or "").replace(",", " ").split()))
    return other_objective(names)
