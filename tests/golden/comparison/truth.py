"""The truth about two recipes, reckoned from the recipes alone and with no code of Runoff's.

Every function gives the exact statements of one kind that are true of two runs: what a report must say, and all that it
may say of that kind.
"""

from __future__ import annotations

import math
from fractions import Fraction

from tests.support.recipes import MODEL, Recipe

BLOCKS = 36
PARAMETERS_PER_BLOCK_AND_RANK = 52_480  # in + out of the seven linear layers of one block of SmolLM3-3B
BASE_PARAMETERS = 3_075_098_624
Counts = dict[str, float | None]


def counts(run: Recipe) -> Counts:
    """What the settings come to; None where a log that was cut leaves it open."""
    whole = run.ends is None
    updates = run.iters // run.accumulation if whole else None
    rates = [_rate(run, done) for done in range(updates)] if updates is not None else None
    known = run.model == MODEL
    used = run.val_batches * run.batch_size if run.val_batches >= 0 else run.valid_rows
    return {
        "iterations (micro-batches)": run.iters if whole else None,
        "optimizer updates": updates,
        "rows per update": run.batch_size * run.accumulation,
        "epochs": run.iters * run.batch_size / run.train_rows if whole else None,
        "training rows seen": run.iters * run.batch_size if whole else None,
        "adapted blocks": run.num_layers,
        "blocks of the base": BLOCKS if known else None,
        "trainable parameters": run.num_layers * run.rank * PARAMETERS_PER_BLOCK_AND_RANK if known else None,
        "adapter scale": run.scale,
        "alpha (scale x rank)": run.scale * run.rank,
        "learning rate summed over updates": math.fsum(rates) if rates is not None else None,
        "learning rate of the last update": rates[-1] if rates else None,
        "training rows": run.train_rows,
        "validation rows": run.valid_rows,
        "validations": validations(run) if whole else None,
        "rows in each validation": min(used, run.valid_rows // run.batch_size * run.batch_size),
        "tokens of the longest training row": run.longest,
    }


def validations(run: Recipe) -> int:
    return 1 + run.iters // run.every + (1 if run.iters % run.every else 0)


def _rate(run: Recipe, done: int) -> float:
    """Of the update after `done` others: mlx-lm's warm-up and cosine decay."""
    if run.schedule is None:
        return run.learning_rate
    first, length = float(run.schedule[1]), float(run.schedule[2])
    if run.warmup:
        if done < run.warmup:
            return first * done / run.warmup
        done -= run.warmup + 1 if done > run.warmup else run.warmup
    return 0.5 * (1 + math.cos(math.pi * min(done, length) / length)) * first


def ignored(a: Recipe, b: Recipe) -> set[str]:
    return {f"{run.name}: {key}" for run in (a, b) for key in run.top_level}


def differing(a: Recipe, b: Recipe) -> set[str]:
    """Settings in force that are not equal."""
    pairs = {
        "num_layers": (a.num_layers, b.num_layers),
        "lora_parameters.rank": (a.rank, b.rank),
        "lora_parameters.scale": (a.scale, b.scale),
        "lora_parameters.dropout": (a.dropout, b.dropout),
        "batch_size": (a.batch_size, b.batch_size),
        "grad_accumulation_steps": (a.accumulation, b.accumulation),
        "iters": (a.iters, b.iters),
        "max_seq_length": (a.max_seq_length, b.max_seq_length),
        "seed": (a.seed, b.seed),
        "steps_per_eval": (a.every, b.every),
        "val_batches": (a.val_batches, b.val_batches),
        "mask_prompt": (a.mask_prompt, b.mask_prompt),
        "learning_rate": tuple(run.schedule[1] if run.schedule else run.learning_rate for run in (a, b)),
    }
    found = {key for key, (one, other) in pairs.items() if one != other}
    if a.schedule != b.schedule or a.warmup != b.warmup:
        found.add("lr_schedule")
    return found


def at_once(a: Recipe, b: Recipe) -> set[str]:
    """How many things changed that can be a cause, and which."""
    causes = differing(a, b) - {"steps_per_eval", "val_batches"}
    if "lr_schedule" in causes:
        causes.discard("learning_rate")
    things = sorted(causes) + (["training rows"] if a.train_rows != b.train_rows else [])
    return {" ".join(things)} if len(things) > 1 else set()


def lengths(a: Recipe, b: Recipe) -> set[str]:
    """Updates, rows and epochs, where a setting that decides them differs and both logs are whole."""
    if not differing(a, b) & {"iters", "batch_size", "grad_accumulation_steps"} or a.ends or b.ends:
        return set()
    found = {
        f"{run.name} {run.iters // run.accumulation} {run.batch_size * run.accumulation} "
        f"{run.iters * run.batch_size / run.train_rows:.2f}"
        for run in (a, b)
    }
    for what, one, other in (
        ("iterations", a.iters, b.iters),
        ("optimizer updates", a.iters // a.accumulation, b.iters // b.accumulation),
    ):
        if one != other:
            most, least = (a, b) if one > other else (b, a)
            ratio = Fraction(max(one, other), min(one, other))
            if ratio >= 2:
                found.add(f"{most.name} {float(ratio):.3g} times {what} {least.name}")
            else:
                found.add(f"{least.name} {percent(1 - 1 / ratio)} fewer {what} {most.name}")
    return found


def percent(share: Fraction | float) -> str:
    value = 100 * float(share)
    return f"{value:.2g}" if value < 9.5 else f"{value:.0f}"


def checks(a: Recipe, b: Recipe) -> set[str]:
    """Topic and level of every check that must speak up; what is in order is not among them."""
    found = {"test rows: blocking", "validation rows: blocking"}
    found.add("base model: " + ("warning" if a.model == b.model else "blocking"))
    if a.train_rows != b.train_rows:
        found.add("training rows: warning")
    if any(0 <= run.val_batches * run.batch_size < run.valid_rows // run.batch_size * run.batch_size for run in (a, b)):
        found.add("validation draws: warning")
    if any(run.logged and not run.ends and run.iters % run.accumulation == 0 for run in (a, b)):
        found.add("last validation: warning")
    if a.max_seq_length != b.max_seq_length and min(a.max_seq_length, b.max_seq_length) < max(a.longest, b.longest):
        found.add("truncation: warning")
    if a.seed != b.seed:
        found.add("seeds: warning")
    if a.version != b.version:
        found.add("tools: warning")
    if any(run.logged and run.starts > 1 for run in (a, b)):
        found.add("restarts: warning")
    if any(run.ends or not run.logged for run in (a, b)):
        found.add("status: warning")
    return found


def split_anew(a: Recipe, b: Recipe) -> set[str]:
    """Rows that must be in both parts, if both pools are one."""
    if a.train_rows + a.valid_rows != b.train_rows + b.valid_rows or a.valid_rows == b.valid_rows:
        return set()
    large, small = (a, b) if a.valid_rows > b.valid_rows else (b, a)
    least = large.valid_rows - small.valid_rows
    return {f"{large.train_rows + large.valid_rows} {least} {large.name} {large.valid_rows} {small.name}"}


def broken(a: Recipe, b: Recipe) -> set[str]:
    """Losses that are nan in the last start's part of a log."""
    found = set()
    for run in (a, b):
        end = run.ends or run.iters
        many = sum(1 for report in run.broken if report * run.reports <= end) if run.logged else 0
        if many:
            found.add(f"{run.name} {many}")
    return found


def silent(a: Recipe, b: Recipe) -> set[str]:
    return {run.name for run in (a, b) if not run.logged}


def schedules(a: Recipe, b: Recipe) -> set[str]:
    """Schedules that never came to their end."""
    found = set()
    for run in (a, b):
        updates = run.iters // run.accumulation
        if run.schedule is None or run.ends:
            continue
        left = updates - (run.warmup + 1 if run.warmup else 0)
        if run.warmup >= updates:
            found.add(f"{run.name} warm-up {run.warmup} {updates}")
        elif run.schedule[2] > left:
            found.add(f"{run.name} decay {run.schedule[2]} {updates}")
    return found


def cuts(a: Recipe, b: Recipe) -> set[str]:
    """Who cuts the longest row; said where the lengths differ and one row is the longest in both."""
    if a.max_seq_length == b.max_seq_length or a.longest != b.longest:
        return set()
    return {f"{run.name} {run.longest}" for run in (a, b) if run.max_seq_length < run.longest}


def gaps(a: Recipe, b: Recipe) -> set[str]:
    """Last validation loss minus last training loss, as printed."""
    found = set()
    for run in (a, b):
        end = run.ends or run.iters
        validated = [it for it in range(2, end + 1) if it % run.every == 0 or it == run.iters]
        trained = [it for it in range(1, end + 1) if it % run.reports == 0 and it // run.reports not in run.broken]
        if run.logged and validated and trained:
            last = round(2.4 - 0.5 * validated[-1] / run.iters, 3)
            train = round(2.3 - 0.5 * trained[-1] / run.iters, 3)
            side = "above" if last >= train else "below"
            found.add(f"{run.name} {abs(last - train):.3f} {side} {100 * abs(last - train) / train:.1f}")
    return found


def blocks(a: Recipe, b: Recipe) -> set[str]:
    """How many blocks fewer, and how many more are left alone, in per cent."""
    if a.num_layers == b.num_layers or {a.model, b.model} != {MODEL}:
        return set()
    most, least = (a, b) if a.num_layers > b.num_layers else (b, a)
    fewer = 1 - Fraction(least.num_layers, most.num_layers)
    more = Fraction(BLOCKS - least.num_layers, BLOCKS - most.num_layers) - 1
    return {f"{least.name} {percent(fewer)} {most.name} {percent(more)}"}
