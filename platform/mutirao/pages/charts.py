"""Charts as numbers for server-rendered SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT, BASE = 720, 140, 118
GAP = 4


@dataclass(frozen=True, slots=True)
class Bar:
    """One column: how many, and how many of them went wrong."""

    label: str
    total: int
    bad: int


@dataclass(frozen=True, slots=True)
class Column:
    """A column in the picture's units; the bad part stands at the bottom."""

    bar: Bar
    x: float
    width: float
    y: float
    height: float
    bad_height: float
    label_at: float | None


@dataclass(frozen=True, slots=True)
class Chart:
    """A bar chart; `most` is the value at the top."""

    columns: list[Column]
    most: int
    width: int = WIDTH
    height: int = HEIGHT
    base: int = BASE

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw."""
        return self.most == 0


def bars(values: Sequence[Bar], *, label_every: int = 4) -> Chart:
    """Columns from left to right; every fourth has its label."""
    most = max((bar.total for bar in values), default=0)
    step = WIDTH / max(len(values), 1)
    return Chart([_column(bar, n, step, most, n % label_every == 0) for n, bar in enumerate(values)], most)


def _column(bar: Bar, number: int, step: float, most: int, has_label: bool) -> Column:  # noqa: FBT001
    scale = (BASE - 8) / most if most else 0
    x = round(number * step, 1)
    return Column(
        bar=bar,
        x=x,
        width=round(step - GAP, 1),
        y=round(BASE - bar.total * scale, 1),
        height=round(bar.total * scale, 1),
        bad_height=round(bar.bad * scale, 1),
        label_at=x if has_label else None,
    )
