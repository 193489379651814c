"""The table of the last whole run, in docs/performance.md. ``python -m benchmarks.report`` writes it anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
_START, _END = "<!-- results -->", "<!-- end of results -->"


def write(results: Path = RESULTS, page: Path = PAGE) -> None:
    """Put the results between the two marks of the page; the rest of it is written by hand."""
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(_START)
    _, _, after = rest.partition(_END)
    rows = orjson.loads((results / "latest.json").read_bytes())
    machine = orjson.loads((results / "machine.json").read_bytes())
    page.write_text(f"{before}{_START}\n{_table(rows, machine)}\n{_END}{after}", encoding="utf-8")


def _table(rows: list[dict[str, Any]], machine: dict[str, Any]) -> str:
    where = (
        f"{machine['date'][:10]}: {machine['cores']} cores ({machine['cpu']}), {machine['memory_gib']} GiB, Python "
        f"{machine['python']}, PostgreSQL {machine['postgresql']}; medians of {machine['pairs']} pairs of rounds; load "
        f"average at the end {machine['load_average']:.1f}."
    )
    lines = [
        where,
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
