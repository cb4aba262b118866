"""Where the bars stand."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.template.loader import render_to_string
from django.utils import translation

from telemetry.waterfall import DEEPEST, NARROWEST, WIDTH, Bar, layout, shown

BEGIN = datetime(2026, 11, 25, tzinfo=UTC)


@dataclass
class One:
    """A span for the picture."""

    span_id: str
    after_ms: float = 0
    duration_ms: float = 100
    parent_id: str = ""
    kind: str = "step"
    status: str = "ok"
    name: str = "a step"
    attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def started_at(self) -> datetime:
        return BEGIN + timedelta(milliseconds=self.after_ms)


def _bars(*spans: One) -> list[Bar]:
    return [*layout(spans).bars]


def test_no_spans_are_no_picture() -> None:
    empty = layout([])
    assert (empty.bars, empty.total_ms, empty.ticks) == ((), 0.0, ())


def test_a_bar_begins_and_ends_where_its_span_does() -> None:
    whole, second = _bars(One("a", 0, 200), One("b", 100, 100, "a"))
    assert (whole.x, whole.width, whole.depth) == (0, WIDTH, 0)
    assert (second.x, second.width, second.depth) == (WIDTH / 2, WIDTH / 2, 1)
    assert (second.after_ms, second.duration_ms) == (100, 100)


def test_children_come_after_their_parent_in_the_order_of_beginning_whatever_order_they_are_given_in() -> None:
    bars = _bars(One("late", 50, 10, "root"), One("inner", 12, 5, "early"), One("early", 10, 20, "root"), One("root"))
    assert [(bar.span_id, bar.depth) for bar in bars] == [("root", 0), ("early", 1), ("inner", 2), ("late", 1)]


def test_a_story_with_two_attempts_has_both_below_its_request() -> None:
    bars = _bars(
        One("request", 0, 20, "a-caller-elsewhere", "request"), One("first", 5, 50, "request", "task", "error"),
        One("second", 80, 40, "request", "task"),
    )  # fmt: skip
    assert [(bar.span_id, bar.depth, bar.is_error) for bar in bars] == [
        ("request", 0, False), ("first", 1, True), ("second", 1, False),
    ]  # fmt: skip


def test_nothing_is_too_narrow_to_see_or_beyond_the_edge() -> None:
    _, tiny = _bars(One("a", 0, 60_000), One("b", 59_999.99, 0.01, "a"))
    assert tiny.width == NARROWEST
    assert tiny.x + tiny.width <= WIDTH


def test_spans_of_no_duration_at_one_moment_are_drawn_too() -> None:
    assert [bar.width for bar in _bars(One("a", 0, 0), One("b", 0, 0, "a"))] == [NARROWEST, NARROWEST]


def test_spans_that_name_each_other_as_parents_are_all_drawn_once() -> None:
    bars = _bars(One("a", parent_id="b"), One("b", parent_id="a"), One("c", parent_id="c"))
    assert sorted(bar.span_id for bar in bars) == ["a", "b", "c"]


def test_a_very_deep_story_is_drawn_and_not_indented_for_ever() -> None:
    spans = [One(str(number), number, 10, str(number - 1)) for number in range(3_000)]
    bars = layout(spans, most=3_000).bars
    assert len(bars) == 3_000
    assert max(bar.depth for bar in bars) == DEEPEST


def test_more_spans_than_one_picture_holds_are_said_to_be_missing() -> None:
    found = layout([One(str(number), number) for number in range(12)], most=10)
    assert (len(found.bars), found.is_cut) == (10, True)
    # The scale is that of the whole story.
    assert found.total_ms == 111


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0.04, "0.0 ms"), (9.94, "9.9 ms"), (120, "120 ms"), (1500, "1.50 s"), (90_000, "1.5 min")],
)
def test_times_are_shown_for_people(milliseconds: float, text: str) -> None:
    assert shown(milliseconds) == text


def test_the_picture_needs_no_script_and_no_inline_style_and_says_everything_in_words() -> None:
    page = render_to_string(
        "telemetry/waterfall.html",
        {
            "waterfall": layout(
                [One("a", 0, 1500, name="<script>x</script>", attributes={"status": 202}, status="error")]
            )
        },
    )
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "style=" not in page
    assert "after 0.0 ms, for 1.50 s</title>" in page
    assert "failed" in page
    assert "202" in page


def test_the_coordinates_are_the_same_in_a_language_with_decimal_commas() -> None:
    waterfall = layout([One("a", 0, 300), One("b", 100, 100, "a")])
    with translation.override("pt-br"):
        page = render_to_string("telemetry/waterfall.html", {"waterfall": waterfall})
    assert 'x="333.33"' in page
    assert 'viewBox="0 0 1000 10"' in page


def test_a_task_without_spans_says_why() -> None:
    assert "No spans yet" in render_to_string("telemetry/waterfall.html", {"waterfall": layout([])})
