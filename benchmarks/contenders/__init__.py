"""One module a contender: `python -m benchmarks.contenders.NAME job.json` prints a line `RESULT {...}`."""
