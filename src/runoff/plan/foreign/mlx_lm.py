"""mlx-lm from 0.14 on: which key it reads, with which default, in which version, and what comes of it.

Owns: those rules. Sources: CONFIG_DEFAULTS, build_parser and main of mlx_lm/lora.py, tuner/{trainer,utils,datasets}.py,
at the commits that set each version. mlx-lm copies every key of the YAML and reads only those it knows: nothing is ever
refused for its name. Must not: know Runoff's own rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runoff.config import Given
from runoff.config.foreign import TRANSLATIONS, Translated
from runoff.plan.foreign.nouns import (
    Around,
    Ignored,
    Stop,
    ToolReport,
    ToolValue,
    Version,
    as_text,
    nested,
    version_text,
)

__all__ = ["mlx_lm"]

ALWAYS: Version = (0, 0, 0)
NEVER: Version = (9999, 0, 0)


@dataclass(frozen=True, slots=True)
class _Key:
    """A key of the YAML: its default by version (first version, value), until when it is read.

    deaf: versions in which the parser's own default hides what the YAML says (from, before).
    """

    defaults: tuple[tuple[Version, Any], ...]
    until: Version = NEVER
    deaf: tuple[Version, Version] | None = None

    def reads(self, version: Version) -> bool:
        """Whether a value in the YAML has any effect."""
        return self.exists(version) and not (self.deaf and self.deaf[0] <= version < self.deaf[1])

    def exists(self, version: Version) -> bool:
        """Whether the setting exists at all."""
        return self.defaults[0][0] <= version < self.until

    def default(self, version: Version) -> Any:
        """The value where the YAML gives none."""
        return next(value for since, value in reversed(self.defaults) if since <= version)


def _key(value: Any, since: Version = ALWAYS, **options: Any) -> _Key:
    return _Key(((since, value),), **options)


_KEYS: dict[str, _Key] = {
    "model": _Key(((ALWAYS, "mlx_model"), ((0, 28, 2), "Qwen/Qwen3-0.6b"))),
    "data": _Key(((ALWAYS, "data/"), ((0, 28, 2), "mlx-community/WikiSQL"))),
    "train": _key(False, deaf=((0, 21, 0), (0, 21, 2))),
    "test": _key(False, deaf=((0, 21, 0), (0, 21, 2))),
    "fine_tune_type": _key("lora", (0, 19, 0), deaf=((0, 19, 0), (0, 21, 0))),
    "use_dora": _key(False, (0, 13, 1), until=(0, 19, 0), deaf=((0, 14, 2), (0, 15, 3))),
    "num_layers": _key(16, (0, 19, 0)),
    "lora_layers": _key(16, until=(0, 19, 0)),
    "optimizer": _key("adam", (0, 22, 0)),
    "learning_rate": _key(1e-5),
    "lr_schedule": _key(None, (0, 6, 0)),
    "batch_size": _key(4),
    "iters": _key(1000),
    "grad_accumulation_steps": _key(1, (0, 28, 3)),
    "max_seq_length": _key(2048),
    "mask_prompt": _key(False, (0, 21, 5), deaf=((0, 21, 5), (0, 22, 0))),
    "val_batches": _key(25),
    "steps_per_report": _key(10),
    "steps_per_eval": _key(200),
    "save_every": _key(100),
    "test_batches": _key(500),
    "adapter_path": _key("adapters", (0, 6, 0)),
    "adapter_file": _key("adapters.npz", until=(0, 6, 0)),
    "resume_adapter_file": _key(None),
    "grad_checkpoint": _key(False, deaf=((0, 21, 0), (0, 21, 2))),
    "seed": _key(0),
    "wandb": _key(None, (0, 24, 1), until=(0, 28, 3)),
    "report_to": _key(None, (0, 26, 4)),
    "project_name": _key(None, (0, 26, 4)),
    "clear_cache_threshold": _key(0, (0, 31, 2), deaf=((0, 31, 2), NEVER)),
    "trust_remote_code": _key(False, (0, 32, 0), deaf=((0, 32, 0), NEVER)),
}
_OTHER_KEYS = {
    "hf_dataset": (0, 15, 0),
    "prompt_feature": (0, 21, 1),
    "completion_feature": (0, 21, 1),
    "chat_feature": (0, 21, 1),
    "text_feature": (0, 21, 1),
    "optimizer_config": (0, 22, 0),
    "lora_parameters": ALWAYS,
    "config": ALWAYS,
}
_NUMBERS = ("iters", "batch_size", "learning_rate", "steps_per_report", "steps_per_eval", "save_every", "val_batches")
_OPTIMIZERS = {(0, 22, 0): ("adam", "adamw"), (0, 26, 1): ("adam", "adamw", "muon", "sgd", "adafactor")}


def mlx_lm(version: Version, given: Sequence[Given], around: Around) -> ToolReport:
    """The whole report for one version."""
    name = f"mlx-lm {version_text(version)}"
    tree, places = nested(given), {leaf.key: leaf.place for leaf in given}
    settings = tuple(_settings(version, tree, places, name))
    values = {row.key: row.value for row in settings}
    return ToolReport(
        tool=name,
        settings=settings,
        counts=tuple(_counts(version, values, around)),
        ignored=tuple(_ignored(version, given, tree, values)),
        stops=tuple(_stops(version, tree, values, places, around)),
        notes=tuple(_notes(version, values, around)),
    )


def _settings(version: Version, tree: Mapping[str, Any], places: Mapping[str, str], name: str) -> Iterator[ToolValue]:
    for key, rule in _KEYS.items():
        if not rule.exists(version):
            continue
        if tree.get(key) is not None and rule.reads(version):
            place = places.get(key) or next((at for name, at in places.items() if name.startswith(f"{key}.")), "")
            yield ToolValue(key, tree[key], place)
        else:
            yield ToolValue(key, rule.default(version), f"default of {name}")
    if not _trains_whole_weights(version, tree):
        yield from _lora_settings(version, tree, places, name)


def _trains_whole_weights(version: Version, tree: Mapping[str, Any]) -> bool:
    """mlx-lm sets lora_parameters aside then, whatever it holds."""
    return _KEYS["fine_tune_type"].reads(version) and tree.get("fine_tune_type") == "full"


def _lora_settings(
    version: Version, tree: Mapping[str, Any], places: Mapping[str, str], name: str
) -> Iterator[ToolValue]:
    lora = tree.get("lora_parameters")
    if isinstance(lora, Mapping) and lora:
        yield from (
            ToolValue(f"lora_parameters.{key}", lora[key], places.get(f"lora_parameters.{key}", ""))
            for key in lora
            if key in _lora_keys(version)
        )
        effective = dict(lora)
    else:
        effective = _lora_defaults(version)
        yield from (
            ToolValue(f"lora_parameters.{key}", value, f"default of {name}") for key, value in effective.items()
        )
    factors = [effective.get(key) for key in ("rank", "alpha", "scale")]
    if version < (0, 14, 2) and all(isinstance(factor, int | float) and factor for factor in factors):
        scale = effective["scale"] * effective["alpha"] / effective["rank"]
        yield ToolValue("effective scale", scale, "scale x alpha / rank, up to 0.14.1")


def _lora_keys(version: Version) -> tuple[str, ...]:
    return (
        ("rank", "alpha", "scale", "dropout", "keys") if version < (0, 14, 2) else ("rank", "scale", "dropout", "keys")
    )


def _lora_defaults(version: Version) -> dict[str, Any]:
    if version < (0, 14, 2):
        return {"rank": 8, "alpha": 16, "dropout": 0.0, "scale": 10.0}
    return {"rank": 8, "dropout": 0.0, "scale": 20.0 if version >= (0, 25, 1) else 10.0}


def _counts(version: Version, values: Mapping[str, Any], around: Around) -> Iterator[ToolValue]:
    iters, batch = values["iters"], values["batch_size"]
    each = values.get("grad_accumulation_steps", 1)
    whole = (iters, batch, each, values["steps_per_eval"], values["save_every"])
    if not all(type(number) is int and number > 0 for number in whole) or type(values["val_batches"]) is not int:
        return
    yield ToolValue("optimizer updates", iters // each, f"{iters} iterations / {each}, rounded down")
    yield ToolValue("rows per update", batch * each, f"{batch} rows x {each} iterations")
    if around.train_rows:
        batches = around.train_rows // batch
        if batches:
            yield ToolValue("epochs", round(iters / batches, 2), f"{batches} whole batches of {around.train_rows} rows")
        yield ToolValue(
            "rows never trained on", around.train_rows % batch, "the last part of a batch, the same every epoch"
        )
    spe = values["steps_per_eval"]
    points = {1, iters, *range(spe, iters + 1, spe)}
    if around.valid_rows != 0:
        yield ToolValue("validations", len(points), f"at iteration 1, every {spe}, and {iters}")
    if around.valid_rows:
        whole = around.valid_rows // batch
        used = whole if values["val_batches"] == -1 else min(whole, values["val_batches"])
        drawn = ", drawn anew each time" if used < whole else ""
        yield ToolValue("rows per validation", used * batch, f"of {around.valid_rows}{drawn}")
    yield ToolValue("numbered checkpoints", iters // values["save_every"], f"every {values['save_every']} iterations")


def _ignored(
    version: Version, given: Sequence[Given], tree: Mapping[str, Any], values: Mapping[str, Any]
) -> Iterator[Ignored]:
    for leaf in given:
        head, _, rest = leaf.key.partition(".")
        if leaf.value is None or head == "optimizer_config" or head == "hf_dataset":
            if head != "optimizer_config" or version >= (0, 22, 0):
                continue
        elif head == "lora_parameters":
            if not _trains_whole_weights(version, tree) and (not rest or rest in _lora_keys(version)):
                continue
        elif (head in _KEYS and _KEYS[head].reads(version)) or version >= _OTHER_KEYS.get(head, NEVER):
            continue
        yield _ignored_key(version, leaf, tree, values)


def _ignored_key(version: Version, leaf: Given, tree: Mapping[str, Any], values: Mapping[str, Any]) -> Ignored:
    key, wanted = leaf.key, leaf.value
    if key == "num_layers":
        key = "lora_layers"  # the older name
    if leaf.key in TRANSLATIONS:
        translated = TRANSLATIONS[leaf.key](leaf.value, tree)
        if isinstance(translated, Translated):
            key, wanted = translated.key, translated.value
    if key.startswith("lora_parameters") and _trains_whole_weights(version, tree):
        return Ignored(leaf.key, leaf.value, leaf.place, "fine_tune_type: full trains the weights themselves")
    if key == "epochs":
        return Ignored(leaf.key, leaf.value, leaf.place, f"iters {values['iters']} holds")
    if key.startswith("optimizer_config."):
        return Ignored(
            leaf.key,
            leaf.value,
            leaf.place,
            _optimizer_default(version, key, values),
            False,
            _nested_fix(version, key, wanted),
        )
    if key in values:
        held = values[key]
        same = held == wanted
        fix = "" if same else _fix(version, key, wanted, tree)
        return Ignored(leaf.key, leaf.value, leaf.place, f"{key} {as_text(held)} holds", same, fix)
    known = key in _KEYS or key in _OTHER_KEYS
    why = _existence(version, key) if known else "it has no such setting"
    return Ignored(leaf.key, leaf.value, leaf.place, why, not leaf.value)


def _existence(version: Version, key: str) -> str:
    rule = _KEYS.get(key)
    since = rule.defaults[0][0] if rule else _OTHER_KEYS[key]
    if version < since:
        return f"it has this setting from {version_text(since)} on"
    return f"it had this setting before {version_text(rule.until)}" if rule else "it reads it elsewhere"


def _optimizer_default(version: Version, key: str, values: Mapping[str, Any]) -> str:
    if version < (0, 22, 0):
        return "Adam with MLX's defaults holds, since the optimizer can't be chosen before 0.22.0"
    _, name, argument = (*key.split("."), "", "")[:3]
    if argument == "weight_decay":
        held = "0.01" if values.get("optimizer") == "adamw" else "none"
        return f"the weight decay of {values.get('optimizer')} holds: {held}"
    return f"MLX's default of {argument or name} holds"


def _nested_fix(version: Version, key: str, wanted: Any) -> str:
    _, name, argument = (*key.split("."), "", "")[:3]
    return (
        f"optimizer_config: {{{name}: {{{argument}: {as_text(wanted)}}}}}" if argument and version >= (0, 22, 0) else ""
    )


def _fix(version: Version, key: str, wanted: Any, tree: Mapping[str, Any]) -> str:
    """What to write so that this version does what the key asks for."""
    if not key.startswith("lora_parameters."):
        return f"{key}: {as_text(wanted)}" if key in _KEYS and _KEYS[key].reads(version) else ""
    lora = tree.get("lora_parameters")
    whole = _lora_defaults(version) | (dict(lora) if isinstance(lora, Mapping) else {})
    for name, translate in TRANSLATIONS.items():
        translated = translate(tree[name], tree) if name in tree else ""
        if isinstance(translated, Translated) and translated.key.startswith("lora_parameters."):
            whole[translated.key.partition(".")[2]] = translated.value
    if "alpha" in _lora_defaults(version):
        whole["alpha"] = whole["rank"]  # scale x alpha / rank is then the scale
    return f"lora_parameters: {as_text(whole)}"


def _stops(
    version: Version, tree: Mapping[str, Any], values: Mapping[str, Any], places: Mapping[str, str], around: Around
) -> Iterator[Stop]:
    lora = tree.get("lora_parameters")
    if isinstance(lora, Mapping) and values.get("fine_tune_type") != "full":
        missing = [key for key in _lora_defaults(version) if key not in lora]
        if missing:
            place = next((at for key, at in places.items() if key.startswith("lora_parameters")), "lora_parameters")
            whole = as_text(_lora_defaults(version) | dict(lora))
            text = f"lora_parameters lacks {' and '.join(missing)}: a KeyError, since a part replaces the whole default"
            yield Stop(place, text, f"lora_parameters: {whole}")
    if not values["train"] and not values["test"]:
        yield Stop("train", "neither train nor test is true: a ValueError", "train: true")
    for key in _NUMBERS:
        if isinstance(values[key], str):
            yield Stop(places.get(key, key), f"{key} is the text {values[key]!r}, where a number is computed with", "")
    layers = values.get("num_layers", values.get("lora_layers"))
    if around.blocks is not None and isinstance(layers, int) and layers > around.blocks:
        text = f"{layers} layers are asked for and the model has {around.blocks}: a ValueError"
        yield Stop(places.get("num_layers", "num_layers (default)"), text, f"num_layers: {around.blocks}")
    optimizers = next((names for since, names in reversed(_OPTIMIZERS.items()) if version >= since), None)
    if optimizers and str(values["optimizer"]).lower() not in optimizers:
        text = f"optimizer {values['optimizer']} is not one of {', '.join(optimizers)}: a ValueError"
        yield Stop(places.get("optimizer", "optimizer"), text)
    yield from _row_stops(version, values, places, around)


def _row_stops(
    version: Version, values: Mapping[str, Any], places: Mapping[str, str], around: Around
) -> Iterator[Stop]:
    batch = values["batch_size"]
    place = places.get("batch_size", "batch_size (default)")
    if not isinstance(batch, int):
        return
    if around.valid_rows == 0 and version < (0, 30, 7):
        yield Stop("valid.jsonl", "there is no validation set: a ValueError before 0.30.7")
    for rows, name in ((around.train_rows, "training"), (around.valid_rows, "validation")):
        if rows and rows < batch:
            yield Stop(
                place,
                f"the {name} set has {rows} rows, fewer than one batch of {batch}: a ValueError",
                f"batch_size: {rows}",
            )


def _notes(version: Version, values: Mapping[str, Any], around: Around) -> Iterator[ToolValue]:
    layers = values.get("num_layers", values.get("lora_layers"))
    if (0, 19, 0) <= version < (0, 21, 5) and isinstance(layers, int) and layers > 0:
        yield ToolValue("adapted blocks", "all", f"num_layers {layers} adapts every block in 0.19.0 to 0.21.4")
    if values.get("lora_parameters.keys") is not None or values.get("fine_tune_type") == "full":
        pass
    elif version < (0, 28, 2):
        yield ToolValue("adapted layers", "self_attn.q_proj, self_attn.v_proj", "default of most models before 0.28.2")
    else:
        yield ToolValue("adapted layers", "every linear layer", "default from 0.28.2 on")
    if values.get("lr_schedule") is None:
        return
    warmup = values["lr_schedule"].get("warmup") if isinstance(values["lr_schedule"], Mapping) else None
    if warmup and not values["lr_schedule"].get("warmup_init"):
        yield ToolValue("first update", "learning rate 0", "the warm-up starts at warmup_init, 0.0 by default")
