"""`runoff train`: one training run, with its plan before and its progress while it runs."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["command"]


def command(
    config: Annotated[Path, typer.Argument(help="YAML with the settings (mlx-lm's keys, and a few of Runoff's own).")],
    name: Annotated[str | None, typer.Option("--name", help="Name of the run; default: the YAML's file name.")] = None,
    override: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting that wins over the YAML; may be repeated."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the run's last checkpoint.")] = False,
    extend: Annotated[
        bool, typer.Option("--extend", help="Train a run longer than was planned; give more iters or epochs.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run of this name.")] = False,
    runs: Annotated[
        Path | None, typer.Option("--runs", help="Folder of the runs; default $RUNOFF_DIR or ./runs.")
    ] = None,
) -> None:
    """Train one run and keep everything about it in its folder."""
    from runoff.cli.output import say, show_plan
    from runoff.cli.progress import TrainingView
    from runoff.config import load_config
    from runoff.engines.ranks import launched_by
    from runoff.errors import ConfigError
    from runoff.runs import free_folder, load_run
    from runoff.training import prepare, train

    if overwrite and (resume or extend):
        raise ConfigError(["--overwrite deletes the run that --resume and --extend go on with: leave one of them out."])
    launched = launched_by(os.environ)
    if launched and launched[1] > 0:  # the first process speaks for all
        train(
            load_config(config, override or ()),
            config.stem if name is None else name,
            root=runs,
            resume=resume,
            extend=extend,
        )
        return
    if resume or extend:  # before anything is loaded or counted
        load_run(config.stem if name is None else name, runs)
    else:
        free_folder(config.stem if name is None else name, runs, overwrite=overwrite)
    loaded = load_config(config, override or ())
    for note in loaded.notes:
        say(str(note))
    prepared = prepare(loaded, say=say)
    show_plan(prepared.plan)
    with TrainingView() as view:
        run = train(
            loaded,
            config.stem if name is None else name,
            root=runs,
            resume=resume,
            extend=extend,
            overwrite=overwrite,
            listen=view.listen,
            say=view.say,
            prepared=prepared,
        )
    result = run.identity.result
    say(
        f"{run.name}: {result['reason']}. The adapter in {run.folder.adapter} is that of iteration "
        f"{result['adapter_iteration']}: {result['adapter_reason']}."
    )
    if run.identity.status == "interrupted":
        options = [*(["--runs", str(runs)] if runs else []), *(f"--set={text}" for text in override or ())]
        say(f"Go on with: runoff train {shlex.join([str(config), '--name', run.name, '--resume', *options])}")
        raise typer.Exit(130)
