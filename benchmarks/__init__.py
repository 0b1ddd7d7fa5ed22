"""Speed against peers, in one run, as ratios. `python -m benchmarks --help`; docs/log.md keeps what was found."""
