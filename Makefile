# Everything a newcomer needs: `make demo`, then `make test`. Nothing but Python >= 3.11, pip and make is expected.
PYTHON ?= python3
BIN := .venv/bin
RUNOFF := $(BIN)/runoff
WORKERS ?= 2

.PHONY: install demo test check fix bench clean

install: .venv/.installed

# The constraints pin every version, so that two clones get the same ones. On Linux a plain `torch` is a CUDA build of
# gigabytes: for another build, change the torch line there or install yours into .venv afterwards.
.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[torch]"
	@touch $@

.venv/.installed-dev: .venv/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[torch,mlx,dev]"
	@touch $@

.venv/.installed-bench: .venv/.installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[torch,mlx,dev,bench]"
	@touch $@

demo: install
	$(RUNOFF) model get smollm2-135m
	$(RUNOFF) train examples/long.yaml --name long --runs demo/runs --overwrite
	$(RUNOFF) train examples/short.yaml --name short --runs demo/runs --overwrite
	$(RUNOFF) evaluate long short --runs demo/runs
	$(RUNOFF) compare long short --runs demo/runs --out demo/report --brief

# A file stays on one worker, so that what its tests share is made once; a worker has one core to itself.
test: .venv/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

check: .venv/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: .venv/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/.installed-bench
	$(BIN)/python -m benchmarks $(if $(DATA),--data $(DATA)) $(ARGS)

clean:
	rm -rf .venv demo build dist
