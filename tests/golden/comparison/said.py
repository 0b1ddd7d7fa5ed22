"""What a report says, taken apart into the same statements as truth.py makes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from runoff.report.model import Commands, Paragraph, Report, Table

NUMBER = r"([\d,]+(?:\.\d+)?)"


def lines(report: Report) -> Iterator[str]:
    """Every sentence, and every row of a table as one line."""
    for section in report.sections:
        for block in section.blocks:
            if isinstance(block, Paragraph):
                yield block.text
            elif isinstance(block, Table):
                yield from (" | ".join(cell.text for cell in row) for row in block.rows)
            elif isinstance(block, Commands):
                yield from block.lines


def table(report: Report, caption: str) -> list[tuple[str, ...]]:
    """The rows of a table as text; none if it is not there."""
    found = [
        block
        for section in report.sections
        for block in section.blocks
        if isinstance(block, Table) and block.caption.startswith(caption)
    ]
    return [tuple(cell.text for cell in row) for block in found for row in block.rows]


def numbers(report: Report, caption: str) -> dict[str, list[float | None]]:
    """The numbers behind a table's cells, by the row's name; None where it says unknown."""
    return {
        row[0].text: [cell.value for cell in row[1:]]
        for section in report.sections
        for block in section.blocks
        if isinstance(block, Table) and block.caption.startswith(caption)
        for row in block.rows
    }


def matches(report: Report, pattern: str) -> set[str]:
    """The groups of every match, joined by blanks, without thousands separators."""
    found = set()
    for line in lines(report):
        for match in re.finditer(pattern, line):
            found.add(" ".join(group.replace(",", "") for group in match.groups() if group))
    return found


def ignored(report: Report) -> set[str]:
    rows = table(report, "Declared, and what held")
    return {f"{row[0]}: {key[1]}" for row in rows if (key := re.match(r"mlx-lm does not read (\S+): ", row[2]))}


def differing(report: Report) -> set[str]:
    keys = {row[0] for row in table(report, "Settings that differ")}
    return {"lr_schedule" if key.startswith("lr_schedule") else key for key in keys}


def at_once(report: Report) -> set[str]:
    found = set()
    for line in lines(report):
        if match := re.match(r"(?:(\d+) settings? \((.*?)\))?(?: and )?(the training rows)? differ at once", line):
            keys = sorted(re.split(", | and ", match[2])) if match[2] else []
            assert len(keys) == int(match[1] or 0)
            found.add(" ".join(keys + (["training rows"] if match[3] else [])))
    return found


def lengths(report: Report) -> set[str]:
    made = matches(report, rf"(\w+) makes {NUMBER} optimizer updates? of {NUMBER} rows? \({NUMBER} epochs\)")
    fewer = {
        f"{m} {share} fewer {what} {than}"
        for line in lines(report)
        for m, share, what, than in re.findall(r"(\w+) makes ([\d.]+) % fewer ([a-z ]+) than (\w+)\.", line)
    }
    times = {
        f"{m} {ratio} times {what} {than}"
        for line in lines(report)
        for m, ratio, what, than in re.findall(r"(\w+) makes ([\d.e+]+) times as many ([a-z ]+) as (\w+)\.", line)
    }
    return made | fewer | times


def checks(report: Report) -> set[str]:
    """As topic and level, blocking and warnings alone."""
    levels = {"no": "blocking", "with care": "warning"}
    rows = table(report, "Checks, the gravest first")
    return {f"{row[0]}: {levels[row[1]]}" for row in rows if row[1] in levels}


def split_anew(report: Report) -> set[str]:
    return matches(
        report,
        rf"Both have {NUMBER} rows in all: if they are one pool that was split anew, at least {NUMBER} of (\w+)'s "
        rf"{NUMBER} validation rows are among (\w+)'s",
    )


def broken(report: Report) -> set[str]:
    return matches(report, rf"(\w+): {NUMBER} reported loss(?:es)? (?:is|are) not")


def silent(report: Report) -> set[str]:
    found = matches(report, r"^(.+) ha(?:s|ve) no recorded metrics at all: nothing")
    return {name for names in found for name in names.split(" and ")}


def schedules(report: Report) -> set[str]:
    decay = r"(\w+)'s learning rate never ends its (decay): that takes ([\d,]+) updates.*the run makes ([\d,]+) "
    return matches(report, decay) | matches(
        report, r"(\w+) is all (warm-up): that takes ([\d,]+) updates?, and the run makes ([\d,]+) "
    )


def cuts(report: Report) -> set[str]:
    found = set()
    for line in lines(report):
        if match := re.search(r"The longest row has (\d+) tokens: (.+) cuts? it", line):
            found |= {f"{name} {match[1]}" for name in match[2].split(" and ")}
    return found


def gaps(report: Report) -> set[str]:
    pattern = r"(\w+): the last validation loss is ([\d.]+) (above|below) the last training loss \(([\d.]+) % of it\)"
    return matches(report, pattern)


def blocks(report: Report) -> set[str]:
    return matches(report, r"(\w+) adapts ([\d.]+) % fewer than (\w+) and leaves ([\d.]+) % more untouched")
