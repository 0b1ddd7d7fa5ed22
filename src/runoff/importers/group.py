"""Which files belong to one run: by the names they give it, never by following a path.

Owns: labels, their union, orphans. Must not: apply rules.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
_CHECKPOINT = re.compile(r"^checkpoint-\d+$")
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
    names = _told_apart([(_name(members), members) for members in groups.values()])
    return _with_neighbours(_with_orphans([Group(name, tuple(members)) for name, members in names]))


def _told_apart(groups: Sequence[tuple[str, list[Item]]]) -> Iterator[tuple[str, list[Item]]]:
    """Where a folder holds several runs, its name is none of theirs: the names that their files give come first."""
    often = Counter(name for name, _ in groups)
    for name, members in groups:
        own = [label for item in members for label in item.facts.labels if label.lower() not in _GENERIC]
        yield (own[0] if own and often[name] > 1 else name), members


def _united(label: str, members: Sequence[int], items: Sequence[Item]) -> list[list[int]]:
    """Which of the files with a label in common belong together.

    A name that every run may use (`adapters`, `config`) counts within one folder; across folders only where no two
    files of one role claim it.
    """
    sets = [list(members)]
    if not any(label in map(str.lower, items[index].facts.labels) for index in members):
        sets = _by_names(members, items)  # a file's own name is weaker than what stands in it
    elif label in _GENERIC:
        by_home: dict[Path, list[int]] = {}
        for index in members:
            by_home.setdefault(_home(items[index].source.path), []).append(index)
        claimed = {(items[index].facts.role, _home(items[index].source.path)) for index in members}
        alone = len({role for role, _ in claimed}) == len(claimed)
        sets = [*by_home.values(), *(sets if alone else [])]
    return [united for united in sets if united and _may_unite([items[index] for index in united])]


def _by_names(members: Sequence[int], items: Sequence[Item]) -> list[list[int]]:
    """Those that call their run alike; those that call it nothing go along where there is only one such run."""
    runs: list[tuple[set[str], list[int]]] = []
    nameless = [index for index in members if not _names(items[index])]
    for index in members:
        names = _names(items[index])
        alike = [run for run in runs if run[0] & names]
        if names:
            runs = [run for run in runs if run not in alike]
            runs.append((names.union(*(run[0] for run in alike)), [*(i for run in alike for i in run[1]), index]))
    return [sorted([*runs[0][1], *nameless])] if len(runs) == 1 else [*(run[1] for run in runs), nameless]


@dataclass(frozen=True)
class _Home:
    """A folder that is one run's, or one of each family of tools: whose files lie in it, and what these call it."""

    families: frozenset[str]
    names: Mapping[str, frozenset[str]]


def _homes(items: Sequence[Item]) -> dict[Path, _Home]:
    """Folders that are one run's: with an adapter or a Trainer's state and nothing in them that says otherwise, or with
    one configuration and one file of metrics."""
    below: dict[Path, list[Item]] = {}
    for item in items:
        below.setdefault(_home(item.source.path), []).append(item)
    return {home: _described(inside) for home, inside in below.items() if _one_run(home, inside)}


def _described(inside: Sequence[Item]) -> _Home:
    families = frozenset(filter(None, map(_family, inside)))
    names = {
        family: frozenset(
            name for item in inside if _is_strong(item) and _family(item) == family for name in _names(item)
        )
        for family in families
    }
    return _Home(families, names)


def _family(item: Item) -> str:
    """Tools whose files never belong to one run: mlx-lm and what grew out of it, Hugging Face's; empty if open."""
    tools = {clue.tool for clue in item.facts.clues}
    if item.facts.role == "tensors":
        return "hugging face" if "adapter_model" in item.source.path.name else "mlx"
    if tools & {"mlx-lm", "mlx-lm-lora", "unsloth-mlx"}:
        return "mlx"
    return "hugging face" if tools else ""


def _is_strong(item: Item) -> bool:
    return item.facts.role in ("record", "tensors") or item.facts.whole_folder


def _names(item: Item) -> set[str]:
    return {label.lower() for label in item.facts.labels} - _GENERIC


def _one_run(home: Path, inside: Sequence[Item]) -> bool:
    strong = [item for item in inside if _is_strong(item)]
    asked = {item.source.path for item in inside if item.facts.role == "asked" and item.given.is_dir()}
    if any(item.source.path.resolve().parent == home or item.facts.whole_folder for item in strong):
        return True
    with_rows = {item.source.path for item in inside if item.facts.rows and item.facts.role != "tensors"}
    said = [names for names in map(_names, inside) if names]
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
    while stem not in _GENERIC and (shorter := _ENDINGS.sub("", stem)) and shorter != stem:
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


def _folder_labels(item: Item, homes: Mapping[Path, _Home]) -> tuple[str, ...]:
    """Files beside an adapter or a Trainer's state are of its run, unless they name another or are another tool's; the
    folder's name is what other files call it."""
    path, family = _home(item.source.path), _family(item)
    own = (f"{family} in {item.source.path.resolve().parent}",) if item.facts.role in ("record", "tensors") else ()
    home = homes.get(path)
    if home is None:
        return own
    if not family and len(home.families) == 1:
        (family,) = home.families
    names, theirs = _names(item), home.names.get(family, frozenset())
    if (names and theirs and not names & theirs) or (not family and home.families):
        return own
    return (*own, f"folder {path} {family}", *([path.name.lower()] if len(home.families) < 2 else []))


def _home(path: Path, top: Path | None = None) -> Path:
    """The folder that stands for the run: above checkpoint-100/, adapters/, files/ and the like, up to `top`."""
    folder = path.resolve().parent
    top = top.resolve() if top else None
    while _COLLAPSED.match(folder.name) and folder.parent != folder and folder != top:
        folder = folder.parent
    if _CHECKPOINT.match(folder.parent.name) and top not in (folder, folder.parent):
        return folder.parent.parent / folder.name  # PEFT saves each adapter but the first in a folder of its name
    return folder


def _may_unite(items: Sequence[Item]) -> bool:
    """A name that two records of settings from different folders share (`adapters`) says nothing."""
    asked = {item.source.path.resolve() for item in items if item.facts.role == "asked"}
    records = [item for item in items if item.facts.role == "record"]
    homes = {_home(item.source.path) for item in records}
    # a record of a name of its own is not one of several in a folder of checkpoints
    named = {item.source.path.resolve() for item in records if item.source.path.stem not in _GENERIC}
    families = {family for item in items if _is_strong(item) and (family := _family(item))}
    return len(asked) <= 1 and len(homes) <= 1 and len(named) <= 1 and len(families) <= 1


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


def _with_neighbours(groups: Sequence[Group]) -> list[Group]:
    """An adapter in a folder inside of a run's, whose training may have been of either."""
    bare: dict[Path, int] = {}
    trained: dict[Path, int] = {}
    for index, each in enumerate(groups):
        adapters = [item for item in each.items if item.facts.role in ("record", "tensors")]
        homes = dict.fromkeys(_home(item.source.path) for item in adapters)
        if any(row.kind == "train" for item in each.items for row in item.facts.rows):
            trained |= dict.fromkeys(homes, index)
        elif len(adapters) == len(each.items):
            bare |= dict.fromkeys(homes, index)
    notes: dict[int, list[str]] = {}
    for inner, outer in ((index, trained[home.parent]) for home, index in bare.items() if home.parent in trained):
        note = (
            f"{groups[inner].name} lies in the folder of {groups[outer].name}, which has an adapter of its own: "
            "which of the two the losses are of, no file tells."
        )
        notes.setdefault(inner, []).append(note)
        notes.setdefault(outer, []).append(note)
    return [replace(each, notes=(*each.notes, *notes.get(index, ()))) for index, each in enumerate(groups)]
