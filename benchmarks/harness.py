"""Measuring two ways side by side: interleaved rounds, their statistics, the table and the results file.

The machine is never quiet, so two ways are only compared within one pair of neighbouring rounds, and what counts is
the median of the pairs' ratios.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import orjson
from rich.console import Console
from rich.table import Table

Outcome = TypeVar("Outcome")


def interleave(
    ours: Callable[[], Outcome], floor: Callable[[], Outcome], pairs: int, warm_up: int = 1
) -> list[tuple[Outcome, Outcome]]:
    """Run ours, floor, ours, floor, …: ``warm_up`` pairs that are forgotten, then ``pairs`` that are returned.

    Each call prepares what it needs, measures, cleans up, and returns what it measured.
    """
    rounds = [(ours(), floor()) for _ in range(warm_up + pairs)]
    return rounds[warm_up:]


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of several rounds, with the lowest and the highest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of at least one value. Raises :class:`ValueError` for none."""
        if not values:
            raise ValueError("nothing was measured")
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True, slots=True)
class Measurement:
    """One line of the results. Make it with :func:`against_floor` or :func:`at_most`."""

    path: str
    unit: str
    ours: Spread
    floor: Spread | None = None
    ratio: Spread | None = None
    """Our speed as a share of the floor's, pair by pair: more is better, whatever the unit."""
    goal: float | None = None
    """The least ratio; of what has no floor, the most that ``ours`` may be. None: only looked at."""

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None without one."""
        if self.goal is None:
            return None
        return self.ours.median <= self.goal if self.ratio is None else self.ratio.median >= self.goal

    def row(self) -> dict[str, Any]:
        """The line of the results file: medians, rounded to four significant digits."""
        return {
            "path": self.path,
            "ours": _rounded(self.ours.median),
            "floor": None if self.floor is None else _rounded(self.floor.median),
            "unit": self.unit,
            "ratio": None if self.ratio is None else round(self.ratio.median, 3),
            "goal": self.goal,
            "met": self.met,
        }


def against_floor(
    path: str, unit: str, pairs: Sequence[tuple[float, float]], goal: float | None, *, less_is_better: bool = False
) -> Measurement:
    """Pairs of (ours, floor) as a measurement whose ratio is the share of the floor's speed that we reach.

    ``less_is_better``: the values are times or sizes, so the ratio of a pair is floor / ours.
    """
    ratios = [floor / ours if less_is_better else ours / floor for ours, floor in pairs]
    return Measurement(
        path,
        unit,
        ours=Spread.of([ours for ours, _ in pairs]),
        floor=Spread.of([floor for _, floor in pairs]),
        ratio=Spread.of(ratios),
        goal=goal,
    )


def at_most(path: str, unit: str, values: Sequence[float], goal: float) -> Measurement:
    """Values that have no floor but a limit."""
    return Measurement(path, unit, Spread.of(values), goal=goal)


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def show(measurements: Sequence[Measurement], console: Console | None = None) -> None:
    """Print the table."""
    table = Table(title="median (lowest – highest) of the rounds; ratio: our share of the floor's speed")
    table.add_column("path")
    table.add_column("unit")
    for heading in ("ours", "floor", "ratio", "goal"):
        table.add_column(heading, justify="right")
    table.add_column("met", justify="center")
    for found in measurements:
        verdict = {None: "", True: "yes", False: "[bold red]no[/]"}[found.met]
        sign = "≤" if found.ratio is None else "≥"
        table.add_row(
            found.path,
            found.unit,
            *("" if spread is None else _shown(spread) for spread in (found.ours, found.floor, found.ratio)),
            "" if found.goal is None else f"{sign} {found.goal:g}",
            verdict,
        )
    (console or Console(width=150)).print(table)


def _shown(spread: Spread) -> str:
    return f"{_number(spread.median)} ({_number(spread.low)} – {_number(spread.high)})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def save(measurements: Sequence[Measurement], path: Path) -> None:
    """Write the results file: a JSON list of :meth:`Measurement.row`, one line each, so that a diff can be read."""
    lines = [orjson.dumps(found.row()).decode() for found in measurements]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("[\n" + ",\n".join(f"  {line}" for line in lines) + "\n]\n", encoding="utf-8")
