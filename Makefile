# make demo: install the light package, find the heads in two example pictures.
# make test: install everything, check style, types, import order and generated docs, run the tests.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt

.PHONY: demo test check docs clean

demo: $(VENV)/light.done
	$(BIN)/passerby detect examples/pictures --to found
	@echo "Look at the pictures in found/"

test: $(VENV)/full.done check
	$(BIN)/python -m pytest -n 2 --ignore tests/browser
	$(BIN)/python -m pytest -n 2 tests/browser

check: $(VENV)/full.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/deptry .
	$(BIN)/python docs/generate.py --check

docs: $(VENV)/full.done
	$(BIN)/python docs/generate.py

$(VENV)/light.done: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) .
	@touch $@

$(VENV)/full.done: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) torch==2.13.0
	$(PIP) -e ".[train,measure,openvino,data,serve,video,tflite,dev]"
	@touch $@ $(VENV)/light.done

clean:
	rm -rf $(VENV) found
