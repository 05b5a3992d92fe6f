"""`make bench`: every row of the bench, or those named; ratios in one run, JSON beside the text.

    python -m bench [NAME …] [--rounds N] [--messages N]

Each row prints its figures with their gates and writes bench/results/NAME.json; at the end comes the table of
docs/performance.md. Exit code 1 when a gate is missed or a row could not be measured.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
import traceback
from dataclasses import replace

from bench.figures import Options, Result, machine, table, told, write

ROWS = (
    *("filing", "scaling", "fetch", "flat", "memory", "idle", "latency", "restart"),
    *("accept", "signatures", "compose", "delivery", "sending", "directory", "instructions"),
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("names", nargs="*", choices=[*ROWS, []], help=f"rows: {', '.join(ROWS)}; none: all")
    parser.add_argument("--rounds", type=int, help="pairs of measures (each row has its own number)")
    parser.add_argument("--messages", type=int, help="messages a measure")
    parser.add_argument("--databases", default="sqlite,postgresql")
    parser.add_argument("--brokers", default="sql,amqp,redis")
    parser.add_argument("--largest", type=int, default=1_000_000, help="documents of the largest database (flat)")
    arguments = parser.parse_args()
    options = Options(
        rounds=arguments.rounds,
        messages=arguments.messages,
        databases=tuple(arguments.databases.split(",")),
        brokers=tuple(arguments.brokers.split(",")),
        largest=arguments.largest,
    )
    print("  ".join(f"{name}: {value}" for name, value in machine().items()), flush=True)
    results = [_run(name, options) for name in arguments.names or ROWS]
    print(f"\n{table(results)}\n")
    bad = [result.name for result in results if result.missing or not result.keeps]
    print(f"gates missed, or not measured: {', '.join(bad)}" if bad else "every gate is kept")
    sys.exit(1 if bad else 0)


def _run(name: str, options: Options) -> Result:
    began = time.monotonic()
    try:
        result: Result = importlib.import_module(f"bench.{name}").run(options)
    except Exception as error:  # the other rows are worth their time all the same
        traceback.print_exc()
        result = Result(name, "", (), missing=f"{type(error).__name__}: {str(error)[:200]}")
    result = replace(result, seconds=time.monotonic() - began)
    write(result)
    print(told(result), flush=True)
    return result


if __name__ == "__main__":
    main()
