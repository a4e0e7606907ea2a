# make demo | make test | make check | make bench; each sets up .venv by itself.
PYTHON ?= python3
BIN := .venv/bin
DEMO_ARGS ?=
export OMP_NUM_THREADS ?= 1

.PHONY: setup redis chromium prometheus demo test check bench clean
setup: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "firstclick needs Python 3.11 or newer: make PYTHON=python3.11 ..."; exit 2; }
	$(PYTHON) -m venv .venv
	@echo "installing PyTorch, Ray and the rest into .venv (2.3 GB): a few minutes"
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

redis:             ## a Redis for the tests of the event store; without it they are skipped (Debian, as root)
	command -v redis-server || { apt-get update -q && apt-get install -yq redis-server; }

chromium:          ## a browser for the tests of the playground; without it they are skipped (Debian, as root)
	command -v chromium || { apt-get update -q && apt-get install -yq chromium; }

prometheus:        ## a Prometheus for the test of the dashboard; without it it is skipped (Debian, as root)
	command -v prometheus || { apt-get update -q && RUNLEVEL=1 apt-get install -yq --no-install-recommends prometheus; }

demo: setup        ## meta-learn on MovieLens-100k, compare, serve (DEMO_ARGS=--once: then stop)
	$(BIN)/firstclick demo $(DEMO_ARGS)

test: setup        ## on two cores what needs no shared Ray cluster, then the part on one
	$(BIN)/pytest -m "not ray" -n 2 --dist worksteal
	$(BIN)/pytest -m ray

check: setup       ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: setup       ## speed and quality benchmarks, and tests that take too long for `make test`
	$(BIN)/pytest -m benchmark --run-benchmarks -s

clean:
	rm -rf .venv build *.egg-info
