"""The command behind `make bench`: prepares one job, lets the contenders take turns, prints one table a part."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from benchmarks import importing, job, reports, scoring, startup, training

PARTS = {
    "training": training.run,
    "scoring": scoring.run,
    "startup": startup.run,
    "importing": importing.run,
    "reports": reports.run,
}


def main() -> None:
    """Run the parts that were asked for."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="default: all")
    parser.add_argument(
        "--data", type=Path, default=Path("corpus/maren"), help="folder with train.jsonl and valid.jsonl"
    )
    parser.add_argument(
        "--rows", type=int, default=32, help="training rows used, a multiple of 32; the sample has more"
    )
    parser.add_argument("--valid-rows", type=int, default=12)
    parser.add_argument("--epochs", type=float, default=2.0, help="the real run: 2.6; rounded up to whole updates")
    parser.add_argument("--eval-rows", type=int, default=24, help="answers scored in the part scoring")
    parser.add_argument(
        "--answers", type=int, default=100, help="answers generated in the part scoring, for each model"
    )
    parser.add_argument("--answers-apart", type=int, default=8, help="those of them that are measured one by one")
    parser.add_argument("--answer-tokens", type=int, default=32, help="the longest of them")
    parser.add_argument("--repeats", type=int, default=1, help="turns of every contender; medians are printed")
    parser.add_argument("--logs", type=int, default=1000, help="logs of 100 KB that the part `importing` imports")
    parser.add_argument("--log-megabytes", type=int, default=200, help="size of its one large log")
    parser.add_argument("--only", nargs="*", help="parts of the names of the contenders to run")
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    wanted = options.parts or list(PARTS)
    results = {name: PARTS[name](job.make_job(options), options) for name in wanted}
    (options.out / "results.json").write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
