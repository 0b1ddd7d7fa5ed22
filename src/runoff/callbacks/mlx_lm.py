"""Records a training of mlx-lm's own trainer while it runs.

    from runoff.callbacks.mlx_lm import recording

    with recording("run-5", config, args) as callback:
        train(model, optimizer, train_set, valid_set, args=args, training_callback=callback)

Source: mlx_lm/tuner/callbacks.py and trainer.py. Must not: import mlx_lm.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from runoff.callbacks.live import LiveRun, plain
from runoff.errors import disk_error
from runoff.files import write_json
from runoff.importers.adapter_files import opened
from runoff.runs import MetricRow

__all__ = ["Callback", "recording"]

_RENAMED = {"steps_per_save": "save_every", "adapter_file": None}
"""Names in TrainingArgs that the YAML has otherwise, or not."""

_SHAPE = ("fine_tune_type", "num_layers", "lora_parameters")


@contextlib.contextmanager
def recording(
    name: str, config: Mapping[str, Any], args: Any = None, *, root: Path | None = None, overwrite: bool = False
) -> Iterator[Callback]:
    """A callback for mlx_lm's `train`; at the end the adapter is copied into the run folder.

    config: mlx-lm's settings by their YAML names (model, data, num_layers, lora_parameters, learning_rate, ...), as far
    as they hold. args: the TrainingArgs, which win. root: the folder of the runs.

    Raises:
        RunError: a run of this name exists, or the folder can't be written.
    """
    of_args = {_RENAMED.get(key, key): value for key, value in (vars(args) if args is not None else {}).items()}
    settings = plain(dict(config) | {key: value for key, value in of_args.items() if key and value is not None})
    live = LiveRun(name, "mlx-lm", "mlx-lm", dict(opened(settings)), root=root, overwrite=overwrite)
    try:
        yield Callback(live, int(settings.get("grad_accumulation_steps") or 1))
        _keep_adapter(live, _adapter_folder(config, args), settings)
    except BaseException as error:
        stopped = isinstance(error, KeyboardInterrupt)
        live.end("interrupted" if stopped else "failed", "stopped by the user" if stopped else repr(error)[:500])
        raise
    live.end("finished", "mlx-lm's training came to its end")


class Callback:
    """What mlx_lm's trainer calls; see mlx_lm.tuner.callbacks.TrainingCallback."""

    def __init__(self, live: LiveRun, iterations_per_update: int) -> None:
        self._live, self._each = live, iterations_per_update

    def on_train_loss_report(self, train_info: Mapping[str, Any]) -> None:
        """The mean of the micro-batches' means since the last report."""
        done = int(train_info["iteration"])
        self._live.record(
            MetricRow(
                "train",
                done,
                optimizer_updates=done // self._each,
                nats_per_target_token=float(train_info["train_loss"]),
                target_tokens=_number(train_info, "trained_tokens", int),
                learning_rate=_number(train_info, "learning_rate", float),
                tokens_per_second=_number(train_info, "tokens_per_second", float),
                iterations_per_second=_number(train_info, "iterations_per_second", float),
                peak_memory_bytes=round(float(train_info.get("peak_memory") or 0) * 1e9) or None,
            )
        )

    def on_val_loss_report(self, val_info: Mapping[str, Any]) -> None:
        """mlx-lm validates before an iteration and names the one before: these weights have made so many iterations."""
        done = int(val_info["iteration"])
        loss = float(val_info["val_loss"])
        self._live.record(
            MetricRow("validation", done, optimizer_updates=done // self._each, nats_per_target_token=loss)
        )


def _number(info: Mapping[str, Any], key: str, kind: type) -> Any:
    return None if info.get(key) is None else kind(info[key])


def _adapter_folder(config: Mapping[str, Any], args: Any) -> Path:
    file = getattr(args, "adapter_file", None)
    return Path(str(file)).parent if file else Path(str(config.get("adapter_path") or "adapters"))


def _keep_adapter(live: LiveRun, source: Path, settings: Mapping[str, Any]) -> None:
    """The weights, and the configuration that mlx_lm's `train` leaves to its caller."""
    weights, shape = source / "adapters.safetensors", source / "adapter_config.json"
    if not weights.is_file():
        return
    target = live.folder.adapter
    try:
        target.mkdir(exist_ok=True)
        shutil.copyfile(weights, target / weights.name)
        if shape.is_file():
            shutil.copyfile(shape, target / shape.name)
    except OSError as error:
        raise disk_error(error, target, "the adapter") from None
    if not shape.is_file() and ("lora_parameters" in settings or settings.get("fine_tune_type") == "full"):
        kind = {"fine_tune_type": "lora"}
        write_json(target / shape.name, kind | {key: settings[key] for key in _SHAPE if key in settings})
