"""Charts as numbers for server-rendered SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT, BASE = 720, 124, 120
GAP = 4


@dataclass(frozen=True, slots=True)
class Bar:
    """One column: how many, and how many of them are told apart, such as those that went wrong."""

    label: str
    total: int
    part: int


@dataclass(frozen=True, slots=True)
class Column:
    """A column in the picture's units; the part that is told apart stands at the bottom."""

    bar: Bar
    x: float
    width: float
    y: float
    height: float
    part_y: float
    part_height: float


@dataclass(frozen=True, slots=True)
class Chart:
    """A bar chart; `most` is the value at the top."""

    columns: list[Column]
    most: int
    labels: list[str]
    width: int = WIDTH
    height: int = HEIGHT
    base: int = BASE

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw."""
        return self.most == 0


def bars(values: Sequence[Bar], *, label_every: int = 4) -> Chart:
    """Columns from left to right; every fourth gives a label of the axis."""
    most = max((bar.total for bar in values), default=0)
    step = WIDTH / max(len(values), 1)
    columns = [_column(bar, number, step, most) for number, bar in enumerate(values)]
    return Chart(columns, most, [bar.label for bar in values[::label_every]])


def _column(bar: Bar, number: int, step: float, most: int) -> Column:
    scale = (BASE - 8) / most if most else 0
    return Column(
        bar=bar,
        x=round(number * step, 1),
        width=round(step - GAP, 1),
        y=round(BASE - bar.total * scale, 1),
        height=round(bar.total * scale, 1),
        part_y=round(BASE - bar.part * scale, 1),
        part_height=round(bar.part * scale, 1),
    )
