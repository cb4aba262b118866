"""Spans as a waterfall: a pure function from what was recorded to where each bar stands.

`templates/telemetry/waterfall.html` draws it; its context is `{"waterfall": Waterfall}`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from django.utils.formats import number_format

# The bars' coordinates: the whole story is this wide, and no bar is narrower than can be seen.
WIDTH = 1000.0
NARROWEST = 4.0
# Deeper than this is drawn as if it were not.
DEEPEST = 8
# Spans that one picture shows.
MOST = 500
TICKS = 4


class SpanLike(Protocol):
    """What a bar is made of: a `Span`, or a record that has not been written yet."""

    @property
    def span_id(self) -> str: ...
    @property
    def parent_id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def started_at(self) -> datetime: ...
    @property
    def duration_ms(self) -> float: ...
    @property
    def attributes(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Bar:
    """One span's line. `x` and `width` are on a scale of WIDTH, times in milliseconds from the story's beginning."""

    span_id: str
    kind: str
    name: str
    depth: int
    x: float
    width: float
    after_ms: float
    duration_ms: float
    is_error: bool
    attributes: tuple[tuple[str, str], ...] = ()

    @property
    def duration(self) -> str:
        """For people."""
        return shown(self.duration_ms)

    @property
    def after(self) -> str:
        """For people."""
        return shown(self.after_ms)


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on the scale."""

    x: float
    label: str


@dataclass(frozen=True, slots=True)
class Waterfall:
    """All bars, parents before their children, each in the order of beginning."""

    bars: tuple[Bar, ...] = ()
    total_ms: float = 0.0
    ticks: tuple[Tick, ...] = ()
    # There were more spans than are drawn.
    is_cut: bool = False
    width: float = field(default=WIDTH)

    @property
    def total(self) -> str:
        """For people."""
        return shown(self.total_ms)


def layout(spans: Iterable[SpanLike], *, most: int = MOST) -> Waterfall:
    """Where everything stands. A span whose parent is not among them begins a tree of its own."""
    ordered = sorted(spans, key=lambda each: (each.started_at, -each.duration_ms, each.span_id))
    if not ordered:
        return Waterfall()
    begin = ordered[0].started_at
    total = max(_after(each, begin) + each.duration_ms for each in ordered)
    shown_spans = ordered[:most]
    bars = tuple(_bar(each, depth, begin, total) for each, depth in _in_tree_order(shown_spans))
    return Waterfall(bars, total, _ticks(total), is_cut=len(ordered) > len(shown_spans))


def shown(milliseconds: float) -> str:
    """Milliseconds below a second, then seconds, then minutes; with the language's decimal sign."""
    if milliseconds < 1000:
        return f"{_number(milliseconds, 0 if milliseconds >= 10 else 1)} ms"
    seconds = milliseconds / 1000
    return f"{_number(seconds, 2)} s" if seconds < 60 else f"{_number(seconds / 60, 1)} min"


def _number(value: float, places: int) -> str:
    """Rounded first: Django's own cuts off."""
    return number_format(round(value, places), places)


def _after(each: SpanLike, begin: datetime) -> float:
    return (each.started_at - begin).total_seconds() * 1000


def _in_tree_order(spans: Sequence[SpanLike]) -> list[tuple[SpanLike, int]]:
    """Each with its depth. Spans that name each other as parents, which nobody records, are roots too."""
    known = {each.span_id for each in spans}
    children: dict[str, list[SpanLike]] = defaultdict(list)
    for each in spans:
        is_root = each.parent_id not in known or each.parent_id == each.span_id
        children["" if is_root else each.parent_id].append(each)
    found: list[tuple[SpanLike, int]] = []
    seen: set[str] = set()
    for root in (*children[""], *spans):
        _collect(root, children, found, seen)
    return found


def _collect(
    root: SpanLike, children: Mapping[str, list[SpanLike]], found: list[tuple[SpanLike, int]], seen: set[str]
) -> None:
    """Adds the root and what is below it, once. A loop, because a trace may be deeper than Python's stack."""
    waiting = [(root, 0)]
    while waiting:
        each, depth = waiting.pop()
        if each.span_id in seen:
            continue
        seen.add(each.span_id)
        found.append((each, depth))
        waiting += [(child, depth + 1) for child in reversed(children.get(each.span_id, ()))]


def _bar(each: SpanLike, depth: int, begin: datetime, total: float) -> Bar:
    after = _after(each, begin)
    scale = WIDTH / total if total else 0.0
    width = min(WIDTH, max(NARROWEST, each.duration_ms * scale))
    return Bar(
        span_id=each.span_id,
        kind=each.kind,
        name=each.name,
        depth=min(depth, DEEPEST),
        x=round(min(after * scale, WIDTH - width), 2),
        width=round(width, 2),
        after_ms=after,
        duration_ms=each.duration_ms,
        is_error=each.status == "error",
        attributes=tuple((str(name), str(value)) for name, value in sorted(each.attributes.items())),
    )


def _ticks(total: float) -> tuple[Tick, ...]:
    return tuple(Tick(WIDTH * part / TICKS, shown(total * part / TICKS)) for part in range(TICKS + 1))
