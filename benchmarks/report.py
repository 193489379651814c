"""The table of the last whole run, in docs/performance.md. ``python -m benchmarks.report`` writes it anew."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import psutil

from benchmarks.service import Service

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[1] / "docs" / "performance.md"


def machine(service: Service) -> dict[str, Any]:
    """Where and when it is measured."""
    cpuinfo = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in cpuinfo if line.startswith("model name")]
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": models[0] if models else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "python": platform.python_version(),
        "postgresql": service.postgres.version,
        "workers": service.workers,
        "load_average": os.getloadavg()[0],
    }


def where(machine: dict[str, Any]) -> str:
    """The same in words."""
    return (
        f"{machine['date'][:10]}: {machine['cores']} cores ({machine['cpu']}), {machine['memory_gib']} GiB, Python "
        f"{machine['python']}, PostgreSQL {machine['postgresql']}"
    )


def write(results: Path = RESULTS, page: Path = PAGE) -> None:
    """Put the table of the results into the page; what is not between its marks is written by hand."""
    rows = orjson.loads((results / "latest.json").read_bytes())
    place("results", _table(rows, orjson.loads((results / "machine.json").read_bytes())), page)


def place(name: str, content: str, page: Path = PAGE) -> None:
    """Put lines between the two marks of that name. Raises :class:`ValueError` if the page has not got them."""
    text, start, end = page.read_text(encoding="utf-8"), f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, found, rest = text.partition(start)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{page} has no place for {name}")
    page.write_text(f"{before}{start}\n{content}\n{end}{after}", encoding="utf-8")


def _table(rows: list[dict[str, Any]], machine: dict[str, Any]) -> str:
    measured = f"medians of {machine['pairs']} pairs of rounds; load average at the end {machine['load_average']:.1f}."
    lines = [
        f"{where(machine)}; {measured}",
        "",
        "| path | ours | floor | unit | ratio | goal | met |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        sign = "≤" if row["ratio"] is None else "≥"
        cells = (
            row["path"],
            _number(row["ours"]),
            _number(row["floor"]),
            row["unit"],
            "" if row["ratio"] is None else f"{row['ratio']:.2f}",
            "" if row["goal"] is None else f"{sign} {row['goal']:g}",
            {None: "", True: "yes", False: "**no**"}[row["met"]],
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    write()
