"""The Report as JSON, and the schema of that. Owns: nothing but the way from the model. Must not: round."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from runoff.report.model import Report

__all__ = ["schema", "to_json"]


def to_json(report: Report) -> dict[str, Any]:
    """Plain data, field by field as report/model.py has it."""
    return {field.name: _plain(getattr(report, field.name)) for field in fields(report)}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    names = getattr(value, "__dataclass_fields__", ())  # `fields()` makes a new tuple for each of 200,000 cells
    return {name: _plain(getattr(value, name)) for name in names} if names else value


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of report.json, made from the model; docs/report-schema.json is this."""
    from pydantic import TypeAdapter

    body = TypeAdapter(Report).json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | body
