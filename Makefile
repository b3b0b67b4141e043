# Every target makes what it needs: a machine with Python 3.11+ and make is enough.
PYTHON ?= python3
BIN := .venv/bin
BENCH := .venv-bench/bin
COMPILED := .venv-compiled/bin
HELM := .venv/tools/helm
DOCKER ?= docker
VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' aibrix_mw/__init__.py)
VLLM ?= .venv-vllm
TRACEQL := .venv/traceql/node_modules/@grafana/lezer-traceql/package.json

.PHONY: demo tour test test-size test-compiled fuzz soak lint bench bench-memory bench-scraping simulate test-vllm chart image image-steps clean

demo: .venv/demo
	$(BIN)/aibrix-mw demo

tour: .venv/demo
	$(BIN)/aibrix-mw demo --tour

# asks processes from outside, mostly: to measure its coverage, too, costs minutes and adds nothing
OUTSIDE := tests/chart tests/dashboards tests/e2e tests/faults tests/fuzz tests/soak
test: .venv/dev $(TRACEQL) $(HELM)
	$(BIN)/coverage erase
	$(BIN)/pytest -n 2 --dist loadgroup $(OUTSIDE:%=--ignore=%) --cov --cov-report=term --cov-fail-under=95
	$(BIN)/pytest -n 2 --dist loadgroup $(OUTSIDE)

# the same tests but the chart's, on the wheel whose hot path is compiled; nothing of the checkout's package is in reach
test-compiled: .venv-compiled/ready
	rm -rf .venv-compiled/checkout
	mkdir .venv-compiled/checkout
	tar -c --exclude './.*' --exclude ./aibrix_mw --exclude __pycache__ . | tar -x -C .venv-compiled/checkout
	cd .venv-compiled/checkout && ../bin/python -m pytest -n 2 --dist loadgroup --ignore tests/chart

# every target for so many seconds, with fresh input: make fuzz SECONDS=60
SECONDS ?= 600
fuzz: .venv/dev
	$(BIN)/python -m tests.fuzz $(SECONDS)

# mixed traffic for so many seconds while pods, engines, the store and clients fail: make soak SOAK=300
SOAK ?= 1800
SEED ?= 0
soak: .venv/dev
	$(BIN)/python -m tests.soak $(SOAK) --seed $(SEED)

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv-bench/ready
	$(BENCH)/python -m tests.benchmarks --check

bench-memory: .venv-bench/ready
	$(BENCH)/python -m tests.benchmarks.memory
	$(BENCH)/python -m tests.benchmarks.streams

bench-scraping: .venv/dev
	$(BIN)/python -m tests.benchmarks.scraping

# minutes of real load: whether `size` finds a capacity that is computed; for a machine that does nothing else
test-size: .venv/dev
	SIZE_TESTS=1 $(BIN)/pytest tests/sizing/test_capacity.py

simulate: .venv/dev
	$(BIN)/python -m tests.experiments

test-vllm: .venv/dev
	$(BIN)/python tests/vllm/install.py $(VLLM)
	$(BIN)/pytest -m vllm tests/vllm --vllm $(VLLM)

# what the code says of itself: after a change of settings, refusals, metrics, spans or alerts
reference: .venv/dev
	$(BIN)/aibrix-mw reference --out aibrix_mw/REFERENCE.md

# lints, renders, validates and tests the chart; with a cluster: .venv/bin/pytest tests/chart --kubeconfig FILE
chart: .venv/dev $(HELM)
	$(BIN)/pytest -n 2 tests/chart

image:
	$(DOCKER) build --tag aibrix-mw:$(VERSION) .

# what the Dockerfile does, without an image builder: its steps, and a gateway that starts from them as its user
image-steps: .venv/dev
	$(BIN)/python -m tests.chart.replay

clean:
	rm -rf .venv .venv-* build dist .coverage* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

.venv/bin/uv:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

.venv/demo: .venv/bin/uv pyproject.toml
	$(BIN)/uv pip install --quiet --python $(BIN)/python -e '.[demo]'
	touch $@

.venv/dev: .venv/bin/uv pyproject.toml
	$(BIN)/uv pip install --quiet --python $(BIN)/python -e '.[all]' --group dev
	touch $@

$(HELM): .venv/dev tests/chart/tools.py
	$(BIN)/python -m tests.chart.tools
	touch $@

# a test has Grafana's grammar parse the TraceQL of the dashboards; where there is no npm it says so and is skipped
$(TRACEQL): .venv/bin/uv
	-command -v npm >/dev/null && npm install --silent --no-audit --no-fund --prefix .venv/traceql \
		@grafana/lezer-traceql@1.0.0 @lezer/lr@1.4.7

# built from a copy: the compiler writes its results beside the sources, where they would hide later changes
WHEEL = dir=$$(mktemp -d) && cp -r aibrix_mw pyproject.toml README.md LICENSE $$dir \
	&& (cd $$dir && $(abspath $(BIN))/uv build --quiet --wheel --out-dir dist .) \
	&& $(BIN)/uv pip install --quiet --reinstall-package aibrix-mw --python $(1) "$$(echo $$dir/dist/*.whl)[all]" --group $(2) \
	&& rm -rf $$dir
SOURCES := $(shell find aibrix_mw -name '*.py')

.venv-bench/ready: .venv/bin/uv pyproject.toml $(SOURCES)
	test -e $(BENCH)/python || $(PYTHON) -m venv .venv-bench
	@command -v cc >/dev/null || echo 'no C compiler: the bench measures plain Python'
	if command -v cc >/dev/null; then export HATCH_BUILD_HOOK_ENABLE_MYPYC=true; fi; $(call WHEEL,$(BENCH)/python,bench)
	touch $@

.venv-compiled/ready: .venv/bin/uv pyproject.toml $(SOURCES)
	test -e $(COMPILED)/python || $(PYTHON) -m venv .venv-compiled
	export HATCH_BUILD_HOOK_ENABLE_MYPYC=true; $(call WHEEL,$(COMPILED)/python,test)
	touch $@
