# Two commands for a fresh machine with Python 3.11 or newer: `make demo` and `make test`. Both set up what they need.
PYTHON ?= python3.11
BIN := .venv/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check
# uv takes a quarter of pip's time; pip brings it, and does its work where that fails.
QUICK := -c constraints.txt uv
EVERYTHING := -c constraints.txt -e ".[detect,segment,export,cluster,dev]"

# Without bytecode every process compiles the packages anew and takes twice as long to start; images often set this.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-flows test-rest test-all test-training faults lint graph setup

demo: setup
	$(BIN)/genas demo

test: setup
	$(MAKE) --no-print-directory --jobs 2 --output-sync=line test-flows test-rest

# Prefect leaves threads behind that processes forked later (loader workers) trip over: its tests have a process apart.
test-flows: setup
	timeout 1500 $(BIN)/python -m pytest -m "not slow" tests/flows

# A worker that crashes ends the run: it is not replaced, and nobody waits for it. Files in their own order: those with
# the most tests are not the longest, and the last ones are short. Three on two cores: each waits for others now and then.
test-rest: setup
	timeout 1500 $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder --max-worker-restart=0 -m "not slow" \
		--ignore tests/flows

# What trains our networks, plain and quick.
test-training: setup
	timeout 1500 $(BIN)/python -m pytest -n 2 --dist loadfile --max-worker-restart=0 -m "not slow" tests/models/spaces/test_operations.py \
		tests/models/fast/test_gradients.py tests/pipeline/supernet tests/pipeline/retrain tests/pipeline/transfer/test_segment.py

test-all: setup lint
	$(BIN)/python -m pytest tests/flows
	$(BIN)/python -m pytest --ignore tests/flows

# Malformed inputs, kills, full disks; writes docs/reliability.md. Half an hour; the full disks want root.
faults: setup
	timeout 5400 $(BIN)/python -m tests.faults

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# Every profile has the graph, and what makes it a repository of DVC's own, as files of its own; demo's are the pattern.
graph:
	$(BIN)/python -m genas.pipeline.scaffold.shared

setup: .venv/.ready

.venv/.ready: pyproject.toml constraints.txt tools/install_detectron2.py
	$(PYTHON) -m venv .venv
	command -v uv >/dev/null || $(PIP) $(QUICK) || true
	PATH="$$PATH:$(BIN)" uv pip install --quiet --compile-bytecode --python $(BIN)/python $(EVERYTHING) || $(PIP) $(EVERYTHING)
	$(BIN)/python tools/install_detectron2.py
	touch $@
