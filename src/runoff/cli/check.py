"""`runoff check`: what a configuration will do, before the hours are spent. Loads no engine and asks no network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from runoff.config import Config
    from runoff.plan import Checked, Unknown

__all__ = ["command"]


def command(
    configs: Annotated[list[Path] | None, typer.Argument(metavar="CONFIG...", help="YAML files to check.")] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="A data folder: alone, or in place of the file's data.")
    ] = None,
    tool: Annotated[
        str | None,
        typer.Option(
            "--for", metavar="TOOL@VERSION", help="What that tool would do with the file, e.g. mlx-lm@0.28.3."
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting that wins over the file; may be repeated."),
    ] = None,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Also run a few iterations and say how long all will take.")
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Say what CONFIG will do, before it runs.

    Prints the settings as they take effect, counts, and findings. Exit code 1 where a finding is an error.
    """
    import json

    from runoff.cli.check_tables import show_checked
    from runoff.plan import check_data

    if not configs and data is None:
        raise typer.BadParameter("name a CONFIG, or --data FOLDER.")
    options = [*(overrides or ()), *([f"data={data}"] if data else [])]
    checked = [_check(path, options, tool) for path in configs] if configs else [check_data(data or Path("data"))]
    if json_output:
        bodies = [one.to_json() for one in checked]
        print(json.dumps(bodies if len(bodies) > 1 else bodies[0], indent=1, ensure_ascii=False))
    else:
        for one in checked:
            show_checked(one)
    if calibrate:
        _calibrate(configs or [], options)
    raise typer.Exit(int(any(one.failed for one in checked)))


def _check(path: Path, options: list[str], tool: str | None) -> Checked:
    from runoff.config import read_config
    from runoff.plan import Unknown, check_config

    reading = read_config(path, options)
    folder = _local_model(reading.config) if reading.config else Unknown("the settings have errors")
    return check_config(reading, str(path), folder, tool=tool)


def _local_model(config: Config) -> Path | Unknown:
    from runoff.errors import ModelError
    from runoff.models.folder import check_model_folder
    from runoff.models.local import find_local
    from runoff.plan import Unknown

    name = config.settings.model
    if found := find_local(name):
        return found
    path = Path(name).expanduser()
    if path.is_dir():
        try:
            check_model_folder(path)
        except ModelError as error:
            return Unknown(str(error).removesuffix("."))
    return Unknown(f"the model {name} is not on this machine (to fetch it: runoff model get {name})")


def _calibrate(configs: list[Path], options: list[str]) -> None:
    from runoff.cli.check_tables import show_calibration
    from runoff.config import load_config
    from runoff.training.calibration import calibrate

    for path in configs:
        show_calibration(str(path), calibrate(load_config(path, options)))
