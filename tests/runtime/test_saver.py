"""Checkpoints in our own tables."""

from __future__ import annotations

import threading
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.graph import END, START, StateGraph

from agents.runtime.models import Checkpoint, CheckpointWrite
from agents.runtime.saver import DjangoSaver
from agents.runtime.storage import Fence, Row, WriteRow, store
from agents.tasks.exceptions import LeaseLost
from agents.tasks.models import Task
from tests.runtime.conftest import Desk

pytestmark = pytest.mark.django_db(transaction=True)


@checkpointer_test(name="DjangoSaver")
async def django_saver() -> AsyncIterator[DjangoSaver]:
    yield DjangoSaver()
    await sync_to_async(_clear, thread_sensitive=False)()


def _clear() -> None:
    Checkpoint.objects.all().delete()
    CheckpointWrite.objects.all().delete()
    connections.close_all()


async def test_it_conforms_to_langgraph_in_everything_that_it_can_be_asked() -> None:
    report = await validate(django_saver)

    assert report.passed_all(), report.to_dict()


def config(thread: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread, "checkpoint_ns": ""}}


def put(saver: DjangoSaver, thread: str, **values: Any) -> RunnableConfig:
    state = empty_checkpoint()
    state["channel_values"] = values
    state["versions_seen"] = {"node": {}}
    return saver.put(config(thread), state, {"source": "loop", "step": 1, "parents": {}}, {})


class State(TypedDict):
    value: Any


@dataclass
class Parcel:
    weight: int


class Shipment(TypedDict):
    parcel: Parcel


class TestAFence:
    def test_that_holds_lets_writes_through(self, desk: Desk, definition: Any) -> None:
        claim = desk.claim(definition)
        saver = DjangoSaver(fence=(claim.task_id, claim.fence))
        put(saver, str(claim.task_id), a=1)

        assert Checkpoint.objects.count() == 1

    @pytest.mark.parametrize("change", [{"fence": 2}, {"status": "queued", "lease_expires_at": None}])
    def test_that_was_raised_stops_every_write(self, desk: Desk, definition: Any, change: dict[str, Any]) -> None:
        claim = desk.claim(definition)
        saver = DjangoSaver(fence=(claim.task_id, claim.fence))
        Task.objects.filter(pk=claim.task_id).update(**change)

        with pytest.raises(LeaseLost):
            put(saver, str(claim.task_id), a=1)
        with pytest.raises(LeaseLost):
            saver.put_writes({"configurable": {"thread_id": "t", "checkpoint_id": "c"}}, [("a", 1)], "node")

        assert Checkpoint.objects.count() == CheckpointWrite.objects.count() == 0

    def test_of_a_task_that_is_gone_stops_every_write(self) -> None:
        with pytest.raises(LeaseLost):
            put(DjangoSaver(fence=(uuid.uuid4(), 1)), "t", a=1)
        assert Checkpoint.objects.count() == 0


class TestWhatIsStored:
    def test_is_found_again_with_nul_and_surrogates_in_it(self) -> None:
        saver = DjangoSaver()
        put(saver, "t", text="a\x00b")
        found = saver.get_tuple(config("t"))

        assert found is not None
        assert found.checkpoint["channel_values"] == {"text": "a\x00b"}

    def test_may_be_of_a_type_that_the_graph_declares_and_of_no_other(self) -> None:
        saver = DjangoSaver()
        graph = StateGraph(Shipment)
        graph.add_node("weigh", lambda _state: {"parcel": Parcel(3)})
        graph.add_edge(START, "weigh")
        graph.add_edge("weigh", END)
        compiled = graph.compile(checkpointer=saver)
        compiled.invoke({"parcel": Parcel(1)}, {"configurable": {"thread_id": "t"}})

        known = compiled.get_state({"configurable": {"thread_id": "t"}}).values["parcel"]
        unknown = saver.get_tuple(config("t"))

        assert known == Parcel(3)
        assert unknown is not None
        assert not isinstance(unknown.checkpoint["channel_values"]["parcel"], Parcel)

    @pytest.mark.parametrize("encoding", ["pickle", "json"])
    def test_is_refused_in_an_encoding_that_can_build_anything(self, encoding: str) -> None:
        with pytest.raises(ValueError, match="refused"):
            DjangoSaver().serde.loads_typed((encoding, b"{}"))

    def test_may_be_more_than_one_statement_takes(self) -> None:
        store([WriteRow("t", "", "c", "n", "", i, "x", "bytes", b"1") for i in range(2_500)], fence=None)

        assert CheckpointWrite.objects.count() == 2_500

    def test_survives_being_written_twice_the_first_of_a_nodes_writes_counting(self) -> None:
        for value in (b"first", b"second"):
            store([WriteRow("t", "", "c", "n", "", 0, "x", "bytes", value)], fence=None)
            store([WriteRow("t", "", "c", "n", "", -1, "error", "bytes", value)], fence=None)

        assert sorted(bytes(row.value) for row in CheckpointWrite.objects.all()) == [b"first", b"second"]


class TestARun:
    def graph(self, saver: DjangoSaver, *nodes: str) -> Any:
        graph = StateGraph(State)
        before = START
        for name in nodes:
            graph.add_node(name, lambda _state: {"value": threading.get_ident()})
            graph.add_edge(before, name)
            before = name
        return graph.compile(checkpointer=saver)

    def test_of_one_node_costs_one_transaction(
        self, desk: Desk, definition: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        claim = desk.claim(definition)
        calls: list[int] = []

        def counted(rows: Sequence[Row], *, fence: Fence | None) -> None:
            calls.append(len(rows))
            store(rows, fence=fence)

        monkeypatch.setattr(
            "agents.runtime.group_commit.store",
            counted,
        )
        saver = DjangoSaver(fence=(claim.task_id, 1))
        graph = self.graph(saver, "only")
        with CaptureQueriesContext(connection) as queries:
            graph.invoke({"value": 1}, {"configurable": {"thread_id": str(claim.task_id)}}, durability="sync")

        assert len(calls) == 1
        assert len(queries) == 0
        steps = [row.metadata["step"] for row in Checkpoint.objects.order_by("checkpoint_id")]
        assert steps == [-1, 0, 1]

    def test_leaves_after_every_step_what_the_next_attempt_needs(self, desk: Desk, definition: Any) -> None:
        claim = desk.claim(definition)
        saver = DjangoSaver(fence=(claim.task_id, 1))
        thread: RunnableConfig = {"configurable": {"thread_id": str(claim.task_id)}}
        steps = self.graph(saver, "a", "b", "c").stream({"value": 1}, thread, stream_mode="updates", durability="sync")
        seen = []
        for _ in steps:
            found = DjangoSaver().get_tuple(thread)
            seen.append(found.metadata["step"] if found else None)

        assert len(seen) == 3
        last = DjangoSaver().get_tuple(thread)
        assert last is not None
        assert last.metadata["step"] == 3
