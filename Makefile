# Everything a reader, a teacher or a contributor types. What is done stands in tools/.
#
# PYTHON         the Python to set up with; the one in .venv where there is one, else python3
# PORT           where `make serve` puts the book on this machine
# OUT            where `make sweep` puts its records; simplellm/results is what the book reads
# CHROMIUM       the browser of the browser tests; else the first one found on PATH
# TORCH_INDEX_URL  a package index for PyTorch alone (on Linux the default build brings CUDA, several
#                GB; the install page of PyTorch names the index of the CPU build)

ifndef PYTHON
PYTHON := $(shell test -x .venv/bin/python && echo .venv/bin/python || echo python3)
endif
PORT ?= 8000
OUT ?= sweep-results
VENV := .venv/bin/python
NEED_PYTHON = command -v "$(PYTHON)" >/dev/null || { echo "$(PYTHON) was not found. Install Python 3.11 or newer, or name one you have: make ... PYTHON=python3.12"; exit 1; }; "$(PYTHON)" tools/python_version.py

.PHONY: help setup serve book lab chapter refresh test sweep bench clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "  PYTHON=  CHROMIUM=  TORCH_INDEX_URL=  choose what to use: see the top of the Makefile"

setup: ## Make or update .venv with everything in it (the others do this themselves)
	@$(NEED_PYTHON)
	@"$(PYTHON)" tools/setup_env.py

serve: ## Read the book: build it and serve it on this machine (PORT=8000)
	@$(NEED_PYTHON)
	@"$(PYTHON)" tools/serve.py --check "$(PORT)"
	@$(MAKE) --no-print-directory book
	@$(VENV) tools/serve.py "$(PORT)"

book: setup ## Build the site into _build/html from the committed outputs
	@$(VENV) tools/build_book.py

lab: setup ## Open the chapters in JupyterLab
	@$(VENV) -m jupyterlab chapters $(LAB_ARGS)

chapter: setup ## Start a chapter: FILE=13_my_topic TITLE="My topic"
	@$(VENV) tools/new_chapter.py "$$FILE" "$$TITLE"

refresh: setup ## Re-execute and rewrite all chapters (or NB="chapters/a.ipynb ...")
	@$(VENV) tools/refresh.py $(NB)
	@$(VENV) tools/measure_chapters.py $(NB)

test: setup ## Run every check, and say at the end which failed (ONLY=unit,browser for some)
	@$(VENV) tools/run_tests.py $(ONLY)

sweep: setup ## Train the book's experiments again into OUT=sweep-results; a second call resumes
	@$(VENV) -m simplellm.sweep run --out "$(OUT)"

bench: setup ## Measure speed (reported, never asserted)
	@$(VENV) tools/run_benchmarks.py

clean: ## Remove what was built; .venv stays (remove it with rm -r .venv)
	rm -rf _build build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find . -path ./.venv -prune -o '(' -name __pycache__ -o -name .ruff_cache -o -name .ipynb_checkpoints ')' -prune -exec rm -rf {} +
