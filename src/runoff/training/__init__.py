"""Training: one loop for every engine. Must not: import a tensor library."""

from runoff.training.api import Prepared, prepare, train
from runoff.training.recorder import Listener, Tick

__all__ = ["Listener", "Prepared", "Tick", "prepare", "train"]
