"""What every benchmark is given: the service, and how thoroughly to measure."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.service import Service


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the benchmarks."""

    service: Service
    pairs: int
    """Rounds that count, of each of the two ways."""
    seconds: float
    """How long many clients ask, each round."""
    scale: float = 1.0
    """Share of the full number of rows."""

    def size(self, rows: int) -> int:
        """The number of rows for this run."""
        return max(200, round(rows * self.scale))
