# The public verbs, one line each. Every target sets up what it needs (`.venv` included).
PYTHON ?= python3
VENV   := .venv
RUN    := $(VENV)/bin/python pipeline.py
# idle OpenMP workers spin, which on a busy machine costs several times the work itself
export OMP_WAIT_POLICY ?= PASSIVE

# from the command line only: some systems have a variable of this name
NAME :=

# one word for the shell, whatever is in it; nothing for nothing
quoted = $(if $1,'$(subst ','\'',$(call home,$1))')
# in quotes the shell does not know it any more
home   = $(if $(filter ~/%,$(firstword $1)),$(patsubst ~/%,$(HOME)/%,$1),$1)
option = $(if $2,$1 $(call quoted,$2))

# a worker for each core (tests/conftest.py says who gets what); ARGS='-n 0' for none
SIDE_BY_SIDE := -n auto

GPU_FLAG := $(if $(GPU),--gpu)
OUT_FLAG := $(call option,--out,$(OUT))
ENGINE_FLAG := $(call option,--engine,$(ENGINE))
FILES := $(call option,--prototxt,$(PROTOTXT)) $(call option,--caffemodel,$(CAFFEMODEL)) $(call option,--name,$(NAME))

.DEFAULT_GOAL := help
.PHONY: help setup convert validate artifacts image base test test-fast lint bench doctor

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 14

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

convert: $(VENV)/.ready ## convert a model: MODEL=googlenet_places365 [GPU=1] [ENGINE=auto|caffe|reader] [PROTOTXT=... CAFFEMODEL=... NAME=...] [OUT=...] [ARGS=...]
	@$(RUN) convert $(call quoted,$(MODEL)) $(FILES) $(ENGINE_FLAG) $(GPU_FLAG) $(OUT_FLAG) $(ARGS)

validate: $(VENV)/.ready ## check artifacts again: [MODEL=...] [DATA=folder of labelled pictures] [GPU=1] [ENGINE=caffe]
	@$(RUN) validate $(call quoted,$(MODEL)) $(call option,--data,$(DATA)) $(ENGINE_FLAG) $(GPU_FLAG) $(OUT_FLAG) $(ARGS)

artifacts: $(VENV)/.ready ## convert every model whose weights can be downloaded, and write SHA256SUMS
	@$(RUN) artifacts $(ENGINE_FLAG) $(OUT_FLAG) $(ARGS)

image: $(VENV)/.ready ## build the Caffe image: [BASE=image to build on]
	@$(RUN) image $(call option,--base,$(BASE)) $(ARGS)

base: ## make the base image decant-base:bullseye where no container registry is reachable (root, mmdebstrap)
	docker/base.sh

doctor: $(VENV)/.ready ## say what this machine can do and what it lacks
	@$(RUN) doctor $(GPU_FLAG) $(ARGS)

test: $(VENV)/.ready-dev ## run every test that this machine allows
	$(VENV)/bin/python -m pytest $(SIDE_BY_SIDE) $(ARGS)

test-fast: $(VENV)/.ready-dev ## run what needs no engine and takes seconds, in under two minutes
	$(VENV)/bin/python -m pytest $(SIDE_BY_SIDE) -m "not slow and not container" $(ARGS)

lint: $(VENV)/.ready-dev ## formatting, lint, arrows, types, spelling
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports --no-logo --no-cache
	$(VENV)/bin/mypy
	$(VENV)/bin/codespell

bench: $(VENV)/.ready-dev ## measure speed and memory, as ratios in one run: [ARGS=reader]
	$(VENV)/bin/python -m bench $(ARGS)
