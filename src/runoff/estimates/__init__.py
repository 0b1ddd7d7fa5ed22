"""Means and rates by source, with their intervals. Must not: know what is measured."""

from runoff.estimates.estimate import Estimate

__all__ = ["Estimate"]
