"""Speed against peers, in one run, as ratios. `python -m benchmarks --help`; results worth keeping go to docs/log.md."""
