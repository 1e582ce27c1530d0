# The public verbs, one line each. Every target sets up what it needs (`.venv` included).
PYTHON ?= python3
VENV   := .venv
RUN    := $(VENV)/bin/python pipeline.py
# idle OpenMP workers spin, which on a busy machine costs several times the work itself
export OMP_WAIT_POLICY ?= PASSIVE

GPU_FLAG := $(if $(GPU),--gpu)
OUT_FLAG := $(if $(OUT),--out $(OUT))
ENGINE_FLAG := $(if $(ENGINE),--engine $(ENGINE))
FILES := $(if $(PROTOTXT),--prototxt $(PROTOTXT)) $(if $(CAFFEMODEL),--caffemodel $(CAFFEMODEL)) $(if $(NAME),--name $(NAME))

.DEFAULT_GOAL := help
.PHONY: help setup convert validate artifacts image base test lint bench doctor

help: ## show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  \1\t/' | expand -t 14

setup: $(VENV)/.ready ## make the virtual environment

$(VENV)/.ready: requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Decant needs Python 3.11 or later; say which with PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet -r requirements.txt
	$(VENV)/bin/python -m pip install --quiet --no-deps --editable .
	touch $@

$(VENV)/.ready-dev: $(VENV)/.ready requirements-dev.txt
	$(VENV)/bin/python -m pip install --quiet -r requirements-dev.txt
	touch $@

convert: $(VENV)/.ready ## convert a model: MODEL=googlenet_places365 [GPU=1] [ENGINE=auto|caffe|reader] [PROTOTXT=... CAFFEMODEL=...] [OUT=...] [ARGS=...]
	@$(RUN) convert $(MODEL) $(FILES) $(ENGINE_FLAG) $(GPU_FLAG) $(OUT_FLAG) $(ARGS)

validate: $(VENV)/.ready ## check artifacts again: [MODEL=...] [DATA=folder of labelled pictures] [GPU=1] [ENGINE=caffe]
	@$(RUN) validate $(MODEL) $(if $(DATA),--data $(DATA)) $(ENGINE_FLAG) $(GPU_FLAG) $(OUT_FLAG) $(ARGS)

artifacts: $(VENV)/.ready ## convert every model whose weights can be had, and write SHA256SUMS
	@$(RUN) artifacts $(ENGINE_FLAG) $(OUT_FLAG) $(ARGS)

image: $(VENV)/.ready ## build the Caffe image: [BASE=image to build on]
	@$(RUN) image $(if $(BASE),--base $(BASE)) $(ARGS)

base: ## make the base image decant-base:bullseye where no container registry is reachable (root, mmdebstrap)
	docker/base.sh

doctor: $(VENV)/.ready ## say what this machine can do and what it lacks
	@$(RUN) doctor $(GPU_FLAG) $(ARGS)

test: $(VENV)/.ready-dev ## run every test that this machine allows
	$(VENV)/bin/python -m pytest $(ARGS)

lint: $(VENV)/.ready-dev ## formatting, lint, types, spelling
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/codespell

bench: $(VENV)/.ready-dev ## measure speed and memory, as ratios in one run
	$(VENV)/bin/python -m bench $(ARGS)
