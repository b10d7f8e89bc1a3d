# Two commands matter: `make demo` and `make test`. Both set up .venv from the pinned requirements first. After either, the README's
# commands are run as `.venv/bin/python -m zoo ...`, or as they stand once `source .venv/bin/activate` has been.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2
# The mark of a whole environment bears a checksum of what it was made of and where: one of other requirements, of an older checkout, moved
# along with its folder or left half-installed has another or none, and is made anew.
INSTALLED := $(VENV)/.installed-$(shell { cat requirements.txt constraints.txt; pwd; } | cksum | cut -d ' ' -f 1)
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: demo marks test quick lint clean

$(INSTALLED):
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) is missing: install it (Debian 12: apt-get install python3.11 python3.11-venv), or set PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "error: Python 3.11 is needed (tflite-runtime has no later build); set PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "error: the venv module is missing: apt-get install python3.11-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import ctypes; ctypes.CDLL("libGL.so.1")' 2>/dev/null || { echo "error: libGL.so.1 is missing: apt-get install libgl1" >&2; exit 1; }
	@$(PYTHON) -c 'import ctypes; ctypes.CDLL("libgthread-2.0.so.0")' 2>/dev/null || { echo "error: libgthread-2.0.so.0 is missing: apt-get install libglib2.0-0" >&2; exit 1; }
	@if [ -e $(VENV) ]; then echo "$(VENV) is of other requirements, of another place or not whole: it is made anew"; fi
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -c constraints.txt
	@touch $@
	@echo "$(VENV) is ready: run commands as $(BIN)/python -m zoo ..., or after: source $(BIN)/activate"

# The page that compares the shipped weights in a browser, offline; Ctrl-C ends it. Without a screen it only serves: open the address it prints.
demo: $(INSTALLED)
	$(BIN)/streamlit run demo/app.py $(if $(DISPLAY)$(WAYLAND_DISPLAY)$(filter Darwin,$(shell uname)),,--server.headless true)

# Sample pictures drawn by the project itself, marked by the shipped weights; then what those weights cost on this machine.
marks: $(INSTALLED)
	$(BIN)/python -m demo.samples out/samples
	$(BIN)/python -m zoo predict out/samples --out out/marked
	$(BIN)/python -m tflite benchmark mixed-035-128 --rounds 20

# The tests of the page in a browser need Debian's chromium; without it they are skipped and say so.
# What is timed runs after the rest, by itself; the rest shares the processors by files (WORKERS=1: one after another).
test: $(INSTALLED) lint
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "not timed"
	$(BIN)/python -m pytest -m timed

quick: $(INSTALLED)
	$(BIN)/python -m pytest -m "not slow"

lint: $(INSTALLED)
	$(BIN)/ruff check .

clean:
	rm -rf out .pytest_cache .ruff_cache .hypothesis
