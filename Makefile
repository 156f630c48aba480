# Two commands: `make demo` and `make test`. Each does its own set-up on a fresh clone with Python 3.11+ and a POSIX shell.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: demo test test-all check bench sbom screenshots clean system

$(VENV)/.demo: pyproject.toml constraints.txt
	@$(MAKE) --no-print-directory $(BIN)/pip
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e '.[all]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt
	@$(MAKE) --no-print-directory $(BIN)/pip
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	$(BIN)/pip install -q --disable-pip-version-check --no-deps 'pysparkplug==0.6.1'  # asks for an older paho-mqtt than ours: tests only
	@touch $@ $(VENV)/.demo

$(BIN)/pip:
	$(PYTHON) -c 'import sys; sys.exit("qenergyz needs Python 3.11 or newer, found " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

demo: $(VENV)/.demo
	$(BIN)/qenergyz demo $(ARGS)

# A browser and a foreign MQTT broker come from Debian only; without root and apt the tests that need them are skipped and say so.
system:
	@for program in chromium mosquitto; do \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && ! PATH="$$PATH:/usr/sbin" command -v $$program >/dev/null; then \
	    (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$program) >/dev/null 2>&1 \
	    || echo "note: $$program could not be installed; tests that need it will be skipped"; fi; done

test: $(VENV)/.dev system
	$(BIN)/pytest -n auto --dist loadfile $(ARGS)

test-all: $(VENV)/.dev system
	$(BIN)/pytest -n auto --dist loadfile -m 'slow or not slow' $(ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

bench: $(VENV)/.dev
	@mkdir -p bench-out
	$(BIN)/python -m benchmarks.codec --json bench-out/codec.json
	$(BIN)/python -m benchmarks.edge --json bench-out/edge.json
	$(BIN)/python -m benchmarks.hub --json bench-out/hub.json
	$(BIN)/python -m benchmarks.kill --kills 20 --json bench-out/kill.json
	$(BIN)/python -m benchmarks.health --json bench-out/health.json
	$(BIN)/python -m benchmarks.risk --json bench-out/risk.json
	$(BIN)/python -m benchmarks.supply --json bench-out/supply.json
	$(BIN)/python -m benchmarks.reaction --json bench-out/reaction.json
	$(BIN)/python -m benchmarks.web --json bench-out/web.json
	$(BIN)/python -m benchmarks.cmapss --json bench-out/cmapss.json
	$(BIN)/python -m benchmarks.wells --json bench-out/wells.json
	$(BIN)/python -m benchmarks.tep --json bench-out/tep.json
	$(BIN)/python -m benchmarks.start --json bench-out/start.json
	$(BIN)/python -m benchmarks.atrest --json bench-out/atrest.json
	$(BIN)/python -m benchmarks.drain --json bench-out/drain.json
	$(BIN)/python -m benchmarks.flood --json bench-out/flood.json
	$(BIN)/python -m benchmarks.soak --json bench-out/soak.json

# What the product is made of, as CycloneDX, with every licence judged: fails on copyleft in the default install.
sbom: $(VENV)/.dev
	@mkdir -p build
	$(BIN)/python -m tests.licences --sbom build/sbom.cdx.json

# Pictures of every page from a running demonstration: every role, three widths, two languages, light and dark.
screenshots: $(VENV)/.dev system
	$(BIN)/python -m tests.cloud.web.screenshots screenshots $(ARGS)

clean:
	rm -rf $(VENV) bench-out demo-data demo.json
