# make demo       from nothing to a recognizer that has read a formula: environment, pipeline, prediction
# make test       lint, types and tests            make test-fast  the quick ones, in half a minute
# make test-all   and those that install Docker Engine, or take minutes for little
# make serve      the service with the champion, or the shipped model until there is one, on port 3000 (PORT)
# make serve-champion   the champion, switching without downtime     make schedule   retraining on schedule and events
# make bench      what measures speed              make docs       the documentation, in reports/docs
# make lock       resolve the dependencies anew
.PHONY: env env-serve docs wheel demo serve serve-champion schedule test test-fast test-all fuzz lint format bench screenshots lock
SHELL := /bin/sh
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Nothing that runs here reports to anybody.
export DO_NOT_TRACK := 1
export MLFLOW_DISABLE_TELEMETRY := true
export GX_ANALYTICS_ENABLED := false
export ORT_DISABLE_TELEMETRY := 1
export BENTOML_DO_NOT_TRACK := true
# Compiled modules are kept, whatever the machine says: without them each of a pipeline's processes compiles
# PyTorch anew, which takes seven seconds.
unexport PYTHONDONTWRITEBYTECODE

env:
	@./setup.sh

env-serve:
	@./setup.sh serve

# The bundled model reads the samples first; then the pipeline trains one of its own, which reads them too.
demo: env
	python -m components predict --n-best 3 docs/sample.png docs/sample.inkml
	dvc repro
	python -m components predict --model data/bundle --n-best 3 docs/sample.png docs/sample.inkml

# With a registry in this folder or MLFLOW_TRACKING_URI: its champion, for which `make env` must have been run.
serve: env-serve
	exec .venv-serve/bin/python -m components serve --port $${PORT:-3000} --host $${HOST:-127.0.0.1}

wheel: env-serve
	.uv/bin/uv build --quiet --wheel --out-dir dist
	@ls dist/*.whl

serve-champion: env env-serve
	@./setup.sh packages haproxy
	python -m flows serve-champion

schedule: env env-serve
	python -m flows schedule

# Fixtures are made once a file; threads of two tests that wait for each other must not take the cores.
PYTEST := OMP_WAIT_POLICY=PASSIVE python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test: lint env-serve
	@./setup.sh packages redis-server haproxy chromium
	$(PYTEST)

# Coverage only here: to follow lines makes the unit tests take twice as long.
test-all: lint env-serve
	@./setup.sh packages redis-server haproxy chromium postgresql
	$(PYTEST) -m "" --cov --cov-report=html:reports/coverage

test-fast: env
	$(PYTEST) -q -m "unit and not slow" --ignore tests/integration

lint: env
	ruff check .
	ruff format --check .
	mypy

fuzz: env
	python -m tests.fuzz

format: env
	ruff check --fix .
	ruff format .

bench: env env-serve
	python -m benchmarks.rasterize
	python -m benchmarks.training
	python -m benchmarks.reading
	python -m benchmarks.serving
	python -m benchmarks.orchestration
	@./setup.sh packages chromium
	python -m benchmarks.page

# Of a service that runs (AUTH=off RATE_LIMITS=off make serve): pictures of its pages, in reports/page.
screenshots: env
	@./setup.sh packages chromium
	python -m tests.screenshots --address http://127.0.0.1:$${PORT:-3000}

# The site in reports/docs. Mermaid comes from the npm registry; without npm, diagrams stay text.
docs:
	@./setup.sh docs
	@[ -s docs/javascripts/mermaid.min.js ] || ./setup.sh mermaid
	NO_MKDOCS_2_WARNING=1 DISABLE_MKDOCS_2_WARNING=true PYTHONPATH=$(CURDIR) .venv-docs/bin/mkdocs build --strict --quiet
	@echo "reports/docs/index.html"

lock: env
	.uv/bin/uv pip compile pyproject.toml --extra train --extra serve --extra dev --generate-hashes \
	  --universal --python-version 3.11 --no-header --quiet --output-file requirements.lock
	.uv/bin/uv pip compile pyproject.toml --extra serve --constraint requirements.lock --generate-hashes \
	  --universal --python-version 3.11 --no-header --no-annotate --quiet --output-file requirements-serve.lock
	.uv/bin/uv pip compile pyproject.toml --extra serve --extra docs --constraint requirements.lock --generate-hashes \
	  --universal --python-version 3.11 --no-header --no-annotate --quiet --output-file requirements-docs.lock
