# Each target sets up what it needs: a virtual environment in .venv with the exact versions of requirements.lock.

VENV := .venv
STAMP := $(VENV)/.installed
RUN := $(VENV)/bin/python

# A job and the tests start dozens of processes: what one of them compiles, the next should find.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo up test check docs bench clean

help:            ## This list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ —/'

demo: $(STAMP)   ## The main job on real input: fine-tunes a tiny model, prints base against tuned (MODEL=hf://owner/name for another)
	@$(RUN) -m deployments demo $(if $(MODEL),--model "$(MODEL)")

up: $(STAMP)     ## The whole service on this machine, in the foreground; Ctrl-C stops it
	@$(RUN) -m deployments up

test: $(STAMP)   ## All tests that need no GPU and no internet
	@$(RUN) -m pytest

check: $(STAMP)  ## Format, lint, types, import contracts, generated documents
	@$(VENV)/bin/ruff format --check . && $(VENV)/bin/ruff check . && $(VENV)/bin/mypy && $(VENV)/bin/lint-imports && $(RUN) docs/generate.py --check

bench: $(STAMP)  ## The measurements of bench/README.md, one after the other
	@for each in command_line api_answers service events checkpoint_stall resume validate_1gb prepare training; do echo "$$each:"; $(RUN) -m bench.$$each || exit 1; done

docs: $(STAMP)   ## Write the generated references again
	@$(RUN) docs/generate.py

clean:           ## Remove the environment and the demo's state
	rm -rf $(VENV) .demo

$(STAMP): requirements.lock pyproject.toml
	@sh deployments/setup.sh $(VENV)
	@touch $@
