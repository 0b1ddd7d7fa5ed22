"""The Report as JSON. Owns: its shape (docs/record-format.md). Must not: round."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from runoff.report.model import Report

__all__ = ["to_json"]

REPORT_SCHEMA_VERSION = 1


def to_json(report: Report) -> dict[str, Any]:
    """Plain data; each block says its kind."""
    return {
        "schema_version": REPORT_SCHEMA_VERSION,
        "title": report.title,
        "decision": report.decision,
        "ship": report.ship,
        "sections": [
            {
                "key": section.key,
                "title": section.title,
                "blocks": [{"kind": type(block).__name__.lower(), **asdict(block)} for block in section.blocks],
            }
            for section in report.sections
        ],
        "facts": report.facts,
    }
