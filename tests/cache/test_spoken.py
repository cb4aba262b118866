"""A caller whose answer begins anew gets every piece once."""

from __future__ import annotations

from typing import Any

import pytest

from agents.cache.pieces import written
from agents.cache.spoken import Spoken
from agents.gateway.exceptions import BrokenAnswer
from agents.gateway.restarts import RESTART
from tests.cache.fakes import chunk


def _said(spoken: Spoken, *texts: str, ends: bool = True) -> list[str]:
    spoken.begin()
    given = [each for text in texts for each in spoken.take(written(chunk(text)))]
    if ends:
        given += spoken.end()
    return ["<restart>" if RESTART in each.message.response_metadata else str(each.message.text) for each in given]


def test_an_answer_that_begins_the_same_goes_on_where_it_broke_off() -> None:
    spoken = Spoken(streamed=True)
    assert _said(spoken, "a", "b", ends=False) == ["a", "b"]
    assert _said(spoken, "a", "b", "c") == ["c"]


def test_another_answer_is_told_to_begin_anew() -> None:
    spoken = Spoken(streamed=True)
    assert _said(spoken, "a", "b", "c", ends=False) == ["a", "b", "c"]
    assert _said(spoken, "a", "x", "y") == ["<restart>", "a", "x", "y"]


def test_a_shorter_answer_is_another_one() -> None:
    spoken = Spoken(streamed=True)
    _said(spoken, "a", "b", "c", ends=False)
    assert _said(spoken, "a", "b") == ["<restart>", "a", "b"]


def test_it_can_break_off_more_than_once() -> None:
    spoken = Spoken(streamed=True)
    _said(spoken, "a", "b", ends=False)
    assert _said(spoken, "a", ends=False) == []
    assert _said(spoken, "a", "b", "c", ends=False) == ["c"]
    assert _said(spoken, "z", "y", ends=False) == ["<restart>", "z", "y"]
    assert _said(spoken, "z", "y", "x") == ["x"]


def test_who_wants_it_whole_gets_it_at_the_end_from_the_last_one() -> None:
    spoken = Spoken(streamed=False)
    assert _said(spoken, "a", "b", ends=False) == []
    assert _said(spoken, "x", "y") == ["xy"]


def test_what_cannot_be_written_down_goes_through() -> None:
    spoken, original = Spoken(streamed=True), chunk("a")
    spoken.begin()
    given: list[Any] = [*spoken.take(None, original)]
    assert given == [original]


def test_who_cannot_forget_gets_an_error_instead_of_another_answer() -> None:
    spoken = Spoken(streamed=True, may_restart=False)
    assert _said(spoken, "a", "b", ends=False) == ["a", "b"]
    assert _said(spoken, "a", "b", "c", ends=False) == ["c"]
    with pytest.raises(BrokenAnswer):
        _said(spoken, "a", "x")
