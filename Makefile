# For whoever has make: each command is that of tools/book.py, which stands in its place elsewhere.
#
# PYTHON         the Python to set up with; the one in .venv where there is one, else python3
# PORT           where `make serve` puts the book on this machine
# OUT            where `make sweep` puts its records; simplellm/results is what the book reads
# ONLY           the checks that `make test` is to run
# WRITE=1        `make models` writes the records anew, where it would compare them
# PACKAGES       the packages that `make survey` is to measure; all by default
# MODULES        the modules that `make mutants` is to change
# CHROMIUM       the browser of the browser tests; else the first one found on PATH
# TORCH_INDEX_URL  a package index for PyTorch alone (on Linux the default build brings CUDA, several
#                GB; the install page of PyTorch names the index of the CPU build)

ifdef PYTHON
START := $(PYTHON)
CHOSEN = --python "$$PYTHON"
export PYTHON
else
START := $(shell test -x .venv/bin/python && echo .venv/bin/python || echo python3)
endif
PORT ?= 8000
OUT ?= sweep-results
export FILE TITLE OUT PORT
BOOK = @command -v "$(START)" >/dev/null || { echo "$(START) was not found. Install Python 3.11 or newer, or name one you have: make ... PYTHON=python3.12"; exit 1; }; "$(START)" tools/book.py

.PHONY: help setup serve book lab chapter refresh restamp test sweep models survey bench mutants clean

help:
	$(BOOK) --make-help

setup book bench:
	$(BOOK) $@ $(CHOSEN)

serve:
	$(BOOK) serve $(CHOSEN) --port="$$PORT"

lab:
	$(BOOK) lab $(CHOSEN) $(LAB_ARGS)

chapter:
	$(BOOK) chapter $(CHOSEN) -- "$$FILE" "$$TITLE"

refresh restamp:
	$(BOOK) $@ $(CHOSEN) $(NB)

test:
	$(BOOK) test $(CHOSEN) $(ONLY)

sweep:
	$(BOOK) sweep $(CHOSEN) --out="$$OUT"

models:
	$(BOOK) $@ $(CHOSEN) $(if $(WRITE),--write)

survey:
	$(BOOK) survey $(CHOSEN) $(PACKAGES)

mutants:
	$(BOOK) mutants $(CHOSEN) $(MODULES)

clean:
	$(BOOK) clean
