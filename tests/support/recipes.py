"""Runs of mlx-lm as recipes, and the files that it would have left: a YAML, adapter_config.json and a log.

Owns: what the tool writes for a recipe. The truth about a recipe is reckoned in tests/golden/comparison/truth.py, by
other code.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runoff.importers import import_runs
from runoff.runs import Run

__all__ = ["Recipe", "imported"]

MODEL = "HuggingFaceTB/SmolLM3-3B"


@dataclass(frozen=True)
class Recipe:
    """One run. top_level: keys that its owner wrote beside the others, where the tool reads none of them.

    losses: of the reports, in order, or None for no log at all. broken: reports that print nan. ends: the iteration at
    which the log was cut; None for a whole log. starts: how often training was begun anew into the same log.
    """

    name: str
    num_layers: int = 16
    rank: int = 8
    scale: float = 20.0
    dropout: float = 0.0
    learning_rate: float = 1e-5
    schedule: tuple[Any, ...] | None = None
    warmup: int = 0
    batch_size: int = 2
    accumulation: int = 4
    iters: int = 1200
    max_seq_length: int = 1024
    seed: int = 42
    every: int = 200
    val_batches: int = -1
    mask_prompt: bool = False
    model: str = MODEL
    version: str = "0.28.3"
    train_rows: int = 1000
    valid_rows: int = 100
    longest: int = 700
    top_level: dict[str, Any] = field(default_factory=dict)
    logged: bool = True
    broken: tuple[int, ...] = ()
    ends: int | None = None
    starts: int = 1

    @property
    def reports(self) -> int:
        """Iterations between two reports of the training loss."""
        return self.iters // 12


def imported(recipe: Recipe, folder: Path, root: Path) -> Run:
    """Write the files and import them as a person would."""
    place = folder / recipe.name
    place.mkdir(parents=True)
    (place / f"{recipe.name}.yaml").write_text(_yaml(recipe), "utf-8")
    (place / "adapter_config.json").write_text(json.dumps(_record(recipe), indent=4), "utf-8")
    if recipe.logged:
        (place / "train.log").write_text(_log(recipe), "utf-8")
    told = [
        f"train_rows={recipe.train_rows}",
        f"valid_rows={recipe.valid_rows}",
        f"longest_row_tokens={recipe.longest}",
    ]
    report = import_runs([place], name=recipe.name, root=root, tool=f"mlx-lm@{recipe.version}", assignments=told)
    return report.runs[0]


def _shared(recipe: Recipe) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": recipe.model,
        "data": "data/pool",
        "train": True,
        "fine_tune_type": "lora",
        "optimizer": "adamw",
        "num_layers": recipe.num_layers,
        "learning_rate": recipe.learning_rate,
        "batch_size": recipe.batch_size,
        "iters": recipe.iters,
        "max_seq_length": recipe.max_seq_length,
        "grad_accumulation_steps": recipe.accumulation,
        "grad_checkpoint": True,
        "mask_prompt": recipe.mask_prompt,
        "steps_per_eval": recipe.every,
        "steps_per_report": recipe.reports,
        "save_every": 500,
        "seed": recipe.seed,
        "val_batches": recipe.val_batches,
        "lora_parameters": {"rank": recipe.rank, "dropout": recipe.dropout, "scale": recipe.scale},
    }
    if recipe.schedule is not None:
        schedule = {"name": recipe.schedule[0], "arguments": list(recipe.schedule[1:])}
        body["lr_schedule"] = schedule | ({"warmup": recipe.warmup} if recipe.warmup else {})
    return body | recipe.top_level


def _yaml(recipe: Recipe) -> str:
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in _shared(recipe).items())


def _record(recipe: Recipe) -> dict[str, Any]:
    rest: dict[str, Any] = {
        "config": f"{recipe.name}.yaml", "adapter_path": recipe.name, "optimizer_config": {"adamw": {}}, "test": False,
        "project_name": None, "report_to": None, "resume_adapter_file": None, "test_batches": 500, "lr_schedule": None,
    }  # fmt: skip
    return rest | _shared(recipe)


def _log(recipe: Recipe) -> str:
    lines = ["Loading pretrained model\nLoading datasets\nTraining\n"]
    for start in range(recipe.starts):
        lines.append(f"Starting training..., iters: {recipe.iters}\n")
        last = recipe.starts == start + 1
        end = (recipe.ends if last else recipe.iters // 2) or recipe.iters
        lines += [_at(recipe, it) for it in range(1, end + 1)]
    if recipe.ends is None:
        lines.append(f"Saved final weights to {recipe.name}/adapters.safetensors.\n")
    return "".join(lines)


def _at(recipe: Recipe, it: int) -> str:
    """What the tool prints at an iteration."""
    text = ""
    if it == 1 or it % recipe.every == 0 or it == recipe.iters:
        text += f"Iter {it}: Val loss {2.4 - 0.5 * it / recipe.iters:.3f}, Val took 20.000s\n"
    if it % recipe.reports == 0:
        loss = "nan" if it // recipe.reports in recipe.broken else f"{2.3 - 0.5 * it / recipe.iters:.3f}"
        text += (
            f"Iter {it}: Train loss {loss}, Learning Rate {recipe.learning_rate:.3e}, It/sec 0.500, "
            f"Tokens/sec 200.000, Trained Tokens {it * 400}, Peak mem 8.000 GB\n"
        )
    return text
