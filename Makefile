# Two commands do everything on a fresh Debian machine: `make demo` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test lint peers clean

help:
	@echo 'make demo   run the main job: three nodes and a router on loopback; no cluster, no root'
	@echo 'make test   install what the tests need and run all of them (most of it needs root)'
	@echo 'make lint   style, types and import contracts only'
	@echo 'make clean  remove what the others made in this folder'

$(VENV)/demo.done: setup.cfg pyproject.toml
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/test.done: $(VENV)/demo.done
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(VENV)/demo.done
	$(BIN)/exabgp-metallb demo

# The kube-apiserver is built by the tests that use it: once, into a cache outside the tree. Those that
# stand in the lab of namespaces run beside all others: tests/conftest.py.
test: lint peers
	$(BIN)/pytest --numprocesses 2

lint: $(VENV)/test.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Real routers and etcd from Debian; as root it installs them, otherwise it says what is left out.
peers:
	tests/peers.sh

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
