# Needs Python 3.11, 3.12 or 3.13 and make; everything else is installed into .venv.
VENV := .venv
BIN := $(VENV)/bin
# The first interpreter that runs and is of a supported version; or name one: make run PYTHON=python3.12
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && { echo $$p; break; }; done)
INSTALLED := $(VENV)/.installed
ARGS ?=
# For Linux that of PyPI is for GPUs, with gigabytes of CUDA; pytorch.org tells what to name for one of the CPU alone.
TORCH ?= torch==2.13.0

.PHONY: run test slow-test test-all services-test torch check audit format docs docs-serve bench lock clean

run: $(INSTALLED)  ## train the baseline: make run ARGS="model.dropout=0.5"
	$(BIN)/python -m mnist_exp.run $(ARGS)

test: $(INSTALLED)  ## the default tests, some minutes
	$(BIN)/python -m pytest $(ARGS)

slow-test: $(INSTALLED)  ## those that take minutes each, and need no GPU and no servers
	$(BIN)/python -m pytest -m "slow and not gpu and not services" $(ARGS)

test-all: test slow-test  ## both

# PostgreSQL and the like are the system's: what a test misses, it says, as `apt-get install postgresql`.
services-test: $(INSTALLED)  ## those that start servers of their own: PostgreSQL, MLflow, Ray, Slurm
	$(BIN)/python -m pytest -m services -rs $(ARGS)

# Not in requirements.lock, which has no builds of other indexes.
torch: $(INSTALLED)  ## PyTorch for trainer.backend=torch, on the CPU; its tests are skipped without
	@$(BIN)/python -c "import torch" 2>/dev/null || timeout 600 $(BIN)/python -m pip install --quiet \
		--disable-pip-version-check --timeout 20 --retries 1 $(TORCH) || \
		echo "PyTorch could not be installed: tests of trainer.backend=torch are skipped" >&2

check: $(INSTALLED)  ## style, types and the floors of the packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

audit: $(VENV)/audit  ## known vulnerabilities in what requirements.lock names; asks PyPI
	@# Strict: a package that could not be looked up must not pass for a sound one.
	$(VENV)/audit/bin/pip-audit --strict --disable-pip --progress-spinner off --requirement requirements.lock

# In an environment of its own, so that nothing it needs changes what is tested.
$(VENV)/audit: $(INSTALLED)
	$(BIN)/python -m venv $@
	$@/bin/pip install --quiet --disable-pip-version-check "pip-audit>=2.10,<3" || { rm -rf $@; exit 1; }

format: $(INSTALLED)  ## mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The tutorials train small networks; one that has not changed since the last build is not run again.
docs: $(INSTALLED)  ## the site, into docs/_build; a warning is an error
	$(BIN)/python -m sphinx --jobs 2 --fail-on-warning --keep-going --quiet $(ARGS) docs docs/_build
	@echo "docs/_build/index.html; make docs-serve shows it"

docs-serve: docs  ## the site, at http://127.0.0.1:8000; its search needs a server
	$(BIN)/python -m http.server --bind 127.0.0.1 --directory docs/_build $(or $(PORT),8000)

bench: $(VENV)/peers/.installed  ## the package against its peers, about 45 minutes; one row: make bench ARGS=run-1
	$(BIN)/python benchmarks/bench.py $(ARGS)

# In a folder that only the peers' programs look into, so that nothing they need changes what is tested. Without them the
# table has the programs that need nothing else.
$(VENV)/peers/.installed: $(INSTALLED) benchmarks/peers/requirements.txt
	@rm -rf $(VENV)/peers
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target $(VENV)/peers \
		--requirement benchmarks/peers/requirements.txt && touch $@ || \
		echo "the peers could not be installed: what needs them is left out" >&2

lock:  ## renew requirements.lock; needs uv
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-annotate --upgrade \
		--custom-compile-command "make lock" pyproject.toml --extra export --extra ray --extra slurm --extra postgresql --extra server --extra jax --group dev --output-file requirements.lock

$(INSTALLED): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "no Python 3.11, 3.12 or 3.13 found; name one: make run PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

clean:  ## remove what was installed and cached, not what was recorded
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis docs/_build docs/generated
