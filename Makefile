# Every target makes its environment by itself: Python 3.11 or newer is all that must be there.
#
#   make demo        the whole job against three simulated instances: no account, no network
#   make test        all tests, with branch coverage
#   make check       lint, format, types (what differs on Windows as there, too), layers
#   make tools       promtool, Prometheus, Pushgateway, blackbox_exporter, Chromium for the tests that use them (Debian)
#   make bench-rate  safe rates on random buckets, in virtual time; bench-load: arrivals, guards, throughput; bench-NAME: tests/bench/NAME.py
#   make bench       the first two
#   make report      tells the newest run in results/ again
#   make lock        pins newer libraries into requirements.lock
#   make clean       removes the environment and all caches

SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TOOLS := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/canvas-probes/bin
WORKERS ?= 3
export PATH := $(TOOLS):$(PATH)
# Where an environment forbids it, hundreds of commands that the tests start would each compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check tools bench report lock clean
.DEFAULT_GOAL := demo

$(READY): requirements.lock pyproject.toml .ci/environment
	@bash .ci/environment $(VENV)
	@touch $@

demo: $(READY)
	@$(BIN)/probes demo

# Matrices are small here: threads of the linear algebra beside three workers only wait for one another (a sixth of the time).
test: export OPENBLAS_NUM_THREADS = 1
test: $(READY)
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -rfEs --cov --cov-report=term

check: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/mypy --platform win32 --cache-dir .mypy_cache/win32 probes/system.py probes/clock.py locustfiles/_wire.py
	@$(BIN)/python -m pytest -q tests/test_layers.py

tools:
	@bash .ci/tools

bench: bench-rate bench-load

bench-%: $(READY)
	@PYTHONPATH=tests $(BIN)/python -m bench.$*

report: $(READY)
	@$(BIN)/probes report "$$(ls -dt results/*-*/ | head -1)"

lock:
	@python3 -m venv .lock && .lock/bin/python -m pip install --quiet uv
	@.lock/bin/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --no-strip-extras --generate-hashes --only-binary :all: --upgrade --quiet \
	  --no-emit-index-url --no-emit-find-links --no-annotate --custom-compile-command 'make lock' --output-file requirements.lock
	@rm -rf .lock

clean:
	rm -rf $(VENV) .lock .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.* dist build
