"""Text from elsewhere, made safe to print."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runoff.plain_text import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("two\r\nlines\tand a tab\n", "two\nlines\tand a tab\n"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("back\rover", r"back\x0dover"),
        ("\x9b31m", r"\x9b31m"),
        ("abc\u202ecba", r"abc\u202ecba"),
        ("half \ud83d", r"half \ud83d"),
        ("Ünïcode, 日本語, 👍🏽", "Ünïcode, 日本語, 👍🏽"),
    ],
)
def test_written_out(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text())
def test_the_result_can_be_written_and_commands_no_terminal(text: str) -> None:
    shown = visible(text)
    shown.encode("utf-8")
    assert not any((ord(one) < 32 and one not in "\n\t") or 127 <= ord(one) < 160 for one in shown)
