"""One clean configuration with rows and a tiny model that has no finding at all, and how tests change it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.support.tiny import TEMPLATE, make_tiny_model

from runoff.config import read_text
from runoff.plan import Draft, Facts, MachineFacts, Unknown
from runoff.plan.findings import FINDINGS, Looked, look
from runoff.plan.gather import gather

SETTINGS: dict[str, str] = {
    "num_layers": "2",
    "lora_parameters": "{rank: 4, scale: 2.0, dropout: 0.0}",
    "learning_rate": "1.0e-4",
    "iters": "400",
    "batch_size": "2",
    "grad_accumulation_steps": "2",
    "max_seq_length": "512",
    "steps_per_eval": "200",
    "save_every": "100",
}
WORDS = [
    "amber",
    "birch",
    "copper",
    "delta",
    "ember",
    "fjord",
    "granite",
    "harbour",
    "indigo",
    "juniper",
    "kelp",
    "lantern",
    "marble",
    "nectar",
    "oak",
    "pebble",
]


def row(number: int, source: str | None, **changes: Any) -> dict[str, Any]:
    """A chat row that resembles no other."""
    words = [f"{WORDS[(number * step + step) % 16]}{number * step % 97}" for step in range(1, 13)]
    chat = {"role": "user", "content": " ".join(words[:6])}, {"role": "assistant", "content": " ".join(words[6:])}
    return {"messages": list(chat), **({"source": source} if source else {}), **changes}


def rows() -> dict[str, list[dict[str, Any]]]:
    """40 training rows of 10 sources and 12 validation rows of 3 others."""
    return {
        "train": [row(number, f"video {number // 4}") for number in range(40)],
        "valid": [row(number, f"video {number // 4}") for number in range(100, 112)],
    }


@dataclass
class Case:
    """What a test may change before the facts are gathered, and the facts afterwards."""

    settings: dict[str, str] = field(default_factory=lambda: dict(SETTINGS))
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=rows)
    raw: dict[str, str] = field(default_factory=dict)
    template: str | None = TEMPLATE
    tool: str | None = None
    machine: MachineFacts = field(default_factory=lambda: MachineFacts(memory_bytes=16 * 10**9, free_disk_bytes=10**11))
    model_settings: dict[str, Any] = field(default_factory=dict)
    with_model: bool = True
    overrides: tuple[str, ...] = ()

    def give(self, settings: Mapping[str, str]) -> None:
        """Add settings, or take the place of the clean ones."""
        self.settings |= settings

    def facts(self, folder: Path) -> Facts:
        """Write it all down and gather."""
        data = folder / "data"
        data.mkdir()
        for split, records in self.rows.items():
            text = "".join(json.dumps(record) + "\n" for record in records)
            (data / f"{split}.jsonl").write_text(text + self.raw.get(split, ""))
        model = make_tiny_model(folder / "model", template=self.template)
        config = json.loads((model / "config.json").read_text())
        (model / "config.json").write_text(json.dumps(config | self.model_settings))
        yaml = "".join(f"{key}: {value}\n" for key, value in {"model": model, "data": data, **self.settings}.items())
        reading = read_text(yaml, self.overrides, path=folder / "run.yaml")
        facts = gather(reading, model if self.with_model else Unknown("the model is not here"), tool=self.tool)
        return replace(facts, machine=self.machine)

    def look(self, folder: Path) -> Looked:
        """All findings."""
        return look(Draft(self.facts(folder)), FINDINGS)
