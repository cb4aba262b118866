"""Threads of requests, and the database connections that they keep."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection, connections

from foundation import threads
from foundation.threads import RequestThread, ThreadShelf, release_connections

pytestmark = pytest.mark.django_db(transaction=True)


def _visit() -> Any:
    """Uses this thread's connection as a request does; gives it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    release_connections()
    return connections["default"]


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> ThreadShelf:
    """One of the test's own."""
    found = ThreadShelf()
    monkeypatch.setattr(threads, "shelf", found)
    return found


def _request() -> Any:
    """A request of one visit; gives the connection that it used."""
    thread = RequestThread()
    found = thread.submit(_visit).result(10)
    thread.give_back()
    return found


def test_a_thread_that_comes_back_keeps_sqlites_file_but_no_place_in_a_pool(shelf: ThreadShelf) -> None:
    used = _request()
    assert (used.connection is not None) == (used.vendor == "sqlite")
    assert _request() is used
    thread = shelf.take()
    shelf.put(thread)
    shelf.close()
    thread.shutdown(wait=True)
    assert used.connection is None


def test_of_too_many_threads_some_end_and_leave_nothing_open(
    shelf: ThreadShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "IDLE_MOST", 1)
    pair = [shelf.take(), shelf.take()]
    used = [thread.submit(_visit).result(10) for thread in pair]
    for thread in pair:
        shelf.put(thread)
    pair[1].shutdown(wait=True)
    assert [each.connection is not None for each in used] == [used[0].vendor == "sqlite", False]
    shelf.close()
    pair[0].shutdown(wait=True)
    assert used[0].connection is None
