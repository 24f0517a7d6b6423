# `make lab` opens the course, `make test` runs every check; each sets up all that it needs first.
# On Windows, which has no make, README.md gives the plain commands.

# The first Python here that the course runs on; or say which: make lab PYTHON=/path/to/python3.12
IT_FITS := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$python -c '$(IT_FITS)' 2>/dev/null && echo $$python && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
TESTS ?= tests notebooks
WORKERS ?= 2
TIME ?= 600

# Threads that wait must not spin: beside any other load they make torch 4 to 15 times slower.
export OMP_WAIT_POLICY := PASSIVE
export PATH := $(abspath $(BIN)):$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help lab test test-long fuzz notebooks site play slides bundle release format clean

help:
	@echo "make lab        set up, then open the course in JupyterLab"
	@echo "make test       set up, then run every check: style, unit tests, C, notebooks, browser"
	@echo "make test-long  what make test leaves out: long classes, a full room, ten minutes of fuzzing"
	@echo "make fuzz       try changed runs of run.c for TIME=600 seconds, with clang's libFuzzer"
	@echo "make notebooks  run every notebook anew and store its outputs"
	@echo "make site       build the site: notebooks to read, explorers that run, files to take; build/site"
	@echo "make play       build the pages that run our models without Python, in build/play"
	@echo "make slides     build the slides of each plan of a class, with the play page; build/slides"
	@echo "make bundle     fill build/bundle, for a USB stick in a room without a network"
	@echo "make release    train the models that come with the course anew (about an hour)"
	@echo "make format     bring the Python and C files and the notebooks into shape"
	@echo "make clean      remove the virtual environment and everything else that was made"
	@echo "Choose a Python with PYTHON=python3.12, another notebook with NOTEBOOK=03"

lab: $(VENV)/.course
	$(BIN)/python -m course_lib lab $(NOTEBOOK) -- $(LAB_FLAGS)

# One call of pytest for the unit tests and the notebooks, last, so that its closing line covers all.
# One thread for each worker: --dist loadscope keeps a notebook's cells on one of them.
test: export OMP_NUM_THREADS := 1
test: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/clang-format --dry-run --Werror course_lib/files/*.c tests/fuzz/*.c
	$(BIN)/python -m pytest $(TESTS) -n $(WORKERS) --dist loadscope --durations=10 \
		--nbval --nbval-current-env --nbval-cell-timeout=600 \
		--nbval-sanitize-with tests/nbval_sanitize.cfg

# One after the other: they measure how long something takes.
test-long: export OMP_NUM_THREADS := 1
test-long: $(VENV)/.dev
	$(BIN)/python -m pytest tests -m long -rP --durations=0

fuzz: $(VENV)/.dev
	$(BIN)/python -m tests.fuzz.fuzz build/fuzz $(TIME)

notebooks: $(VENV)/.dev
	$(BIN)/python -m tools.freeze_notebooks notebooks/*.ipynb

site: $(VENV)/.dev
	$(BIN)/python -m tools.build_site build/site

play: $(VENV)/.dev
	$(BIN)/python -m tools.build_page build/play

slides: play
	$(BIN)/python -m tools.build_slides build/slides $(if $(ROOM),--room '$(ROOM)')

bundle: $(VENV)/.dev
	$(BIN)/python -m tools.make_bundle build/bundle

release: $(VENV)/.dev
	rm -rf artifacts/release
	$(BIN)/python -m course_lib train --preset nano --budget full --align ppo --chatty --seed 1 --device cpu --out artifacts/release
	rm -rf course_lib/released
	$(BIN)/python -c "from course_lib.pipeline.release import publish; publish('artifacts/release', 'course_lib/released')"

format: $(VENV)/.dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/clang-format -i course_lib/files/*.c tests/fuzz/*.c

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps are older than these files where something new has to be installed.
$(VENV)/.course: pyproject.toml constraints.txt | $(BIN)/pip
	$(BIN)/python -m pip install -c constraints.txt -e ".[lab,classroom]"
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/pip
	$(BIN)/python -m pip install -c constraints.txt -e ".[lab,classroom,dev]"
	@touch $@ $(VENV)/.course

$(BIN)/pip:
	@test -n "$(PYTHON)" || { echo "The course needs Python 3.11 to 3.14, and finds none here."; \
		echo "Install one, or say where it is: make lab PYTHON=/path/to/python3.12"; exit 1; }
	@$(PYTHON) -c '$(IT_FITS)' || { echo "The course needs Python 3.11 to 3.14:"; \
		echo "$(PYTHON) is older, newer, or isn't there."; exit 1; }
	@echo "Making a virtual environment in $(VENV) and filling it: a few minutes, once."
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "$(PYTHON) can't make a virtual"; \
		echo "environment. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
