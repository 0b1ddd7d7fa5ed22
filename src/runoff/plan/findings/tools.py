"""Findings about what the tool named with --for would do with the same file. Must not: know a tool's rules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from runoff.plan.findings.check import Seen, check
from runoff.plan.foreign.nouns import as_text
from runoff.words import count_of

if TYPE_CHECKING:
    from runoff.plan.draft import Draft

__all__ = ["CHECKS"]


@check("T501", "error")
def tool_would_stop(draft: Draft) -> Iterator[Seen]:
    """The named version of the tool ends with an error on this file, with the reason."""
    for stop in draft.tool.stops:
        yield Seen(stop.place, f"{draft.tool.tool}: {stop.text}.", "The tool ends with an error.", stop.fix)


@check("T502", "warning")
def tool_ignores_the_key(draft: Draft) -> Iterator[Seen]:
    """The named version of the tool does not read this key at this place, and another value holds than the one written.

    This is how a decision comes to rest on settings that were never in force.
    """
    for ignored in draft.tool.ignored:
        if not ignored.same:
            what = f"{draft.tool.tool} ignores {ignored.key}: {as_text(ignored.value)}; {ignored.instead}."
            yield Seen(ignored.place, what, "What is written is not what is trained.", ignored.fix)


@check("T503", "note")
def tool_ignores_the_key_without_harm(draft: Draft) -> Iterator[Seen]:
    """The named version of the tool does not read this key at this place, but does what it asks for anyway."""
    for ignored in draft.tool.ignored:
        if ignored.same:
            what = f"{draft.tool.tool} ignores {ignored.key}: {as_text(ignored.value)}; {ignored.instead}."
            yield Seen(ignored.place, what, "The value is the same by default, not by this line.", ignored.fix)


@check("T504", "warning")
def tool_makes_few_updates(draft: Draft) -> Iterator[Seen]:
    """In the named tool the run makes at most 100 optimizer updates, or no more than a tenth of its iterations."""
    counts = {row.key: row.value for row in draft.tool.counts}
    updates, iters = counts.get("optimizer updates"), draft.tool.setting("iters")
    if isinstance(updates, int) and isinstance(iters, int) and (updates <= 100 or updates * 10 <= iters):
        what = f"{count_of(iters, 'iteration')} make {count_of(updates, 'optimizer update')} in {draft.tool.tool}."
        yield Seen("grad_accumulation_steps", what, "Only an update changes the weights.")


@check("T505", "warning")
def tool_validates_on_a_part(draft: Draft) -> Iterator[Seen]:
    """In the named tool each validation loss comes from a part of the valid set, drawn anew each time."""
    for row in draft.tool.counts:
        if row.key == "rows per validation" and "drawn anew" in row.why:
            what = f"{draft.tool.tool} validates on {row.value} rows {row.why}."
            why = "Two of its validation losses differ by chance alone, and are not over the same rows."
            yield Seen("val_batches", what, why, "val_batches: -1")


CHECKS = (
    tool_would_stop,
    tool_ignores_the_key,
    tool_ignores_the_key_without_harm,
    tool_makes_few_updates,
    tool_validates_on_a_part,
)
