"""Training: one loop for every engine. Must not: import a tensor library."""

from runoff.training.api import Prepared, plan_run, prepare, train
from runoff.training.recorder import Listener, Tick

__all__ = ["Listener", "Prepared", "Tick", "plan_run", "prepare", "train"]
