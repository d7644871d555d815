# Every target does its own set-up; `make` alone shows this list.
PYTHON := $(shell for p in python3 python python3.13 python3.12 python3.11; do \
	if $$p -c 'import sys; sys.exit(sys.version_info < (3, 9))' >/dev/null 2>&1; then echo $$p; break; fi; done)
BIN := .venv/bin
# Of soaks.
MINUTES := 10
KILLS := 100
# Soaks, and parts of benchmarks.
NOT_BENCHMARKS := bench_sweep bare_backtest common_strategy calibration calibration_market sweep_kills three_rounds live_equals_history live_soak live_kills live_memory bare_node wire_meter

.DEFAULT_GOAL := help
.PHONY: help setup demo test check lint soak bench bench-sweep calibration browser screenshots lock clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 13

setup:  ## make .venv with the helios command in it
	@test -n "$(PYTHON)" || { echo "helios: no Python 3.9 or later on PATH; install python3"; exit 1; }
	@$(PYTHON) bootstrap.py

demo: setup  ## simulated market -> champion, offline, on the embedded database
	@$(BIN)/helios demo

test: setup  ## all tests
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -q

lint: setup  ## format, lint, types and import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

check: lint test  ## what CI runs: lint, then all tests

soak: setup  ## long runs, 55 minutes: many sets and seeds, streams against history, live accounts against venues, a hundred kills (MINUTES=10 KILLS=100)
	@$(BIN)/python -m pytest -m soak -n 2 --timeout 1800 -q
	@$(BIN)/python benchmarks/live_equals_history.py --minutes $(MINUTES)
	@$(BIN)/python benchmarks/live_soak.py --minutes $(MINUTES)
	@$(BIN)/python benchmarks/live_kills.py --kills $(KILLS)

bench: setup  ## measure the budgets; prints ratios taken in one run
	@for b in $(filter-out $(NOT_BENCHMARKS:%=benchmarks/%.py),$(wildcard benchmarks/*.py)); do echo "== $$b"; $(BIN)/python $$b || exit 1; done

bench-sweep: setup  ## vectorbt, NautilusTrader and Helios on one market: are trades equal, how fast is each
	@$(BIN)/python benchmarks/bench_sweep.py

calibration: setup  ## how often the gates promote skill and luck; goes on where it was stopped
	@$(BIN)/python benchmarks/calibration.py

browser:  ## install Chromium, which tests of the web interface and the screenshots use
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || { \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends chromium; \
	else echo "helios: no chromium on PATH; install it (Debian: apt-get install chromium). Tests in it are skipped."; fi; }

screenshots: setup browser  ## make the pictures of docs/ again
	@$(BIN)/python docs/screenshots.py
	@$(BIN)/python docs/venue_screenshots.py

lock:  ## resolve the dependencies again
	@$(PYTHON) bootstrap.py --lock

clean:  ## remove the environment and everything Helios stored in this checkout
	rm -rf .venv .bootstrap .helios
