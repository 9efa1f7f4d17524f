# Every verb sets up what it needs; `make` alone explains them.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
STUDIES := $(sort $(subst _,-,$(basename $(notdir $(filter-out %/__init__.py,$(wildcard research/studies/*.py)))) \
             $(notdir $(patsubst %/__init__.py,%,$(wildcard research/studies/*/__init__.py)))))
# flags for the study behind the verb: make run-ae FLAGS="--preset full --train.epochs 50"
FLAGS ?=

.PHONY: help setup test test-long test-service check bench bench-full ui studies full results gallery api lock clean

help:
	@echo "make report-STUDY    builds paper/STUDY.pdf; trains first if there is no finished run"
	@echo "make final-STUDY     the same to hand in: refuses, with all reasons, while anything is amiss"
	@echo "make anonymous-STUDY builds paper/STUDY-anonymous.pdf, which names no author or machine"
	@echo "make run-STUDY       trains and measures anew      (FLAGS=\"--preset full --train.epochs 50\")"
	@echo "make redraw-STUDY    draws the figures again from stored results, without training"
	@echo "make studies         lists the studies, their newest runs and whether the PDFs are up to date"
	@echo "make ui              shows the runs in MLflow at http://127.0.0.1:5000"
	@echo "make test            runs the tests, offline, in some six minutes"
	@echo "make test-long       runs those that take longer: studies under other settings, kills, races"
	@echo "make test-service    runs the tests that start SLURM, PostgreSQL or an MLflow server"
	@echo "make check           ruff, mypy --strict and the import contracts"
	@echo "make bench           measures each speed against its peer once, in six minutes"
	@echo "make bench-full      the same in many turns, which takes half an hour"
	@echo "make full            runs every study in full, on a CPU at the size that docs/full.toml tells"
	@echo "make results         writes docs/results.md: the sources' numbers beside those of the full runs"
	@echo "make gallery         writes docs/gallery.md: pictures of the built papers"
	@echo "make api             writes docs/api.md from the docstrings"
	@echo "make setup           creates .venv from the hash-pinned requirements.lock"
	@echo "make lock            renews requirements.lock from pyproject.toml"
	@echo "make clean           removes .venv and caches; runs, data and papers stay"
	@echo
	@echo "studies: $(STUDIES)"

setup: $(READY)

# what pip cannot install is looked at first: Python, venv, and Pango for the goals that build PDFs
DRAWING := $(if $(filter setup test test-long report-% final-% anonymous-%,$(MAKECMDGOALS)),--pdf)

# uv itself comes from the same lock, checked against the same hashes; modules are compiled here
# once, or each process would do it anew where PYTHONDONTWRITEBYTECODE is set: ten seconds a start
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || \
	  { echo "Python 3.11 to 3.13 is required, got $$($(PYTHON) --version 2>/dev/null || echo no $(PYTHON)): make PYTHON=python3.12 …" >&2; exit 2; }
	@$(PYTHON) -I research/machine/libraries.py $(DRAWING)
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > $(VENV)/uv.lock
	@$(BIN)/python -m pip install --quiet --require-hashes -r $(VENV)/uv.lock
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes \
	  -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

report-%: $(READY)
	@$(BIN)/research report $* $(FLAGS)

final-%: $(READY)
	@$(BIN)/research report $* --final $(FLAGS)

anonymous-%: $(READY)
	@$(BIN)/research report $* --anonymous $(FLAGS)

run-%: $(READY)
	@$(BIN)/research run $* $(FLAGS)

redraw-%: $(READY)
	@$(BIN)/research redraw $* $(FLAGS)

studies: $(READY)
	@$(BIN)/research studies

ui: $(READY)
	@$(BIN)/research ui $(FLAGS)

# many tests start processes, which find what the first has compiled
PYTEST := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q
test: $(READY)
	@$(PYTEST) -n 2 --dist loadfile -m "not service and not long" $(FLAGS)

# studies under other settings (a single seed, given weights, a dead network), batches, races, kills
test-long: $(READY)
	@$(PYTEST) -n 2 --dist loadfile -m long $(FLAGS)

# what needs SLURM, PostgreSQL and the like, which the tests start; each is skipped where it is missing
test-service: $(READY)
	@$(PYTEST) -m service $(FLAGS)

check: $(READY)
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo --no-cache

bench: $(READY)
	@OMP_NUM_THREADS=1 $(BIN)/python -m tests.bench.suite $(FLAGS)

bench-full: $(READY)
	@for bench in train threads workers adversarial deconvnet distances occlusion; do \
	  $(BIN)/python -m tests.bench.$$bench || exit 1; done

full: $(READY)
	@$(BIN)/python docs/full.py $(FLAGS)

results: $(READY)
	@$(BIN)/python docs/results.py $(FLAGS)

gallery: $(READY)
	@$(BIN)/python docs/gallery.py $(FLAGS)

api: $(READY)
	@$(BIN)/python docs/api.py

lock: $(READY)
	@$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-annotate --quiet --upgrade -o requirements.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache *.egg-info
