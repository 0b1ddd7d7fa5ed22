"""Writes the pages that are made from the code, or with --check says which are out of date."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

from runoff.config.document import settings_document
from runoff.engines.adapters.document import adapter_document
from runoff.evaluation.measures.document import measures_page
from runoff.plan.findings import docs as findings_document
from runoff.report.json_report import schema

PAGES: dict[str, Callable[[], str]] = {
    "adapters.md": adapter_document,
    "findings.md": findings_document,
    "measures.md": measures_page,
    "report-schema.json": lambda: json.dumps(schema(), indent=1) + "\n",
    "settings.md": settings_document,
}


def main() -> int:
    """Return 1 if a page is not what the code says."""
    stale = []
    for name, make in PAGES.items():
        path = Path(__file__).parent / name
        if not path.exists() or path.read_text("utf-8") != make():
            stale.append(name)
            if "--check" not in sys.argv:
                path.write_text(make(), "utf-8")
    if stale and "--check" in sys.argv:
        print(f"out of date: {', '.join(stale)}; run python docs/generate.py")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
