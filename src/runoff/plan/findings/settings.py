"""Findings about single settings: what was written, and what holds. Must not: count rows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from runoff.config import Given, ProblemKind, flatten, is_number, takes_numbers_only, yaml_1_1_reading
from runoff.plan.adapter import adapted_blocks, matches
from runoff.plan.findings.check import Seen, check, listed
from runoff.plan.foreign.nouns import as_text
from runoff.plan.unknown import Unknown
from runoff.words import count_of

if TYPE_CHECKING:
    from runoff.plan.draft import Draft

__all__ = ["CHECKS"]

_HIGH_FOR_WHOLE_WEIGHTS = 1e-4


def _problems(draft: Draft, kind: ProblemKind, why: str) -> Iterator[Seen]:
    for problem in draft.problems:
        if problem.kind == kind:
            yield Seen(problem.place, problem.text, why, problem.fix)


@check("S101", "error")
def unknown_key(draft: Draft) -> Iterator[Seen]:
    """A key that Runoff does not know stops the run, with the nearest key that it knows.

    mlx-lm copies any key into its record and goes on, so that a typing error looks like a setting that was in force.
    """
    yield from _problems(draft, "unknown", "A key that nothing reads looks like a setting that holds.")


@check("S102", "error")
def refused_key(draft: Draft) -> Iterator[Seen]:
    """A key of another tool that Runoff knows and can't honour is refused, with what to write instead."""
    yield from _problems(draft, "refused", "Runoff can't do what it asks for, and does not pass over it.")


@check("S103", "error")
def contradiction(draft: Draft) -> Iterator[Seen]:
    """Two lines set one thing to two values: iters and epochs, alpha / rank and scale, two spellings of one key."""
    yield from _problems(draft, "contradiction", "Which of the two was meant can't be told from the file.")


@check("S104", "error")
def unusable_value(draft: Draft) -> Iterator[Seen]:
    """A value of the wrong type or outside of its range. The sentence says what it must be."""
    yield from _problems(draft, "value", "The run can't start with it.")


@check("S105", "note")
def translated_key(draft: Draft) -> Iterator[Seen]:
    """A key in another tool's spelling is read as one of Runoff's, aloud.

    The same file in mlx-lm does something else: it ignores the key, and its default holds.
    """
    translated = {origin.place for origin in draft.config.origins.values() if origin.kind == "translated"}
    for note in draft.config.notes:
        if note.place in translated:
            yield Seen(
                note.place, f"{note.key}: {note.text}.", "What the same file does there: runoff check --for mlx-lm."
            )


@check("S106", "note")
def key_without_effect(draft: Draft) -> Iterator[Seen]:
    """A key of mlx-lm that Runoff reads and does without, with the reason."""
    translated = {origin.place for origin in draft.config.origins.values() if origin.kind == "translated"}
    for note in draft.config.notes:
        if note.place not in translated:
            yield Seen(note.place, f"{note.key}: {note.text}.", "Nothing is ignored without a word.")


@check("S107", "warning")
def value_that_looks_like_another_type(draft: Draft) -> Iterator[Seen]:
    """A value that YAML 1.1 and YAML 1.2 read differently, or a number in quotes.

    mlx-lm reads its YAML with PyYAML, which keeps to 1.1: `yes` is true there and text here, `010` is 8 there and 10
    here, `1:30` is 90 there and text here. `1e-5` is the same number to both. Any text is true to mlx-lm, "no" too.
    """
    for given in draft.given:
        other = yaml_1_1_reading(given.spelling) if given.spelling is not None else None
        if other is not None:
            what = f"{given.key}: {given.spelling} is {given.value!r} here and {other!r} to mlx-lm (YAML 1.1)."
            fix = _spelled(draft, given.key, given.value, other)
            fix = f"{given.key.rpartition('.')[2]}: {fix}" if fix else ""
            yield Seen(given.place, what, "The same line is two values.", fix)
        elif isinstance(given.value, str) and _held(draft, given.key) is False:
            what = f"{given.key} is the text {given.value!r}, which is false here and true to mlx-lm."
            yield Seen(given.place, what, "Any text is true there.", f"{given.key}: false")
        elif _is_quoted_number(given) and not _unusable(draft, given.key):
            what = f"{given.key} is the text {given.value!r}, not a number."
            why = "Runoff reads the number in it; mlx-lm computes with the text and stops."
            yield Seen(given.place, what, why, f"{given.key.rpartition('.')[2]}: {given.value}")


def _is_quoted_number(given: Given) -> bool:
    return isinstance(given.value, str) and is_number(given.value) and given.spelling is None


def _unusable(draft: Draft, key: str) -> bool:
    """Whether the value can't be used at all, which is said already."""
    return any(problem.text.startswith(f"{key} is ") for problem in draft.problems)


def _held(draft: Draft, key: str) -> object:
    """The value that a setting has; None where the settings can't be used."""
    config = draft.facts.config
    return None if isinstance(config, Unknown) else flatten(config.settings).get(key)


def _spelled(draft: Draft, key: str, value: object, other: object) -> str:
    """What to write instead: true or false where the setting is one, since "no" in quotes is true to mlx-lm.

    The number that the `other` reader sees where it takes only numbers; nothing where neither value can be used.
    """
    if isinstance(held := _held(draft, key), bool):
        return as_text(held)
    if isinstance(value, str) and takes_numbers_only(key):
        return "" if isinstance(other, bool) else _plain(other)
    return "" if _unusable(draft, key) else _plain(value)


def _plain(value: object) -> str:
    """A spelling that all YAML readers read alike."""
    if isinstance(value, float):
        mantissa, e, exponent = f"{value!r}".partition("e")
        return f"{mantissa}{'' if '.' in mantissa else '.0'}{e}{exponent}" if e else repr(value)
    return f'"{value}"' if isinstance(value, str) else str(value)


@check("S108", "warning")
def lora_parameters_in_part(draft: Draft) -> Iterator[Seen]:
    """lora_parameters gives some of rank, scale and dropout. Runoff fills in the rest; mlx-lm stops with a KeyError.

    There a lora_parameters section replaces the whole default, and what it lacks is missing.
    """
    keys = {
        given.key.partition(".")[2]: given.place
        for given in draft.given
        if given.key.startswith("lora_parameters.") or (given.key == "lora_parameters" and given.value == {})
    }
    missing = [key for key in ("rank", "scale", "dropout") if key not in keys]
    if keys and missing and draft.settings.fine_tune_type != "full":
        lora = draft.settings.lora_parameters
        whole: dict[str, object] = {"rank": lora.rank, "scale": lora.scale, "dropout": lora.dropout}
        whole |= {"keys": lora.keys} if lora.keys is not None else {}
        yield Seen(
            next(iter(keys.values())),
            f"lora_parameters gives no {' and no '.join(missing)}.",
            "Runoff fills in the defaults; mlx-lm stops with a KeyError.",
            f"lora_parameters: {as_text(whole)}",
        )


@check("S109", "note")
def scale_by_default(draft: Draft) -> Iterator[Seen]:
    """No scale is given, so mlx-lm's default of 20 holds, which is twenty times PEFT's default of alpha / rank = 1.

    The scale multiplies the adapter's output, so it acts much like a larger learning rate.
    """
    lora = draft.settings.lora_parameters
    if draft.settings.fine_tune_type != "full" and not draft.was_given("lora_parameters.scale"):
        yield Seen(
            "lora_parameters.scale (default)",
            f"The scale is {lora.scale:g} by default: at rank {lora.rank} that is alpha {lora.scale * lora.rank:g}.",
            f"PEFT's own default is alpha = rank, scale 1, {lora.scale:g} times less.",
            f"lora_parameters: {{rank: {lora.rank}, scale: {lora.scale!r}, dropout: {lora.dropout!r}}}",
        )


@check("S110", "error")
def keys_that_match_no_layer(draft: Draft) -> Iterator[Seen]:
    """lora_parameters.keys names a layer that the adapted blocks do not have.

    mlx-lm passes over a wrong name silently.
    """
    keys = draft.settings.lora_parameters.keys
    if keys is None or draft.settings.fine_tune_type == "full":
        return
    blocks = adapted_blocks(draft.settings.num_layers, draft.model.blocks)
    names = sorted({layer.name for layer in draft.model.linear_layers if layer.block in blocks})
    wrong = [key for key in keys if not any(matches(name, key) for name in names)]
    if wrong:
        yield Seen(
            draft.place("lora_parameters.keys"),
            f"{listed(wrong)} {'matches' if len(wrong) == 1 else 'match'} no layer; the blocks have "
            f"{', '.join(names)}.",
            "mlx-lm adapts what matches and says nothing of the rest.",
        )


@check("S111", "warning")
def short_layer_names(draft: Draft) -> Iterator[Seen]:
    """lora_parameters.keys uses PEFT's short names (q_proj). Runoff understands them; in mlx-lm they match nothing."""
    keys = draft.settings.lora_parameters.keys
    if keys is None or draft.settings.fine_tune_type == "full":
        return
    names = sorted({layer.name for layer in draft.model.linear_layers})
    short = [key for key in keys if key not in names and any(matches(name, key) for name in names)]
    if short:
        full = [name for name in names if any(matches(name, key) for key in keys)]
        yield Seen(
            draft.place("lora_parameters.keys"),
            f"{listed(short)} {'is a short name' if len(short) == 1 else 'are short names'} for {', '.join(full)}.",
            "mlx-lm knows only the full name inside the block, so there these match no layer.",
            f"keys: {as_text(full)}",
        )


@check("S112", "error")
def more_layers_than_the_model_has(draft: Draft) -> Iterator[Seen]:
    """num_layers is above the model's number of blocks. mlx-lm ends with a ValueError once the model is loaded."""
    wanted, blocks = draft.settings.num_layers, draft.model.blocks
    if wanted > blocks:
        what = f"num_layers is {wanted}, but the model has {blocks} blocks."
        yield Seen(draft.place("num_layers"), what, "The run can't start.", f"num_layers: {blocks}")


@check("S113", "note")
def num_layers_that_means_all(draft: Draft) -> Iterator[Seen]:
    """num_layers 0 and -1 both adapt every block; 0 does not mean none."""
    wanted, blocks = draft.settings.num_layers, draft.model.blocks
    if wanted in (0, -1):
        what = f"num_layers: {wanted} adapts all {blocks} blocks."
        why = "No block stays below the adapter, so nothing can be computed once and kept."
        yield Seen(draft.place("num_layers"), what, why, f"num_layers: {blocks}")


@check("S114", "warning")
def learning_rate_beside_a_schedule(draft: Draft) -> Iterator[Seen]:
    """learning_rate and lr_schedule are both given: the schedule's first argument holds, learning_rate is not used."""
    schedule = draft.settings.lr_schedule
    if schedule is not None and draft.was_given("learning_rate"):
        given, held = draft.settings.learning_rate, schedule.arguments[0]
        if given != held:
            what = f"learning_rate {given:g} is not used: lr_schedule starts from {held:g}."
            yield Seen(
                draft.place("learning_rate"),
                what,
                "Two rates stand in the file, one holds.",
                f"learning_rate: {held!r}",
            )


@check("S115", "warning")
def longer_than_the_model_reads(draft: Draft) -> Iterator[Seen]:
    """max_seq_length is beyond the context that the model was made for."""
    limit, wanted = draft.model.context_length, draft.settings.max_seq_length
    if limit is not None and wanted > limit:
        what = f"max_seq_length is {wanted:,}, but the model's context is {limit:,} tokens."
        yield Seen(
            draft.place("max_seq_length"),
            what,
            "Beyond it the model's positions are untrained.",
            f"max_seq_length: {limit}",
        )


@check("S116", "error")
def nothing_to_learn_with(draft: Draft) -> Iterator[Seen]:
    """Every update has the learning rate 0, or the scale is 0: the adapter can't change anything."""
    if draft.settings.lora_parameters.scale == 0 and draft.settings.fine_tune_type != "full":
        what = "The scale is 0, so the adapter's output counts for nothing."
        yield Seen(draft.place("lora_parameters.scale"), what, "The run would leave the base as it is.", "scale: 20.0")
    schedule = draft.settings.lr_schedule
    if schedule is None and draft.settings.learning_rate == 0:
        yield Seen(
            draft.place("learning_rate"), "The learning rate is 0.", "Nothing would be learnt.", "learning_rate: 1.0e-5"
        )


@check("S117", "note")
def seldom_stops_early(draft: Draft) -> Iterator[Seen]:
    """early_stopping needs more validations in a row than the run has, so it can't act."""
    stopping, counts = draft.settings.early_stopping, draft.length
    judged = max(counts.validations - 1, 0)
    if stopping is not None and counts.validations and stopping.patience >= judged:
        yield Seen(
            draft.place("early_stopping"),
            f"early_stopping waits for {count_of(stopping.patience, 'validation')} without improvement, and the run "
            f"has "
            f"{judged} after its first update.",
            "It can't end the run before its last iteration.",
            f"steps_per_eval: {max(draft.settings.iters // (4 * (stopping.patience + 1)), 1)}",
        )


@check("S118", "error")
def learning_rate_without_bound(draft: Draft) -> Iterator[Seen]:
    """The schedule multiplies the learning rate by more than 1 at each update, until it is beyond all numbers."""
    if not math.isfinite(draft.pace.learning_rate_sum):
        what = f"The learning rate grows beyond all numbers within {draft.pace.optimizer_updates:,} updates."
        yield Seen(draft.place("lr_schedule.arguments"), what, "The weights would be NaN.")


@check("S119", "warning")
def lora_parameters_beside_full(draft: Draft) -> Iterator[Seen]:
    """lora_parameters is given with fine_tune_type: full, which trains the weights themselves and has no rank or scale.

    mlx-lm drops lora_parameters there too.
    """
    parts = (given for given in draft.given if given.key.startswith("lora_parameters") and given.value is not None)
    given = next(parts, None)
    if given is not None and draft.settings.fine_tune_type == "full":
        what = "lora_parameters has no effect: fine_tune_type: full trains the blocks' own weights."
        yield Seen(given.place, what, "A rank or scale that nothing reads looks like one that holds.")


@check("S120", "warning")
def learning_rate_of_an_adapter_for_whole_weights(draft: Draft) -> Iterator[Seen]:
    """fine_tune_type: full with Adam or AdamW at a learning rate of 1e-4 or more.

    The best rates for LoRA are about ten times those for whole weights (Biderman et al. 2024, arXiv 2405.09673), where
    1e-5 is a common start. An adapter starts at no change at all and is scaled; here each update moves every weight of
    the blocks by about the rate.
    """
    settings = draft.settings
    schedule = settings.lr_schedule
    rate = schedule.arguments[0] if schedule else settings.learning_rate
    whole = settings.fine_tune_type == "full" and settings.optimizer in ("adam", "adamw")
    if whole and rate >= _HIGH_FOR_WHOLE_WEIGHTS:
        yield Seen(
            draft.place("lr_schedule.arguments" if schedule else "learning_rate"),
            f"The learning rate {rate:g} is one for LoRA; whole weights are usually trained at about a tenth of it.",
            "What the base knows is lost first.",
            "" if schedule else "learning_rate: 1.0e-5",
        )


@check("S121", "error")
def whole_weights_of_a_quantized_base(draft: Draft) -> Iterator[Seen]:
    """fine_tune_type: full on a quantized base: there is no gradient for quantized weights.

    mlx-lm stops at its first iteration (`no gradient wrt the quantized weights`).
    """
    if draft.settings.fine_tune_type == "full" and draft.model.quantized:
        what = f"The weights of {draft.model.folder.name} are quantized, and full would train them."
        yield Seen(draft.place("fine_tune_type"), what, "The run can't start.", "fine_tune_type: lora")


@check("S122", "note")
def dora_with_dropout(draft: Draft) -> Iterator[Seen]:
    """fine_tune_type: dora with a dropout above 0 is another training on each engine, as their libraries differ.

    With W the base's weights, d(x) the input with some of it dropped, and f the magnitude over the norm, mlx-lm
    computes f (W x + s B A d(x)), PEFT W x + (f - 1) W d(x) + f s B A d(x). At the start f is 1 and the two agree;
    later PEFT drops part of the base's product too. Without dropout they are the same.
    """
    dropout = draft.settings.lora_parameters.dropout
    if draft.settings.fine_tune_type == "dora" and dropout > 0:
        yield Seen(
            draft.place("lora_parameters.dropout"),
            f"DoRA with dropout {dropout:g} is computed as PEFT does it with engine: torch, and as mlx-lm does it with "
            "engine: mlx; the two differ.",
            "Runs of the two engines would differ in more than chance, and such an adapter can't be converted.",
        )


CHECKS = (
    unknown_key,
    refused_key,
    contradiction,
    unusable_value,
    translated_key,
    key_without_effect,
    value_that_looks_like_another_type,
    lora_parameters_in_part,
    scale_by_default,
    keys_that_match_no_layer,
    short_layer_names,
    more_layers_than_the_model_has,
    num_layers_that_means_all,
    learning_rate_beside_a_schedule,
    longer_than_the_model_reads,
    nothing_to_learn_with,
    seldom_stops_early,
    learning_rate_without_bound,
    lora_parameters_beside_full,
    learning_rate_of_an_adapter_for_whole_weights,
    whole_weights_of_a_quantized_base,
    dora_with_dropout,
)
