"""Records a training of Hugging Face's Trainer, or of TRL's on top of it, while it runs.

    from runoff.callbacks.transformers import RunoffCallback

    trainer.add_callback(RunoffCallback("run-6", data="data"))

Source: transformers/trainer_callback.py. Its `global_step` counts optimizer updates, and so do the rows here;
iterations are left out. Must not: import anything of transformers but the class that Trainer asks for.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from runoff.callbacks.live import LiveRun, plain
from runoff.importers.log_hf import FIELDS
from runoff.runs import MetricRow

__all__ = ["RunoffCallback"]

_OF_ARGUMENTS = (
    "per_device_train_batch_size", "gradient_accumulation_steps", "learning_rate", "num_train_epochs", "optim", "seed",
    "max_grad_norm", "gradient_checkpointing", "max_length", "completion_only_loss", "logging_steps",
)  # fmt: skip
_OF_ADAPTER = ("r", "lora_alpha", "lora_dropout", "target_modules", "layers_to_transform", "use_dora", "use_rslora",
               "rank_pattern", "alpha_pattern", "base_model_name_or_path")  # fmt: skip


class RunoffCallback(TrainerCallback):  # type: ignore[misc]
    """Add it to a Trainer. The adapter that the Trainer ends with (its best one, if it loads that) is kept.

    data: the folder with train.jsonl, valid.jsonl and test.jsonl, if the rows came from one. root: of the runs.
    """

    def __init__(
        self, name: str, *, data: str | Path | None = None, root: Path | None = None, overwrite: bool = False
    ) -> None:
        self._name, self._data, self._root, self._overwrite = name, data, root, overwrite
        self._live: LiveRun | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Make the run folder.

        Raises:
            RunError: a run of this name exists, or the folder can't be written.
        """
        if not state.is_world_process_zero:
            return
        settings = _settings(args, kwargs.get("model")) | {"dataset": str(self._data) if self._data else None}
        counts = {"optimizer_updates": int(state.max_steps)} if state.max_steps else {}
        tool = "trl" if type(args).__module__.startswith("trl.") else "transformers"
        self._live = LiveRun(
            self._name, tool, tool, settings, counts=counts, root=self._root, overwrite=self._overwrite
        )

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **_: Any) -> None:
        """A report of the training loss or of a validation."""
        logs = logs or {}
        kind = "train" if "loss" in logs else "validation" if "eval_loss" in logs else None
        if self._live is None or kind is None:
            return
        values = {FIELDS[key]: float(value) for key, value in logs.items() if key in FIELDS and key != "eval_runtime"}
        updates = int(state.global_step)
        self._live.record(
            MetricRow("train" if kind == "train" else "validation", optimizer_updates=updates, **values)  # type: ignore[arg-type]
        )

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Keep the adapter, and end the record."""
        if self._live is None:
            return
        model = kwargs.get("model")
        if getattr(model, "peft_config", None):
            model.save_pretrained(str(self._live.folder.adapter))  # type: ignore[union-attr]
        done, planned = int(state.global_step), int(state.max_steps)
        whole = done >= planned
        reason = f"all {planned} optimizer updates were made" if whole else f"ended after optimizer update {done}"
        self._live.end("finished", reason)
        self._live = None


def _settings(args: Any, model: Any) -> dict[str, Any]:
    """The Trainer's arguments and the adapter's shape, in their own spelling."""
    given = {key: getattr(args, key, None) for key in _OF_ARGUMENTS}
    if args.max_steps > 0:
        given |= {"max_steps": args.max_steps, "num_train_epochs": None}
    if str(getattr(args.eval_strategy, "value", args.eval_strategy)) == "steps":
        given["eval_steps"] = args.eval_steps
    if str(getattr(args.save_strategy, "value", args.save_strategy)) == "steps":
        given["save_steps"] = args.save_steps
    given["optim"] = getattr(args.optim, "value", args.optim)
    adapter = next(iter(getattr(model, "peft_config", {}).values()), None)
    if adapter is not None:
        given |= {key: getattr(adapter, key, None) or None for key in _OF_ADAPTER}
        given |= {"lora_dropout": adapter.lora_dropout}
    elif hasattr(model, "config"):
        given["model_name_or_path"] = getattr(model.config, "_name_or_path", None)
    whole = {key: value for key, value in given.items() if not (isinstance(value, int | float) and value == -1)}
    return {key: plain(value) for key, value in whole.items() if value is not None}
