# make demo   set-up, then the main job, both ways, on the embedded default (SQLite, no server, no root)
# make test   set-up with Debian packages, then every test against real servers, four at a time: they mostly wait
# make check  the quick one: style, types, architecture, unit tests (under a minute)
# make bench  figures as ratios in one run
.PHONY: demo test check bench torture contention soak faults memory hostile fuzz lock clean

demo:
	@sh scripts/setup.sh run
	@.venv/bin/hub demo

test:
	@sh scripts/setup.sh packages dev
	@$(MAKE) --no-print-directory _style
	.venv/bin/pytest -q -n 4 --dist loadfile --no-loadscope-reorder

check:
	@sh scripts/setup.sh dev
	@$(MAKE) --no-print-directory _style
	.venv/bin/pytest -q -x -n 2 tests/unit

.PHONY: _style
_style:
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

bench:
	@sh scripts/setup.sh packages measures dev
	.venv/bin/python -m bench

# Long campaigns, each with its own ledger and exit code 1 when something does not balance (docs/torture.md).
#   make torture     1,000 messages for each pair of database and broker, with kill -9 at every commit point
#   make contention  SQLite with 8 workers and readers for ten minutes: no lock error surfaces
#   make soak        half an hour at full speed with kills: memory and descriptors stay flat
#   make faults      a service behind a mailbox server that breaks in every way, for ten minutes
#   make hostile     every hostile mail of the generator through the reader's child (some 550)
#   make memory      10,000 messages and 20 of 25 MB at once: every process under 300 MB
#   make fuzz        ten minutes of atheris each on MIME, XDM and CDA headers
torture contention soak faults:
	@sh scripts/setup.sh packages dev
	.venv/bin/python -m bench.$@

memory:
	@sh scripts/setup.sh packages dev
	HUB_MEMORY=whole .venv/bin/pytest -q -s tests/trips/test_memory.py

hostile:
	@sh scripts/setup.sh packages dev
	HUB_HOSTILE=all .venv/bin/pytest -q tests/hostile --timeout 7200

fuzz:
	@sh scripts/setup.sh dev
	.venv/bin/python -m tests.fuzz

lock:
	@sh scripts/setup.sh dev
	PATH="$(CURDIR)/.venv/bin:$$PATH" sh scripts/lock.sh

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis var dist
