"""The votes as they are kept: one JSON object a line, appended and on the disk before the next question is shown.

Owns: the file's form (docs/votes.md), what an undo takes back, which votes were cast after the result was seen. Must
not: count, or change a line once written.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from runoff.errors import RunError, disk_error
from runoff.files import jsonl, read_jsonl

__all__ = ["CHOICES", "BallotBox", "Cast", "Choice", "Shown"]

Choice = Literal["left", "right", "tie", "both bad", "skip"]
CHOICES: tuple[str, ...] = get_args(Choice)


@dataclass(frozen=True, slots=True)
class Shown:
    """One answer that was shown. adapter: hash of the adapter's files ("base" for the base); answer: of the text."""

    run: str
    adapter: str
    answer: str


@dataclass(frozen=True, slots=True)
class Cast:
    """One vote. at: ISO 8601, UTC. test: key of the evaluation. seconds: from showing to vote.

    repeat: the voter had voted on this pair before, with the sides swapped. unblinded: the voter had seen by then which
    of these runs leads; derived on reading, not kept.
    """

    id: str
    at: str
    voter: str
    test: str
    example: str
    left: Shown
    right: Shown
    choice: Choice
    seconds: float
    repeat: bool = False
    unblinded: bool = False

    @property
    def chosen(self) -> Shown | None:
        """The preferred answer; None for a tie, both bad or a skip."""
        return self.left if self.choice == "left" else self.right if self.choice == "right" else None

    def to_json(self) -> dict[str, Any]:
        """A line of the file."""
        body = asdict(self)
        del body["unblinded"]
        return {"kind": "vote", **body}

    @classmethod
    def from_json(cls, body: Mapping[str, Any], *, unblinded: bool) -> Cast:
        """The inverse of `to_json`; raises KeyError, TypeError or ValueError on anything else."""
        left, right = Shown(**body["left"]), Shown(**body["right"])
        if body["choice"] not in CHOICES:
            raise ValueError(f"the choice is none of {', '.join(CHOICES)}")
        names = [name for name in cls.__slots__ if name not in ("left", "right", "unblinded")]
        return cls(**{name: body[name] for name in names}, left=left, right=right, unblinded=unblinded)


class BallotBox:
    """The file of all votes on the runs below one folder. Several voters may append at the same time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def cast(self, vote: Cast) -> None:
        """Keep a vote. Raises RunError where it can't be written."""
        self._append(vote.to_json())

    def undo(self, vote: Cast, at: str) -> None:
        """Take a vote back; the line stays, and a line says that it does not count."""
        self._append({"kind": "undo", "at": at, "voter": vote.voter, "of": vote.id})

    def reveal(self, voter: str, adapters: tuple[str, ...], at: str) -> None:
        """Remember that a voter has seen how the votes on these adapters stand."""
        self._append({"kind": "revealed", "at": at, "voter": voter, "adapters": list(adapters)})

    def votes(self) -> tuple[Cast, ...]:
        """In the order in which they were cast, without those taken back.

        Raises:
            RunError: a line is no vote; its number.
        """
        return self._read()[0]

    def knows(self, voter: str, adapters: Collection[str]) -> bool:
        """Whether a voter has seen how the votes on all of these stand."""
        return any({*adapters} <= seen for seen in self._read()[1].get(voter, ()))

    def _read(self) -> tuple[tuple[Cast, ...], dict[str, list[set[str]]]]:
        """The votes that stand, and by voter the groups of adapters whose result was seen."""
        try:
            rows = read_jsonl(self.path)
        except FileNotFoundError:
            return (), {}
        except OSError as error:
            raise RunError(
                f"{self.path}: the votes can't be read ({error.strerror}). Make it a readable file."
            ) from None
        found: dict[str, Cast] = {}
        seen: dict[str, list[set[str]]] = {}
        for number, row in enumerate(rows, start=1):
            try:
                if row["kind"] == "undo":
                    found.pop(row["of"], None)
                elif row["kind"] == "revealed":
                    seen.setdefault(row["voter"], []).append(set(row["adapters"]))
                else:
                    pair = {row["left"]["adapter"], row["right"]["adapter"]}
                    knew = any(pair <= adapters for adapters in seen.get(row["voter"], ()))
                    found[row["id"]] = Cast.from_json(row, unblinded=knew)
            except (KeyError, TypeError, ValueError) as error:
                raise RunError(
                    f"{self.path}:{number}: is not a vote as Runoff writes it ({type(error).__name__}: {error}). "
                    "Restore the file or remove the line."
                ) from None
        return tuple(found.values()), seen

    def _append(self, row: dict[str, Any]) -> None:
        """One write under a lock, then fsync: a vote that was acknowledged is never lost."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                _mend(self.path, file.fileno())
                os.write(file.fileno(), jsonl([row]))
                os.fsync(file.fileno())
        except OSError as error:
            raise disk_error(error, self.path, "the vote") from None


def _mend(path: Path, handle: int) -> None:
    """A last line that a crash cut off was never acknowledged; without this the next one would be glued to it."""
    whole = path.read_bytes()
    if not whole or whole.endswith(b"\n"):
        return
    start = whole.rfind(b"\n") + 1
    try:
        json.loads(whole[start:])
        os.write(handle, b"\n")
    except ValueError:
        os.ftruncate(handle, start)
