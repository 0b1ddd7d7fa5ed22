"""The adapter's own tensors are the last word on what was adapted: on rank, blocks, layers, and whether it is DoRA.

Owns: which file's tensors count, what they say of the version, and settings that they overrule. Must not: read files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from runoff.config import Origin
from runoff.importers.counts import Evidence
from runoff.importers.effective import Effective
from runoff.importers.facts import AdapterTensors, Clue, Facts
from runoff.importers.group import Item
from runoff.importers.rules_mlx_lm import without_lora
from runoff.plan import Finding
from runoff.runs import Value

__all__ = ["chosen_tensors", "tensor_clues", "tensors_hold", "wrong_base"]

WHY = "The tensors hold: they are what was trained."
_ATTENTION = ("self_attn.q_proj", "self_attn.v_proj")


def chosen_tensors(items: Sequence[Item]) -> AdapterTensors | None:
    """The last adapter's: the one in the folder itself, else that of the highest checkpoint."""
    found = [item for item in items if item.facts.tensors is not None]
    final = [item for item in found if not item.facts.rows]
    numbered = sorted(
        found, key=lambda item: max((row.iteration or row.optimizer_updates or 0 for row in item.facts.rows), default=0)
    )
    chosen = (final or numbered)[-1:] if found else []
    return chosen[0].facts.tensors if chosen else None


def tensor_clues(tensors: AdapterTensors | None, facts: Sequence[Facts]) -> tuple[Clue, ...]:
    """mlx-lm's default layers changed in 0.28.2; where a file names the layers, they say nothing."""
    if (
        tensors is None
        or tensors.kind == "full"
        or any(item.key == "lora_parameters.keys" for each in facts for item in each.settings)
    ):
        return ()
    if tensors.layers == _ATTENTION:
        return (Clue("mlx-lm", "the adapter has q_proj and v_proj alone, the default before 0.28.2", before="0.28.2"),)
    if "mlp.down_proj" in tensors.layers:
        return (Clue("mlx-lm", "the adapter has every linear layer, the default from 0.28.2 on", since="0.28.2"),)
    return ()


def tensors_hold(effective: Effective, tensors: AdapterTensors | None) -> Iterator[Finding]:
    """Put what the tensors say in the place of what the settings say; aloud where the two differ."""
    if tensors is None:
        return
    yield from _ranks(effective, tensors)
    blocks = len(tensors.blocks)
    if not _means_all(effective.settings.get("num_layers")):
        yield from _hold(effective, tensors, "num_layers", blocks, f"The tensors adapt {blocks} blocks")
    what = "The tensors are whole weights" if tensors.kind == "full" else f"The tensors are of a {tensors.kind} adapter"
    yield from _hold(effective, tensors, "fine_tune_type", tensors.kind, what)
    # whether use_dora was read is now known, whatever the version
    effective.findings[:] = [each for each in effective.findings if each.code != "I103" or "use_dora" not in each.what]
    if tensors.kind == "full":
        without_lora(effective)
    layers = effective.settings.get("lora_parameters.keys")
    if layers is not None and not layers.known:
        origin = Origin("imported", tensors.place, "the adapter's own tensors")
        effective.settings["lora_parameters.keys"] = Value(list(tensors.layers), origin)


def _ranks(effective: Effective, tensors: AdapterTensors) -> Iterator[Finding]:
    if len(tensors.ranks) == 1:
        rank = tensors.ranks[0]
        yield from _hold(effective, tensors, "lora_parameters.rank", rank, f"The tensors have rank {rank}")
    elif tensors.ranks and "lora_parameters.rank" in effective.settings:
        several = ", ".join(map(str, tensors.ranks))
        rank_said = effective.settings["lora_parameters.rank"]
        said = rank_said.value if rank_said.known else rank_said.declared
        effective.settings["lora_parameters.rank"] = Value.unknown(f"the layers have ranks {several}", said)


def _hold(effective: Effective, tensors: AdapterTensors, key: str, value: Any, what: str) -> Iterator[Finding]:
    setting = effective.settings.get(key)
    if setting is None or value is None or (setting.known and setting.value == value):
        return
    said = setting.value if setting.known else setting.declared
    origin = Origin("imported", tensors.place, "the adapter's own tensors")
    effective.settings[key] = Value(value, origin, None if said == value else said)
    if setting.known:
        told = f"{what}, the settings say {said}."
        yield Finding("I109", "warning", tensors.place, told, WHY + _old_bug(effective, key, said, len(tensors.blocks)))


def _old_bug(effective: Effective, key: str, said: Any, blocks: int) -> str:
    known = effective.tool == "mlx-lm" and key == "num_layers" and isinstance(said, int) and 0 < said < blocks
    return " mlx-lm 0.19.0 to 0.21.4 adapted every block, whatever num_layers said." if known else ""


def _means_all(value: Value | None) -> bool:
    return value is not None and value.known and isinstance(value.value, int) and value.value <= 0


def wrong_base(seen: Evidence, counts: Mapping[str, Value]) -> Iterator[Finding]:
    """Tensors of a block that the named base does not have."""
    blocks: Any = counts["blocks"].value
    if seen.tensors is not None and isinstance(blocks, int) and max(seen.tensors.blocks) >= blocks:
        what = f"The tensors adapt block {max(seen.tensors.blocks)}, but {seen.setting('model')} has {blocks}."
        yield Finding("I109", "warning", seen.tensors.place, what, "The adapter belongs to another base.")
