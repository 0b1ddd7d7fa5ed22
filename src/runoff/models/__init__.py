"""Base models: whatever a person calls one becomes a local folder that every engine can read.

Owns: `get_model`, `recorded_model`. Must not: load a tensor library, or know about runs, data or configurations.
"""

from __future__ import annotations

from runoff.models.get import get_model, recorded_model

__all__ = ["get_model", "recorded_model"]
