"""A run needs a database connection for moments only, and leaves none behind."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import DatabaseError, connection, connections, transaction
from langgraph.graph import START, StateGraph

from agents.definitions.definition import AgentDefinition
from agents.runtime.connections import MOST_IDLE, borrowed_connection, close_borrowed
from agents.runtime.control import RunControl
from agents.runtime.execution import RunResult, execute
from foundation.threads import release_connections
from tests.runtime.conftest import Answers, Desk, until
from tests.runtime.test_execution import Clerk, Numbers, agent

pytestmark = pytest.mark.django_db(transaction=True)


def count_users(seen: list[Any]) -> Any:
    def node(_state: Any) -> dict[str, Any]:
        get_user_model().objects.count()
        seen.append((threading.get_ident(), connections["default"]))
        return {"trail": ["counted"]}

    return node


def test_connections_that_nodes_opened_in_langgraphs_threads_are_closed(desk: Desk) -> None:
    seen: list[Any] = []
    graph: StateGraph[Any] = StateGraph(Numbers)
    for name in ("left", "right"):
        graph.add_node(name, count_users(seen))
        graph.add_edge(START, name)
    claim = desk.claim(agent("counters", graph), {"trail": []})

    done = execute(claim, RunControl())
    assert isinstance(done, RunResult)
    assert done.result == {"trail": ["counted", "counted"]}

    assert len(seen) == 2
    assert threading.get_ident() not in {thread for thread, _ in seen}
    assert [wrapper.connection for _, wrapper in seen] == [None, None]


def test_no_connection_of_the_pool_is_held_during_a_model_call(desk: Desk, answers: Answers) -> None:
    held: list[int] = []
    others = _others()
    answers("one two", before_piece=lambda _number: held.append(_in_use()))

    execute(desk.claim(Clerk), RunControl())

    assert held
    assert held[0] <= others


def test_a_connection_in_a_transaction_is_not_taken_from_it() -> None:
    with transaction.atomic():
        get_user_model().objects.count()
        release_connections()
        assert connection.connection is not None


def test_borrowed_connections_are_reused_and_few_are_kept() -> None:
    close_borrowed()
    with borrowed_connection() as first:
        pass
    with borrowed_connection() as second, second.cursor() as cursor:
        cursor.execute("SELECT 1")
    assert first is second
    assert MOST_IDLE >= 1
    close_borrowed()
    assert second.connection is None


def test_a_borrowed_connection_that_failed_is_closed() -> None:
    with pytest.raises(DatabaseError), borrowed_connection() as borrowed, borrowed.cursor() as cursor:
        cursor.execute("SELECT nonsense FROM nowhere")
    assert borrowed.connection is None


def test_fifty_runs_at_once_leave_no_thread_and_no_connection(desk: Desk) -> None:
    definition: type[AgentDefinition] = agent(
        "many", StateGraph(Numbers).add_node("a", count_users([])).add_edge(START, "a")
    )
    claims = [desk.claim(definition, {"trail": []}) for _ in range(50)]
    results: list[Any] = []

    def work(claim: Any) -> None:
        try:
            done = execute(claim, RunControl())
            assert isinstance(done, RunResult)
            results.append(done.result)
        finally:
            connections.close_all()

    before, others = threading.active_count(), _others()
    threads = [threading.Thread(target=work, args=(claim,)) for claim in claims]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert results == [{"trail": ["counted"]}] * 50
    assert threading.active_count() <= before + 1
    # A pool that has just grown counts the connection it is still opening.
    until(lambda: _in_use() <= others + 1)


def _others() -> int:
    """Those that others hold already, whatever tests were before."""
    connection.close()
    return _in_use()


def _in_use() -> int:
    """Connections of the pool that somebody holds (this thread's own may be one)."""
    if connection.vendor != "postgresql":
        return 0
    stats = connection.pool.get_stats()  # type: ignore[attr-defined]
    return int(stats["pool_size"]) - int(stats["pool_available"])
