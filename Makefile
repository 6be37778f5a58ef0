# make demo       from nothing to a recogniser that has read a formula: environment, pipeline, prediction
# make test       lint, types and all tests        make test-fast  the quick ones
# make bench      what measures speed              make lock       resolve the dependencies anew
.PHONY: env demo test test-fast lint format bench lock
SHELL := /bin/sh
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Nothing that runs here reports to anybody.
export DO_NOT_TRACK := 1
export MLFLOW_DISABLE_TELEMETRY := true
export GX_ANALYTICS_ENABLED := false

env:
	@./setup.sh

demo: env
	dvc repro
	python -m components predict --beam 3 --n-best 3 docs/sample.png docs/sample.inkml

test: lint
	python -m pytest -n 2 --dist loadgroup

test-fast: env
	python -m pytest -q -m "not slow" --ignore tests/integration

lint: env
	ruff check .
	ruff format --check .
	mypy

format: env
	ruff check --fix .
	ruff format .

bench: env
	python -m benchmarks.rasterize
	python -m benchmarks.training

lock: env
	uv pip compile pyproject.toml --extra train --extra dev --generate-hashes --python-version 3.11 \
	  --no-header --quiet --output-file requirements.lock
