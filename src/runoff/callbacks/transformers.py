"""Records a training of Hugging Face's Trainer, or of TRL's on top of it, while it runs.

    from runoff.callbacks.transformers import RunoffCallback

    trainer.add_callback(RunoffCallback("run-6", data="data"))

Source: transformers/trainer_callback.py, trl/trainer/sft_trainer.py. Their `global_step` counts optimizer updates, and
so do the rows here; iterations are left out. Must not: import anything of transformers but the class that Trainer asks
for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from runoff.callbacks.live import LiveRun, plain
from runoff.importers.log_hf import FIELDS, other_measures
from runoff.runs import MetricRow

__all__ = ["RunoffCallback"]

_OF_ARGUMENTS = (
    "per_device_train_batch_size", "gradient_accumulation_steps", "learning_rate", "num_train_epochs", "optim", "seed",
    "max_grad_norm", "gradient_checkpointing", "max_length", "completion_only_loss", "logging_steps",
)  # fmt: skip
_OF_ADAPTER = ("r", "lora_alpha", "lora_dropout", "target_modules", "layers_to_transform", "use_dora", "use_rslora",
               "rank_pattern", "alpha_pattern", "base_model_name_or_path")  # fmt: skip

_OWN = (
    "lr_scheduler_type", "lr_scheduler_kwargs", "warmup_steps", "warmup_ratio", "weight_decay", "adam_beta1",
    "adam_beta2", "adam_epsilon", "optim_args", "label_smoothing_factor", "neftune_noise_alpha", "bf16", "fp16",
    "train_sampling_strategy", "dataloader_drop_last", "data_seed", "average_tokens_across_devices",
    "load_best_model_at_end", "metric_for_best_model",
    # TRL's SFTConfig
    "packing", "packing_strategy", "eval_packing", "padding_free", "truncation_mode", "shuffle_dataset", "loss_type",
    "assistant_only_loss", "chat_template_path",
)  # fmt: skip
"""Arguments that shape a training and mean no setting of ours: kept under their own names."""

_OWN_OF_ADAPTER = ("bias", "modules_to_save", "init_lora_weights", "exclude_modules", "target_parameters")

PACKED = "several rows were packed into one, and the tool does not say how many"


class RunoffCallback(TrainerCallback):  # type: ignore[misc]
    """Add it to a Trainer. The adapter that the Trainer ends with (its best one, if it loads that) is kept.

    data: the folder with train.jsonl, valid.jsonl and test.jsonl, if the rows came from one. root: of the runs. With
    `train(resume_from_checkpoint=...)` the run of this name is taken up where the checkpoint is.
    """

    def __init__(
        self, name: str, *, data: str | Path | None = None, root: Path | None = None, overwrite: bool = False
    ) -> None:
        self._name, self._data, self._root, self._overwrite = name, data, root, overwrite
        self._live: LiveRun | None = None
        self._seen: dict[str, int] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Make the run folder, or take it up.

        Raises:
            RunError: a run of this name exists, or the folder can't be written.
        """
        if not state.is_world_process_zero:
            return
        model, loader = kwargs.get("model"), kwargs.get("train_dataloader")
        tool = "trl" if type(args).__module__.startswith("trl.") else "transformers"
        settings = _settings(args, model) | {"dataset": str(self._data) if self._data else None}
        if settings.get("completion_only_loss") is None and tool == "trl":
            settings["completion_only_loss"] = _masks_prompts(loader)
        self._live = LiveRun(
            self._name,
            tool,
            tool,
            settings,
            own=_own(args, model),
            counts=_counts(args, state, loader),
            unknown={"effective_batch_rows": PACKED} if getattr(args, "packing", False) else None,
            root=self._root,
            overwrite=self._overwrite,
            goes_on_after=int(state.global_step),
            processes=int(args.world_size),
        )

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The rows of a validation can be counted now."""
        packed = getattr(args, "eval_packing", None)
        if not (getattr(args, "packing", False) if packed is None else packed):
            self._seen |= _counted("valid_rows", kwargs.get("eval_dataloader"))

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **_: Any) -> None:
        """A report of the training loss or of a validation."""
        if self._live is not None:
            for row in _rows(logs or {}, int(state.global_step)):
                self._live.record(row)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Keep the adapter, and end the record."""
        if self._live is None:
            return
        model = kwargs.get("model")
        if getattr(model, "peft_config", None):
            model.save_pretrained(str(self._live.folder.adapter))  # type: ignore[union-attr]
        done, planned = int(state.global_step), int(state.max_steps)
        whole = done >= planned
        reason = (
            f"all {planned} optimizer updates were made"
            if whole
            else f"ended after optimizer update {done} of {planned}, as early stopping or another callback asked"
        )
        self._live.end("finished", reason, counts=self._seen | {"optimizer_updates": done}, adapter=_which(args, state))
        self._live = None


def _rows(logs: Mapping[str, Any], optimizer_updates: int) -> Iterator[MetricRow]:
    """One report as rows. Losses of several sets of validation rows are no one loss: they are kept as a sentence."""
    kind = "train" if "loss" in logs else "validation" if "eval_loss" in logs else None
    numbers = {key: float(value) for key, value in logs.items() if isinstance(value, int | float)}
    if kind is None:
        several = {key: value for key, value in numbers.items() if key.startswith("eval_") and key.endswith("_loss")}
        if several:
            text = ", ".join(f"{key} {value:.4f}" for key, value in several.items())
            yield MetricRow("event", optimizer_updates=optimizer_updates, text=f"Validation on several sets: {text}.")
        return
    known = {FIELDS[key]: value for key, value in numbers.items() if key in FIELDS and key != "eval_runtime"}
    yield MetricRow(
        "train" if kind == "train" else "validation",
        optimizer_updates=optimizer_updates,
        others=other_measures(numbers),
        **known,  # type: ignore[arg-type]
    )


def _which(args: Any, state: Any) -> str | None:
    """Which adapter the Trainer ends with, if it chose one."""
    if not args.load_best_model_at_end or state.best_model_checkpoint is None:
        return None
    measure = str(args.metric_for_best_model)
    name = measure if measure.startswith("eval_") else f"eval_{measure}"
    best = f"{'highest' if args.greater_is_better else 'lowest'} {name} ({state.best_metric:.4f})"
    return f"the one of optimizer update {state.best_global_step}, with the {best}"


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
    adapter = _adapter(model)
    if adapter is not None:
        given |= {key: getattr(adapter, key, None) or None for key in _OF_ADAPTER}
        given |= {"lora_dropout": adapter.lora_dropout}
    elif hasattr(model, "config"):
        given["model_name_or_path"] = getattr(model.config, "_name_or_path", None)
    whole = {key: value for key, value in given.items() if not (isinstance(value, int | float) and value == -1)}
    return {key: plain(value) for key, value in whole.items() if value is not None}


def _own(args: Any, model: Any) -> dict[str, Any]:
    given = {key: getattr(args, key, None) for key in _OWN}
    given |= {key: getattr(_adapter(model), key, None) for key in _OWN_OF_ADAPTER}
    values = {key: plain(getattr(value, "value", value)) for key, value in given.items()}
    return {key: value for key, value in values.items() if value not in (None, "", {}, [])}


def _adapter(model: Any) -> Any:
    return next(iter(getattr(model, "peft_config", {}).values()), None)


def _counts(args: Any, state: Any, loader: Any) -> dict[str, int]:
    """Of all devices. Rows that were packed are no rows of the data any more, and rows of a stream can't be counted."""
    counts = {"optimizer_updates": int(state.max_steps)} if state.max_steps else {}
    if not getattr(args, "packing", False):
        counts["effective_batch_rows"] = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        counts |= _counted("train_rows", loader)
    return counts


def _counted(key: str, loader: Any) -> dict[str, int]:
    rows = _row_set(loader)
    return {} if rows is None else {key: len(rows)}


def _masks_prompts(loader: Any) -> bool | None:
    """What TRL made of completion_only_loss where it was left to it: seen in the labels of the first row."""
    rows = _row_set(loader)
    labels = rows[0].get("labels") if rows is not None and len(rows) else None
    return None if labels is None else -100 in labels


def _row_set(loader: Any) -> Any:
    """The rows that a loader draws from, if they can be counted; else None."""
    rows = getattr(loader, "dataset", None)
    return rows if hasattr(rows, "__len__") and hasattr(rows, "__getitem__") else None
