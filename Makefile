# `make demo` shows the network at work; `make test` is the gate. Both set up what is missing.
BIN := .venv/bin
export PYTHONSAFEPATH := 1

.PHONY: help setup format lint types imports test simulate hot-path soak mutants fuzz faults
.PHONY: acceptance demo demo-negative destruction rebuild bench bench-long lock clean

help:            ## say what there is
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile

setup:           ## install what is missing
	@deploy/setup.sh

format: setup    ## write the source in its one format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: setup      ## format and style, checked
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: setup     ## mypy, strict
	$(BIN)/mypy

imports: setup   ## the layers and the pure core
	$(BIN)/lint-imports

# Three workers even on two cores: tests of real services wait for a good part of their time.
test: setup lint types imports   ## the gate, under ten minutes
	$(BIN)/pytest -m "not slow" -n 3

SEED := 1
COUNT := 1
simulate: setup  ## SEED (and COUNT of them) of the simulated country; SCENARIO names one
	PYTHONHASHSEED=0 PYTHONPATH=tests $(BIN)/python -m simulation $(SEED) --count $(COUNT) $(SCENARIO:%=--scenario %)

hot-path: setup  ## measures what a relay spends on a packet, and records it for the gate
	PYTHONPATH=tests $(BIN)/python -m hot_path

HOURS := 1
soak: setup      ## seeds of the simulated country for HOURS, as many as fit; table in build/soak.md
	PYTHONHASHSEED=0 PYTHONPATH=tests $(BIN)/python -m simulation.soak $(HOURS)

mutants: setup   ## plants known faults one by one, and has seeds find each
	PYTHONPATH=tests $(BIN)/python -m simulation.mutants

MINUTES := 4
fuzz: setup      ## hostile input for MINUTES, two processes at a time; the table is build/fuzz.txt
	PYTHONPATH=tests $(BIN)/python -m fuzz --minutes $(MINUTES)

faults: COUNT := 1000
faults: HOURS := 2
faults: setup    ## COUNT real faults on real components, in HOURS at most, by SEED; table in build/faults.md
	PYTHONPATH=tests $(BIN)/python -m faults --count $(COUNT) --hours $(HOURS) --seed $(SEED)

acceptance: test ## everything, under an hour
	@deploy/setup.sh acceptance
	$(BIN)/pytest -m slow
	$(MAKE) demo demo-negative

demo: setup      ## five tiers, end to end, with faults, judged
	$(BIN)/bbaj demo

demo-negative: setup   ## shows that the judgement can fail
	$(BIN)/bbaj demo-negative

destruction: setup   ## destroys under an act, and searches everywhere before and after
	$(BIN)/pytest -m slow tests/archive/test_destruction_story.py

rebuild: setup   ## deletes the republic's database, rebuilds it from the tiers, names every gap
	$(BIN)/pytest -m slow -v tests/nodes/test_cli_rebuild.py

bench: setup     ## all figures with their goals and verdicts, beside rivals
	$(BIN)/bbaj bench all --rivals build/rivals

bench-long: setup   ## the same with 5 million packets in the archive
	$(BIN)/bbaj bench all --rivals build/rivals --long

COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-annotate --custom-compile-command "make lock" pyproject.toml

lock: setup      ## write requirements.lock anew, and the part of it that runs in the image
	$(COMPILE) --group dev --extra pkcs11 --output-file requirements.lock
	$(COMPILE) --constraint requirements.lock --output-file deploy/requirements.lock

clean:           ## remove what setup and runs made
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache *.egg-info
