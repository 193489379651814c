"""A chart of times by size, both axes logarithmic, as SVG and as text."""

from __future__ import annotations

from html import escape
from math import ceil, floor, log10

_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 760, 380, 60, 40, 230, 45
_COLORS = ("#1f6feb", "#d1242f", "#1a7f37", "#9a6700", "#8250df", "#57606a")


class Chart:
    """Milliseconds by size, one series a kind of work."""

    def __init__(self, title: str, unit: str, sizes: tuple[int, ...]) -> None:
        self.title = title
        self.unit = unit
        self.sizes = sizes
        self.series: dict[str, list[float]] = {}

    def add(self, name: str, milliseconds: float) -> None:
        """The next point of a series."""
        self.series.setdefault(name, []).append(round(milliseconds, 3))

    def text(self) -> str:
        """The figures in columns."""
        head = f"{self.title:<36}" + "".join(f"{size:>14,}" for size in self.sizes) + f" {self.unit}"
        lines = [f"{name:<36}" + "".join(f"{value:>14,.2f}" for value in row) for name, row in self.series.items()]
        return "\n".join([head, *lines])

    def svg(self) -> str:
        """The picture. Flat lines are what one wants to see."""
        values = [value for row in self.series.values() for value in row]
        low, high = floor(log10(min(values))), ceil(log10(max(values)))
        first, last = log10(self.sizes[0]), log10(self.sizes[-1])
        inner = _WIDTH - _LEFT - _RIGHT

        def x(size: int) -> float:
            return round(_LEFT + inner * (log10(size) - first) / ((last - first) or 1), 1)

        def y(value: float) -> float:
            return round(_TOP + (_HEIGHT - _TOP - _BOTTOM) * (high - log10(value)) / ((high - low) or 1), 1)

        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif"'
            ' font-size="12"><rect width="100%" height="100%" fill="white"/>',
            f'<text x="{_LEFT}" y="22" font-size="15">{escape(self.title)}: milliseconds</text>',
        ]
        for power in range(low, high + 1):
            at = y(10.0**power)
            parts.append(f'<line x1="{_LEFT}" y1="{at}" x2="{_WIDTH - _RIGHT}" y2="{at}" stroke="#d8dee4"/>')
            parts.append(f'<text x="{_LEFT - 6}" y="{at + 4}" text-anchor="end">{10.0**power:g}</text>')
        parts += [f'<text x="{x(size)}" y="{_HEIGHT - 22}" text-anchor="middle">{size:,}</text>' for size in self.sizes]
        parts.append(f'<text x="{_LEFT + inner / 2}" y="{_HEIGHT - 5}" text-anchor="middle">{escape(self.unit)}</text>')
        for number, (name, row) in enumerate(self.series.items()):
            color, legend = _COLORS[number % len(_COLORS)], _TOP + 18 * number
            points = [(x(size), y(value)) for size, value in zip(self.sizes, row, strict=True)]
            line = " ".join(f"{across},{down}" for across, down in points)
            parts.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>')
            parts += [f'<circle cx="{across}" cy="{down}" r="3" fill="{color}"/>' for across, down in points]
            start = _WIDTH - _RIGHT + 12
            parts.append(f'<rect x="{start}" y="{legend}" width="12" height="4" fill="{color}"/>')
            parts.append(f'<text x="{start + 18}" y="{legend + 7}">{escape(name)}</text>')
        return "\n".join([*parts, "</svg>", ""])
