# `make demo` and `make test` need nothing but Python 3.11 or newer, make, and a network the first time.
.DEFAULT_GOAL := help
.PHONY: help venv demo page test test-more test-extras test-cuda test-slurm test-browser docs docs-serve lab export clean-nbs readme lint hooks unhooks
MAKEFLAGS += --no-print-directory

# The environment is up to date when the file below exists. Its name holds a checksum of the four set-up files and of this
# folder's path, not their times, which `git clone` and `git checkout` set as they like: no change, no pip, no network.
STAMP  := .venv/set-up-$(shell (cat settings.ini setup.py pyproject.toml constraints.txt; pwd) | cksum | cut -d' ' -f1)
VENV   := .venv/bin
PYTHON ?=
PYTHONS = $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11 python)
WORKERS ?= 2
PORT ?= 8000

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | while IFS="$$(printf '\t')" read -r t d; do printf '  make %-12s %s\n' "$$t" "$$d"; done

venv: $(STAMP) ## make or update .venv (the others do it when they need it; PYTHON=... picks the interpreter)
	@echo ".venv is ready."

$(STAMP):
	@python=; for p in $(PYTHONS); do \
	  if $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$p; break; fi; done; \
	if [ -z "$$python" ]; then \
	  echo "ddpm_edu needs Python 3.11 or newer, and none was found as: $(PYTHONS). Install one, or name it: make venv PYTHON=/path/to/python3.12" >&2; \
	  exit 1; fi; \
	if [ -f .venv/made-in ] && [ "$$(cat .venv/made-in)" != "$$(pwd)" ]; then rm -rf .venv; fi; \
	echo "Setting up .venv with $$python: a few minutes, once." && \
	$$python -m venv .venv && pwd > .venv/made-in
	$(VENV)/python -m pip install --disable-pip-version-check -c constraints.txt --config-settings editable_mode=compat -e '.[dev]'
	@rm -f .venv/set-up-* && touch $@

demo: $(STAMP) ## train on digits for a few minutes and draw some into outputs/demo (FAST=1: under a minute, rougher)
	$(VENV)/python -m ddpm_edu.using.demo --out outputs/demo $(if $(filter-out 0 no false,$(FAST)),--fast)

page: $(STAMP) ## write outputs/live.html and outputs/points.html, where models draw in a browser (each is complete: no server, no network)
	@$(VENV)/python tools/page.py outputs

test: $(STAMP) ## notebooks and library in sync? then the linter, every notebook, and the tests
	@$(VENV)/python tests/in_sync.py
	@$(MAKE) lint
	@echo "Running every notebook (workers: $(WORKERS)); seconds each:"
	@OMP_NUM_THREADS=1 $(VENV)/nbdev-test --n-workers $(WORKERS) --timing
	@OMP_NUM_THREADS=1 $(VENV)/python -m pytest

test-more: $(STAMP) ## what takes longer: hostile files, processes that are killed, 1,500 wrong arguments
	@OMP_NUM_THREADS=1 $(VENV)/python -m pytest -m more

test-extras: $(STAMP) ## each optional dependency in an environment of its own, in .extras/ (4 GB)
	@$(VENV)/python tests/extras/run.py

test-cuda: $(STAMP) ## a GPU computes what the CPU computes; skipped where there is none
	@$(VENV)/python -m pytest tests/cuda

test-slurm: $(STAMP) ## a job that is started again, in a real Slurm on this machine (as root; Debian: slurm-wlm munge)
	@$(VENV)/python -m pytest tests/slurm/one_node.py

test-browser: $(STAMP)-docs ## in Chromium: guided digits in JupyterLab, by the keyboard; every page of the site; the pages where models draw (installs the helpers if absent)
	@$(VENV)/python tests/browser/ready.py
	@$(VENV)/python -m pytest tests/browser/slider.py tests/browser/crawl.py tests/browser/live.py

$(STAMP)-docs: $(STAMP)
	$(VENV)/python -m pip install --disable-pip-version-check -c constraints.txt --config-settings editable_mode=compat -e '.[docs]'
	@touch $@

docs: $(STAMP)-docs ## all chapters as a site to read, in _site/; a dead link is an error
	@$(VENV)/python tools/make_site.py

docs-serve: $(STAMP)-docs ## the same, served on this machine (PORT=8000)
	@$(VENV)/python tools/make_site.py --serve $(PORT)

lab: $(STAMP) ## JupyterLab, opened on the cover
	$(VENV)/python -m jupyterlab $(if $(filter 0,$(shell id -u)),--allow-root) --ServerApp.root_dir=. --LabApp.default_url=/lab/tree/nbs/index.ipynb

export: $(STAMP) ## write the library, its doors, stubs and scripts from the notebooks; fold, link and clean the notebooks
	$(VENV)/nbdev-export
	@$(VENV)/python tools/doors.py
	@$(VENV)/python tools/stubs.py
	@$(VENV)/python tools/pages.py
	@$(VENV)/python tools/pictures.py
	@$(VENV)/python tools/scripts.py
	@$(VENV)/python tools/configs.py
	@$(MAKE) clean-nbs

clean-nbs: $(STAMP) ## strip counts and metadata from the notebooks (outputs stay)
	$(VENV)/nbdev-clean

readme: $(STAMP) ## render README.md from nbs/index.ipynb
	$(VENV)/python tools/readme.py

lint: $(STAMP) ## ruff, and the types by mypy
	@$(VENV)/python -m ruff check
	@$(VENV)/python tools/check_types.py

hooks: ## opt in to merging notebooks cell by cell (only this clone's git settings change; see .gitconfig)
	@git config --local --get-all include.path '^\.\./\.gitconfig$$' >/dev/null || git config --local --add include.path ../.gitconfig
	@echo "On: git merges notebooks cell by cell in this clone. Off again: make unhooks"

unhooks: ## undo `make hooks`
	@! git config --local --get-all include.path '^\.\./\.gitconfig$$' >/dev/null || git config --local --unset-all include.path '^\.\./\.gitconfig$$'
	@echo "Off: git merges notebooks as plain text in this clone."
