"""docs/findings.md is made from the checks."""

from __future__ import annotations

import re
from pathlib import Path

from runoff.plan.findings import FINDINGS, docs

PAGE = Path(__file__).parents[4] / "docs" / "findings.md"


def test_the_page_is_what_the_checks_say() -> None:
    assert PAGE.read_text("utf-8") == docs()


def test_codes_are_unique_and_in_order_within_their_theme() -> None:
    codes = [check.code for check in FINDINGS]
    assert len(set(codes)) == len(codes)
    for theme in "SCDMT":
        of_theme = [code for code in codes if code[0] == theme]
        assert of_theme == sorted(of_theme)


def test_every_check_is_documented_in_full_sentences() -> None:
    for check in FINDINGS:
        assert re.match(r"[\w`\"].*[.:]", check.text, re.DOTALL), check.code
        assert check.title[0].islower()
