"""An answer that breaks off after its first token begins anew, and nobody is left with half of the first one."""

from __future__ import annotations

import functools
import operator
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.outputs.chat_generation import merge_chat_generation_chunks
from langchain_core.tracers._streaming import _StreamingCallbackHandler

from agents.gateway import restarts
from agents.gateway.exceptions import BrokenAnswer
from agents.gateway.models import ModelCall
from agents.gateway.restarts import first, restart, restart_of
from tests.gateway.conftest import Model
from tests.gateway.routes import deployment, route
from tests.upstream import faults
from tests.upstream.client import Upstream
from tests.upstream.script import Behaviour, Call

pytestmark = pytest.mark.django_db(transaction=True)
TOLD = {"from": "first", "why": "BrokenAnswer"}


class Heard(BaseCallbackHandler, _StreamingCallbackHandler[Any]):
    """What makes invoke() stream, as a graph's stream of messages does."""

    def __init__(self) -> None:
        self.pieces: list[Any] = []
        self.whole: list[Any] = []

    def on_llm_new_token(self, token: Any, *, chunk: Any = None, **kwargs: Any) -> None:
        self.pieces.append(chunk.message)

    def on_llm_end(self, response: Any, **kwargs: Any) -> None:
        self.whole.append(response.generations[0][0].message)

    def tap_output_aiter(self, run_id: Any, output: Any) -> Any:
        return output

    def tap_output_iter(self, run_id: Any, output: Any) -> Any:
        return output


@pytest.fixture
def target(upstream: Upstream) -> str:
    """The first of its two deployments breaks off."""
    upstream.script(
        first=Behaviour(text="The old answer.", faults=(faults.cut(after=2, reset=False),)),
        second=Behaviour(text="A new one."),
    )
    return route("main", deployment("first"), deployment("second"))


def _told(pieces: list[Any]) -> list[Any]:
    return [restart_of(piece) for piece in pieces if restart_of(piece)]


def test_a_reader_of_the_stream_is_told_once(target: str, model: Model) -> None:
    pieces = list(model(target).stream("hi"))
    place = next(number for number, piece in enumerate(pieces) if restart_of(piece))
    assert _told(pieces) == [TOLD]
    assert "".join(piece.text for piece in pieces[:place]) == "The old"
    assert "".join(piece.text for piece in pieces[place:]) == "A new one."


def test_pieces_that_are_added_together_hold_the_last_answer_only(target: str, model: Model) -> None:
    whole = functools.reduce(operator.add, model(target).stream("hi"))
    assert (whole.text, type(whole)) == ("A new one.", AIMessageChunk)
    assert restart_of(whole) is None
    assert whole.usage_metadata is not None
    assert whole.usage_metadata["output_tokens"] == 3


async def test_so_do_those_of_an_asynchronous_stream(target: str, model: Model) -> None:
    whole: Any = None
    async for piece in model(target).astream("hi"):
        whole = piece if whole is None else whole + piece
    assert whole.text == "A new one."


def test_invoke_under_a_streaming_callback_gives_the_last_answer_only(target: str, model: Model) -> None:
    heard = Heard()
    answer = model(target).invoke("hi", {"callbacks": [heard]})
    assert (answer.text, type(answer)) == ("A new one.", AIMessage)
    assert [message.text for message in heard.whole] == ["A new one."]
    assert _told(heard.pieces) == [TOLD]


async def test_ainvoke_under_a_streaming_callback_too(target: str, model: Model) -> None:
    answer = await model(target).ainvoke("hi", {"callbacks": [Heard()]})
    assert (answer.text, type(answer)) == ("A new one.", AIMessage)


def test_what_the_end_of_a_stream_tells_callbacks_is_the_last_answer(target: str, model: Model) -> None:
    heard = Heard()
    list(model(target).stream("hi", {"callbacks": [heard]}))
    assert [message.text for message in heard.whole] == ["A new one."]


def test_a_tool_call_that_was_cut_is_not_in_the_answer(upstream: Upstream, model: Model) -> None:
    long, short = Call("pay", '{"amount": 100, "to": "ana"}'), Call("pay", '{"amount": 1}')
    upstream.script(
        first=Behaviour(calls=(long,), faults=(faults.cut(after=2),)), second=Behaviour(calls=(short,))
    )  # fmt: skip
    asked = model(route("main", deployment("first"), deployment("second")))
    for answer in (asked.invoke("hi", {"callbacks": [Heard()]}), functools.reduce(operator.add, asked.stream("hi"))):
        assert [call["args"] for call in answer.tool_calls] == [{"amount": 1}]


def test_a_failure_before_the_first_token_is_invisible(upstream: Upstream, model: Model) -> None:
    upstream.script(first=Behaviour(faults=(faults.cut(after=0, reset=False),)), second=Behaviour())
    pieces = list(model(route("main", deployment("first"), deployment("second"))).stream("hi"))
    assert _told(pieces) == []
    assert upstream.of("first").requests == 1
    assert functools.reduce(operator.add, pieces).text == Behaviour().text


def test_the_tokens_of_what_was_thrown_away_are_counted(target: str, model: Model) -> None:
    list(model(target).stream("hi"))
    row = ModelCall.objects.get()
    assert [(each["deployment"], each["outcome"]) for each in row.tries] == [
        ("first", "broken"),
        ("second", "succeeded"),
    ]
    assert row.output_tokens > 3
    assert row.is_estimate


def test_langchains_stream_of_events_never_begins_anew(target: str, upstream: Upstream, model: Model) -> None:
    with pytest.raises(BrokenAnswer):
        list(model(target).stream_events("hi", version="v3"))
    assert upstream.of("second").requests == 0


def test_two_restarts_leave_the_third_answer() -> None:
    told = functools.partial(restart, deployment="d", why="w")
    pieces = [first(_piece("a")), told(), _piece("b"), told(), _piece("c"), _piece("d")]
    merged = merge_chat_generation_chunks(pieces)
    assert merged is not None
    assert merged.message.content == "cd"
    assert functools.reduce(operator.add, (piece.message for piece in pieces)).content == "cd"
    assert functools.reduce(operator.add, pieces).message.content == "cd"
    assert restarts.after_restart(pieces) == pieces[4:]


def _piece(text: str) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=AIMessageChunk(content=text, id="run-1"))
