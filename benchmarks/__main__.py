"""``python -m benchmarks [names…]``: run all benchmarks, or some; print the table; keep the results of a whole run."""

from __future__ import annotations

import argparse
import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import cast

import orjson

from benchmarks import harness, report
from benchmarks.harness import Measurement
from benchmarks.report import RESULTS
from benchmarks.run import Run
from benchmarks.service import Service

_FIRST = ("load", "load_file", "load_cost", "slice", "pages", "dump")


def _found() -> tuple[str, ...]:
    files = Path(__file__).parent.glob("*.py")
    names = {file.stem for file in files if "\ndef measure(run: Run)" in file.read_text(encoding="utf-8")}
    return (*(name for name in _FIRST if name in names), *sorted(names.difference(_FIRST)))


NAMES = _found()
"""The benchmarks: each module here with ``measure(run: Run)``, in the order of the table."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure hot paths against the fastest thing that PostgreSQL itself does with the same data.",
        epilog="A whole run (no names, no --quick) replaces benchmarks/results/ and the table in docs/performance.md; "
        "see benchmarks/README.md. How cost grows with size: python -m benchmarks.growth.",
    )
    parser.add_argument("names", nargs="*", metavar="name", help=f"some of: {', '.join(NAMES)}")
    parser.add_argument("--pairs", type=int, default=7, help="rounds of each way that count (default: 7)")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a round of many clients (default: 2)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="of the service (default: the cores)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows, 3 pairs, 1 second: a first look")
    arguments = parser.parse_args()
    for name in arguments.names:
        if name not in NAMES:
            parser.error(f"there is no benchmark {name!r}; there are: {', '.join(NAMES)}")
    return arguments


def main() -> None:
    """Run what the command line asks for."""
    arguments = _arguments()
    with Service(arguments.workers) as service:
        run = Run(service, arguments.pairs, arguments.seconds)
        if arguments.quick:
            run = Run(service, pairs=3, seconds=1.0, scale=0.1)
        found: list[Measurement] = []
        for name in arguments.names or NAMES:
            measured = benchmark(name)(run)
            harness.show(measured)
            found += measured
        if not arguments.names and not arguments.quick:
            harness.save(found, RESULTS / "latest.json")
            machine = {**report.machine(service), "pairs": run.pairs}
            (RESULTS / "machine.json").write_bytes(orjson.dumps(machine, option=orjson.OPT_INDENT_2) + b"\n")
            report.write()


def benchmark(name: str) -> Callable[[Run], list[Measurement]]:
    """The function that measures."""
    return cast(Callable[[Run], list[Measurement]], importlib.import_module(f"benchmarks.{name}").measure)


if __name__ == "__main__":
    main()
