# make demo   set-up, then the main job on the embedded default (SQLite, no server, no root)
# make test   set-up with Debian packages, then every test against real servers
# make check  the quick one: style, types, architecture, unit tests (under a minute)
# make bench  figures as ratios in one run
.PHONY: demo test check bench kill lock clean

demo:
	@sh scripts/setup.sh run
	@.venv/bin/hub demo

test:
	@sh scripts/setup.sh packages dev
	@$(MAKE) --no-print-directory _style
	.venv/bin/pytest -q

check:
	@sh scripts/setup.sh dev
	@$(MAKE) --no-print-directory _style
	.venv/bin/pytest -q -x tests/unit

.PHONY: _style
_style:
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

bench:
	@sh scripts/setup.sh packages dev
	.venv/bin/python -m bench

# Ten kill -9 of `hub serve` while 200 messages arrive; prints the ledger.
kill:
	@sh scripts/setup.sh packages dev
	.venv/bin/python -m bench.kill

lock:
	@sh scripts/setup.sh dev
	PATH="$(CURDIR)/.venv/bin:$$PATH" sh scripts/lock.sh

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis var dist
