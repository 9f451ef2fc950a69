# Each target sets up .venv first where it needs it; see scripts/setup.py. ARGS is passed on: make learn ARGS=--no-browser
PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11 python,$(shell command -v $(name) 2>/dev/null)))
BIN := .venv/bin

.PHONY: setup learn test notebooks site lint audit

setup:
	@test -n "$(PYTHON)" || { echo "error: expected Python 3.11 to 3.13 on PATH; got none; install it, then run make again" >&2; exit 2; }
	@"$(PYTHON)" scripts/setup.py

learn: setup
	@$(BIN)/tl-course learn -- $(ARGS)

test: setup
	@$(BIN)/python scripts/run_tests.py

notebooks: setup
	@$(BIN)/tl-course notebooks

site: setup
	@$(BIN)/python scripts/build_site.py

lint: setup
	@$(BIN)/python scripts/run_tests.py lint format types

audit: setup
	@$(BIN)/tl-course audit --record --jobs 2
