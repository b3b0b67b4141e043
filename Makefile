# Every target makes what it needs: a machine with Python 3.11+ and make is enough.
PYTHON ?= python3
BIN := .venv/bin
BENCH := .venv-bench/bin
VLLM ?= .venv-vllm

.PHONY: demo tour test lint bench bench-memory simulate test-vllm clean

demo: .venv/demo
	$(BIN)/aibrix-mw demo

tour: .venv/demo
	$(BIN)/aibrix-mw demo --tour

test: .venv/dev
	$(BIN)/coverage erase
	$(BIN)/pytest -n 2 --cov --cov-report=term --cov-fail-under=95

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv-bench/ready
	$(BENCH)/python -m tests.benchmarks --check

bench-memory: .venv-bench/ready
	$(BENCH)/python -m tests.benchmarks.memory

simulate: .venv/dev
	$(BIN)/python -m tests.experiments

test-vllm: .venv/dev
	$(BIN)/python tests/vllm/install.py $(VLLM)
	$(BIN)/pytest -m vllm tests/vllm --vllm $(VLLM)

clean:
	rm -rf .venv .venv-bench

.venv/bin/uv:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

.venv/demo: .venv/bin/uv pyproject.toml
	$(BIN)/uv pip install --quiet --python $(BIN)/python -e '.[metrics]'
	touch $@

.venv/dev: .venv/bin/uv pyproject.toml
	$(BIN)/uv pip install --quiet --python $(BIN)/python -e '.[metrics]' --group dev
	touch $@

.venv-bench/ready: .venv/bin/uv pyproject.toml
	$(PYTHON) -m venv .venv-bench
	$(BIN)/uv pip install --quiet --python $(BENCH)/python -e '.[metrics]' --group bench
	touch $@
