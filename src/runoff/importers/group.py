"""Which files belong to one run: by the names they give it, never by following a path.

Owns: labels, their union, orphans. Must not: apply rules.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runoff.importers.facts import Facts, SourceFile

__all__ = ["Group", "Item", "group"]

_ENDINGS = re.compile(
    r"[-_.](log|logs|out|err|stdout|stderr|tail|head|train|training|metrics|config|cfg|settings|results|history|console|tty|pipe)$"
)
_GENERIC = frozenset(
    [
        "log",
        "logs",
        "out",
        "train",
        "training",
        "metrics",
        "config",
        "cfg",
        "settings",
        "results",
        "output",
        "stdout",
        "stderr",
        "console",
        "adapter",
        "adapters",
        "checkpoints",
        "model",
        "adapter_config",
        "trainer_state",
        "trainer_log",
        "adapter_model",
        "all_results",
        "train_results",
        "eval_results",
        "wandb-summary",
        "final",
        "best",
        "lora_config",
        "run",
        "history",
        "files",
        "debug",
    ]
)
_COLLAPSED = re.compile(
    r"^(checkpoint-\d+|checkpoints?|files|logs?|runs|tensorboard|tb|\d+_adapters|adapters?|final|best|last"
    r"|[A-Z][a-z]{2}\d{2}_\d{2}-\d{2}-\d{2}_.*)$"
)
"""Folders inside a run's folder; the last form is Trainer's own below runs/."""


@dataclass(frozen=True)
class Item:
    """What one file tells about one run. `given`: the path on the command line that it was found below."""

    source: SourceFile
    kind: str
    facts: Facts
    given: Path


@dataclass(frozen=True)
class Group:
    """The items of one run and what to call it."""

    name: str
    items: tuple[Item, ...]
    notes: tuple[str, ...] = ()


def group(items: Sequence[Item], name: str | None = None) -> list[Group]:
    """One group for each run, in the order of the files. A given name says that they are all one run."""
    if name is not None:
        return [Group(name, tuple(items))] if items else []
    homes = _homes(items)
    mixed = _of_several_runs(items)
    labels = [(*_labels(item, with_stem=item.source.name not in mixed), *_folder_labels(item, homes)) for item in items]
    parent = list(range(len(items)))
    for label in dict.fromkeys(label for each in labels for label in each):
        members = [index for index, each in enumerate(labels) if label in each]
        for united in _united(label, members, items):
            for other in united[1:]:
                parent[_root(parent, other)] = _root(parent, united[0])
    groups: dict[int, list[Item]] = {}
    for index, item in enumerate(items):
        groups.setdefault(_root(parent, index), []).append(item)
    return _with_orphans([Group(_name(members), tuple(members)) for members in groups.values()])


def _united(label: str, members: Sequence[int], items: Sequence[Item]) -> list[list[int]]:
    """Which of the files with a label in common belong together.

    A name that every run may use (`adapters`, `config`) counts within one folder; across folders only where no two
    files of one role claim it.
    """
    sets = [list(members)]
    if label in _GENERIC:
        by_home: dict[Path, list[int]] = {}
        for index in members:
            by_home.setdefault(_home(items[index].source.path), []).append(index)
        claimed = {(items[index].facts.role, _home(items[index].source.path)) for index in members}
        alone = len({role for role, _ in claimed}) == len(claimed)
        sets = [*by_home.values(), *(sets if alone else [])]
    return [united for united in sets if _may_unite([items[index] for index in united])]


def _homes(items: Sequence[Item]) -> set[Path]:
    """Folders that are one run's: with an adapter or a Trainer's state and nothing in them that says otherwise, or with
    one configuration and one file of metrics."""
    below: dict[Path, list[Item]] = {}
    for item in items:
        below.setdefault(_home(item.source.path), []).append(item)
    return {home for home, inside in below.items() if _one_run(home, inside)}


def _one_run(home: Path, inside: Sequence[Item]) -> bool:
    strong = [item for item in inside if item.facts.role in ("record", "tensors") or item.facts.whole_folder]
    asked = {item.source.path for item in inside if item.facts.role == "asked" and item.given.is_dir()}
    if any(item.source.path.resolve().parent == home or item.facts.whole_folder for item in strong):
        return True
    with_rows = {item.source.path for item in inside if item.facts.rows and item.facts.role != "tensors"}
    names = [{label.lower() for label in item.facts.labels} - _GENERIC for item in inside]
    said = [name for name in names if name]
    agree = all(one & other for one in said for other in said)
    return agree and len(asked) <= 1 and len(with_rows) <= 1 and bool(strong or asked)


def _root(parent: list[int], index: int) -> int:
    while parent[index] != index:
        index = parent[index]
    return index


def _of_several_runs(items: Sequence[Item]) -> set[str]:
    """Files whose parts name different runs: their own name says nothing then."""
    named: dict[str, set[tuple[str, ...]]] = {}
    for item in items:
        named.setdefault(item.source.name, set()).add(item.facts.labels)
    return {name for name, labels in named.items() if len(labels) > 1}


def _labels(item: Item, *, with_stem: bool = True) -> tuple[str, ...]:
    stem = item.source.path.name.lower()
    stem = re.sub(r"\.(ya?ml|jsonl?|log|txt|out|err|csv|safetensors)$", "", stem)
    while (shorter := _ENDINGS.sub("", stem)) and shorter != stem:
        stem = shorter
    own = [label.lower() for label in item.facts.labels]
    if (
        with_stem
        and item.facts.role != "tensors"
        and (stem not in _GENERIC or item.facts.role == "asked")
        and not re.match(r"events\.out\.tfevents", stem)
    ):
        own.append(stem)
    return tuple(dict.fromkeys(own))


def _folder_labels(item: Item, homes: set[Path]) -> tuple[str, ...]:
    """Files beside an adapter or a Trainer's state are of its run; its folder's name is what other files call it."""
    home = _home(item.source.path)
    own = (f"folder {item.source.path.resolve().parent}",) if item.facts.role in ("record", "tensors") else ()
    return (*own, f"folder {home}", home.name.lower()) if home in homes else own


def _home(path: Path, top: Path | None = None) -> Path:
    """The folder that stands for the run: above checkpoint-100/, adapters/, files/ and the like, up to `top`."""
    folder = path.resolve().parent
    top = top.resolve() if top else None
    while _COLLAPSED.match(folder.name) and folder.parent != folder and folder != top:
        folder = folder.parent
    return folder


def _may_unite(items: Sequence[Item]) -> bool:
    """A name that two records of settings from different folders share (`adapters`) says nothing."""
    for role in ("record", "asked"):
        places = {
            (item.source.path.resolve().parent if role == "record" else item.source.path.resolve())
            for item in items
            if item.facts.role == role
        }
        homes = {_home(item.source.path) for item in items if item.facts.role == role}
        if len(places) > 1 and (role == "asked" or len(homes) > 1):
            return False
    return True


def _name(items: Sequence[Item]) -> str:
    for role in ("record", "tensors"):
        for item in items:
            if item.facts.role == role:
                home = _home(item.source.path, item.given).name
                own = item.facts.labels and (home in _GENERIC or not item.given.is_dir())
                return item.facts.labels[0] if own else home
    first = items[0]
    labels = [label for item in items for label in item.facts.labels if label not in _GENERIC]
    stems = [stem for item in items for stem in _labels(item) if stem not in _GENERIC]
    if labels or stems:
        return (labels or stems)[0]
    folder = _home(first.source.path, first.given).name
    inside = first.given.is_dir() and folder not in _GENERIC
    return folder if inside else next((label for item in items for label in item.facts.labels), folder)


def _with_orphans(groups: list[Group]) -> list[Group]:
    """A single log that names no run goes with a single configuration that has no metrics."""
    bare = [
        each
        for each in groups
        if not any(item.facts.rows for item in each.items)
        and any(item.facts.role in ("record", "asked") for item in each.items)
    ]
    loose = [
        each
        for each in groups
        if all(item.facts.role in ("log", "summary") and not item.facts.labels for item in each.items)
    ]
    if len(groups) != 2 or len(bare) != 1 or len(loose) != 1:
        return groups
    names = ", ".join(item.source.name for item in loose[0].items)
    note = (
        f"{names} names no run and is taken with {bare[0].name}, the only other one; if that is wrong, import it alone."
    )
    return [Group(bare[0].name, bare[0].items + loose[0].items, (note,))]
