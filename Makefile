# unseen: `make` lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PROTOS := $(wildcard proto/engine/wire/v1/*.proto)
KERNELS := $(wildcard native/src/*.c native/src/*.h native/src/*.py)

.DEFAULT_GOAL := help
.PHONY: help setup setup-peers demo test test-fast lint format bench proto kernels wheels sbom clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml setup.py
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "setting up $(VENV) (a few minutes the first time)"
	@$(BIN)/python -m pip install --quiet --upgrade pip
	@$(BIN)/python -m pip install --quiet --quiet --editable '.[party,postgres,dev]'
	@touch $@

native/.built: $(KERNELS) $(STAMP)
	@$(BIN)/python setup.py --quiet build_ext --inplace
	@touch $@

setup: $(STAMP) native/.built ## make .venv with everything but the peers (no torch, no tenseal)

setup-peers: setup ## add tenseal and crypten, for comparison
	@$(BIN)/python -m pip install --quiet 'torch==2.13.0'
	@$(BIN)/python -m pip install --quiet --quiet --editable '.[tenseal,crypten]'

kernels: native/.built ## build the C extension

demo: setup ## three hospital daemons answer a joint question about a real trial
	@$(BIN)/unseen demo

test: setup ## the whole test suite
	@$(BIN)/python -m pytest -q -n auto --dist loadfile

test-fast: setup ## without the tests marked slow
	@$(BIN)/python -m pytest -q -n auto --dist loadfile -m "not slow"

lint: setup ## style, types, layers, generated code
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python tests/check_generated.py

format: setup ## let ruff write the style
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: setup ## measure on this machine (more: `unseen bench --help`)
	@$(BIN)/unseen bench kernels
	@$(BIN)/unseen bench protocols
	@$(BIN)/unseen bench transport
	@$(BIN)/unseen bench analyses

proto: setup ## regenerate engine/wire from proto/
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m grpc_tools.protoc -Iproto --python_out=. --grpc_python_out=. --mypy_out=. --mypy_grpc_out=. $(PROTOS)

wheels: setup ## dist/wheels: everything that a machine without internet needs to install a party
	@$(BIN)/python -m pip wheel --quiet --wheel-dir dist/wheels '.[party,postgres]'

sbom: setup ## dist/sbom.cdx.json: what a party's installation consists of (CycloneDX)
	@$(BIN)/python packaging/sbom.py dist/sbom.cdx.json

clean: ## remove what can be made again
	rm -rf $(VENV) build dist *.egg-info native/_kernels* native/.built
