"""How long calls wait: one deadline, shorter waits inside it, and no longer than somebody waits for them."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult

from agents.gateway import bridging, building, calling, routing
from agents.gateway.exceptions import FirstTokenLate, ModelTimeout, StreamStalled
from agents.gateway.models import ModelCall
from foundation.threads import close_connections, in_thread
from tests.gateway.conftest import Model
from tests.gateway.routes import deployment, route
from tests.upstream import faults
from tests.upstream.client import Upstream
from tests.upstream.script import Behaviour

pytestmark = pytest.mark.django_db(transaction=True)
MARK: contextvars.ContextVar[str] = contextvars.ContextVar("mark", default="")


@pytest.mark.parametrize("pings", [False, True])
def test_a_stall_is_noticed_with_and_without_comments(pings: object, upstream: Upstream, model: Model) -> None:
    upstream.script(only=Behaviour(faults=(faults.stalled(after=2, pings=bool(pings)),)))
    asked = model(route("main", deployment("only"), stall_seconds=0.3, most_tries=1))
    began = time.monotonic()
    with pytest.raises(StreamStalled):
        list(asked.stream("hi"))
    assert 0.3 <= time.monotonic() - began < 3


def test_a_late_first_token_is_noticed(upstream: Upstream, model: Model) -> None:
    upstream.script(only=Behaviour(faults=(faults.slow(20),)))
    began = time.monotonic()
    with pytest.raises(FirstTokenLate):
        list(model(route("main", deployment("only"), first_token_seconds=0.3, most_tries=1)).stream("hi"))
    assert 0.3 <= time.monotonic() - began < 3


def test_a_slow_stream_that_goes_on_is_no_stall(upstream: Upstream, model: Model) -> None:
    upstream.script(only=Behaviour(pieces=8, pause=0.1))
    asked = model(route("main", deployment("only"), first_token_seconds=0.6, stall_seconds=0.6, most_tries=1))
    assert len("".join(piece.text for piece in asked.stream("hi")).split()) == 8


def test_a_slow_reader_is_not_the_providers_stall(upstream: Upstream, model: Model) -> None:
    upstream.script(only=Behaviour(pieces=4, pause=0.05))
    asked = model(route("main", deployment("only"), stall_seconds=0.3, most_tries=1))
    pieces = []
    for piece in asked.stream("hi"):
        pieces.append(piece.text)
        threading.Event().wait(0.4)
    assert len("".join(pieces).split()) == 4


def test_all_tries_share_one_deadline(upstream: Upstream, model: Model) -> None:
    slow = Behaviour(faults=(faults.slow(20),))
    upstream.script(a=slow, b=slow, c=slow)
    columns = {"first_token_seconds": 0.4, "deadline_seconds": 1.0}
    asked = model(route("main", *map(deployment, "abc"), **columns))
    began = time.monotonic()
    with pytest.raises(ModelTimeout):
        list(asked.stream("hi"))
    assert 0.9 <= time.monotonic() - began < 5
    assert 2 <= len(upstream.requests()) <= 3


def test_no_call_goes_past_the_deadline_of_its_task(upstream: Upstream, model: Model) -> None:
    upstream.script(m=Behaviour(faults=(faults.slow(20),)))
    began = time.monotonic()
    with pytest.raises(ModelTimeout):
        model("openai:m", deadline=time.monotonic() + 0.4).invoke("hi")
    assert time.monotonic() - began < 3


def test_a_run_that_is_stopped_does_not_wait_for_a_silent_provider(upstream: Upstream, model: Model) -> None:
    class Stopped(BaseException):
        pass

    told = threading.Event()

    def check() -> None:
        if told.is_set():
            raise Stopped

    upstream.script(m=Behaviour(faults=(faults.slow(20),)))

    def tell() -> None:
        upstream.wait("m", "in_flight", 1)
        told.set()

    threading.Thread(target=tell).start()
    began = time.monotonic()
    with pytest.raises(Stopped):
        model("openai:m", check=check).invoke("hi")
    assert time.monotonic() - began < 5
    upstream.wait("m", "abandoned", 1)
    assert ModelCall.objects.get().outcome == "cancelled"


async def test_asynchronous_calls_work_beside_each_other(upstream: Upstream, model: Model) -> None:
    upstream.script(m=Behaviour(latency=1.5))
    asked = model("openai:m")
    began = time.monotonic()
    answers = await asyncio.gather(*(asked.ainvoke("hi") for _call in range(20)))
    assert {answer.text for answer in answers} == {Behaviour().text}
    assert time.monotonic() - began < 15
    assert upstream.of("m").most_in_flight == 20


async def test_a_cancelled_call_leaves_the_provider_promptly(upstream: Upstream, model: Model) -> None:
    upstream.script(m=Behaviour(faults=(faults.slow(20),)))
    call = asyncio.create_task(model("openai:m").ainvoke("hi"))
    await asyncio.to_thread(upstream.wait, "m", "in_flight", 1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.to_thread(upstream.wait, "m", "abandoned", 1)


async def test_a_reader_that_leaves_an_asynchronous_stream_ends_it(upstream: Upstream, model: Model) -> None:
    upstream.script(m=Behaviour(pieces=200, pause=0.1))
    stream: Any = model("openai:m").astream("hi")
    async for _piece in stream:
        break
    await stream.aclose()
    await asyncio.to_thread(upstream.wait, "m", "abandoned", 1)
    assert await asyncio.to_thread(_soon, lambda: ModelCall.objects.filter(outcome="cancelled").exists())


@pytest.fixture
def full(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """All threads of asynchronous calls are taken, until it is set."""
    settings.MODEL_ASYNC_THREADS = 1
    pools: dict[str, ThreadPoolExecutor] = {}
    monkeypatch.setattr(bridging, "_pools", pools)
    free = threading.Event()
    bridging._pool("model-call", 1).submit(free.wait, 20)
    yield free
    free.set()
    for pool in pools.values():
        pool.shutdown()


@pytest.mark.parametrize("limit", [{"deadline_seconds": 0.5}, {}])
async def test_an_asynchronous_call_that_gets_no_thread_is_over_in_its_time(
    limit: dict[str, float], full: threading.Event, upstream: Upstream, model: Model
) -> None:
    target = await in_thread(lambda: route("main", deployment("only"), **limit))
    began = time.monotonic()
    asked = model(target, deadline=None if limit else began + 0.5)
    with pytest.raises(ModelTimeout):
        await asked.ainvoke("hi")
    with pytest.raises(ModelTimeout):
        _pieces = [piece async for piece in asked.astream("hi")]
    assert 0.5 <= time.monotonic() - began < 5
    full.set()
    assert upstream.requests() == []
    assert await asyncio.to_thread(_soon, lambda: ModelCall.objects.count() == 2)
    first, second = await in_thread(lambda: [*ModelCall.objects.order_by("started_at")])
    for row in (first, second):
        assert (row.route, row.outcome, row.error_type, row.tries, row.cost) == (
            target,
            "failed",
            "ModelTimeout",
            [],
            0,
        )
    assert first.latency_ms >= 400


async def test_an_asynchronous_call_that_gets_its_thread_late_is_answered(
    full: threading.Event, upstream: Upstream, model: Model
) -> None:
    asyncio.get_running_loop().call_later(0.5, full.set)
    assert (await model("openai:m").ainvoke("hi")).text == Behaviour().text


async def test_an_asynchronous_call_that_has_a_thread_tells_itself_that_its_time_is_over(
    upstream: Upstream, model: Model
) -> None:
    upstream.script(m=Behaviour(faults=(faults.slow(20),)))
    with pytest.raises(ModelTimeout):
        await model("openai:m", deadline=time.monotonic() + 0.4).ainvoke("hi")
    assert await asyncio.to_thread(_soon, lambda: ModelCall.objects.filter(outcome="failed").exists())
    upstream.wait("m", "abandoned", 1)


async def test_the_callers_context_goes_with_an_asynchronous_call(
    upstream: Upstream, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    real = routing.find

    def find(target: str) -> Any:
        seen.append(MARK.get())
        return real(target)

    monkeypatch.setattr("agents.gateway.chat.routing.find", find)
    MARK.set("here")
    await model("openai:m").ainvoke("hi")
    assert seen[-1] == "here"


class Stuck(BaseChatModel):
    """A client whose waits nobody can bound."""

    says: tuple[str, ...] = ()
    gate: Any = None

    @property
    def _llm_type(self) -> str:
        return "stuck"

    def _generate(self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **_: Any) -> ChatResult:
        self.gate.wait(30)
        return ChatResult(generations=[ChatGenerationChunk(message=AIMessageChunk(content="late"))])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **_: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for text in self.says:
            yield ChatGenerationChunk(message=AIMessageChunk(content=text))
        self.gate.wait(30)


def test_a_client_that_cannot_be_told_how_long_to_wait_is_left_alone(
    upstream: Upstream, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    stuck, real = Stuck(says=("one", " two"), gate=gate), building.model_of
    monkeypatch.setattr(
        calling, "model_of", lambda each, parameters: stuck if each.name == "stuck" else real(each, parameters)
    )
    target = route("main", deployment("stuck"), deployment("good"), stall_seconds=0.3, deadline_seconds=2)
    try:
        pieces = list(model(target).stream("hi"))
        assert [piece.text for piece in pieces[:2]] == ["one", " two"]
        assert "".join(piece.text for piece in pieces[2:]) == Behaviour().text
        assert model(target).invoke("hi").text == Behaviour().text
    finally:
        gate.set()
    tries = ModelCall.objects.order_by("started_at").values_list("tries", flat=True)
    assert [[each["error"] for each in row] for row in tries] == [["StreamStalled", ""], ["ModelTimeout", ""]]


def test_connections_are_kept(upstream: Upstream, model: Model) -> None:
    asked = model(route("main", deployment("only")))
    for _call in range(10):
        asked.invoke("hi")
        list(asked.stream("hi"))
    assert upstream.connections() == 1


def _soon(is_so: Callable[[], bool], *, within: float = 10) -> bool:
    """For a thread that may end afterwards: it leaves no connection behind."""
    ends = time.monotonic() + within
    try:
        while not is_so() and time.monotonic() < ends:
            threading.Event().wait(0.01)
        return is_so()
    finally:
        close_connections()
