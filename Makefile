# make quickstart   the environment, then two-stage training, evaluation and a short chat on the nano
# make test         the tests that take minutes; `make test-slow` runs the rest
# make check        lint, format, types
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
INSTALLED = $(VENV)/.installed

.PHONY: install quickstart test test-slow test-matrix test-lmms-eval check nano-base nano

install: $(INSTALLED)

# torch and torchvision are resolved together; a mismatched pair fails at import, so the import is tried at once.
$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "minigemini needs Python 3.10 or newer, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	@$(BIN)/python -c 'import torchvision' || { echo "torch and torchvision do not fit each other: remove $(VENV) and install both with one pip call" >&2; exit 1; }
	@touch $@

quickstart: install
	PATH="$(CURDIR)/$(BIN):$$PATH" train/two_stage.sh

test: install
	$(BIN)/python -m pytest -n 2 -m "not slow"

test-slow: install
	$(BIN)/python -m pytest -m slow

# The tests with the oldest transformers that pyproject.toml allows and with the newest release, each in an environment of its own.
test-matrix:
	for transformers in transformers==5.19.0 transformers; do \
	  $(PYTHON) -m venv --clear .venv-matrix && \
	  .venv-matrix/bin/pip install --quiet --disable-pip-version-check -e '.[dev]' $$transformers && \
	  .venv-matrix/bin/python -m pytest -n 2 -m "not slow" || exit 1; \
	done

# The model inside lmms-eval, in an environment of its own: its 140 packages are nobody else's.
LMMS_EVAL = .venv-lmms-eval
$(LMMS_EVAL)/.installed: pyproject.toml
	$(PYTHON) -m venv --clear $(LMMS_EVAL)
	$(LMMS_EVAL)/bin/pip install --quiet --disable-pip-version-check -e '.[lmms-eval]' lmms-eval==0.7.3 'pytest>=8'
	@$(LMMS_EVAL)/bin/python -c 'import torchvision' || { echo "torch and torchvision do not fit each other" >&2; exit 1; }
	@touch $@

test-lmms-eval: $(LMMS_EVAL)/.installed
	$(LMMS_EVAL)/bin/python -m pytest tests/lmms_eval

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Make the shipped weights anew, from nothing (see train/nano_base/README.md).
nano-base: install
	PATH="$(CURDIR)/$(BIN):$$PATH" train/nano_base/make.sh

nano: install
	PATH="$(CURDIR)/$(BIN):$$PATH" train/nano_base/ship.sh
