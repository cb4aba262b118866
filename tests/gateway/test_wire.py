"""What goes over the wire, and how it is read."""

from __future__ import annotations

import gc
import gzip
import itertools
import socket
import threading
import weakref
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import BaseModel

from agents.gateway import binding, calling, wire
from agents.gateway.events import data_of
from agents.gateway.exceptions import ModelRejected
from tests.gateway.conftest import Model
from tests.gateway.routes import deployment, route
from tests.upstream.client import Upstream

# LangChain has threads of its own.
pytestmark = pytest.mark.django_db(transaction=True)

STREAM = b': ping\n\ndata: {"a": 1}\r\n\r\nevent: x\ndata:one\ndata: two\n\nid: 3\n\n: ping\n\ndata: [DONE]\n\n'
EVENTS = [b'{"a": 1}', b"one\ntwo", b"[DONE]"]


class Joke(BaseModel):
    """A joke."""

    setup: str
    punchline: str


def tell(topic: str) -> str:
    """Tells a joke."""
    return topic


@given(st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_events_are_read_however_the_bytes_come(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    chunks = [STREAM[start:end] for start, end in itertools.pairwise(places)]
    assert list(data_of(chunks)) == EVENTS


def test_an_event_that_the_end_cuts_short_is_still_told() -> None:
    assert list(data_of([b"data: a\n\ndata: [DONE]"])) == [b"a", b"[DONE]"]


def test_tools_are_bound_as_openai_has_them(upstream: Upstream, model: Model) -> None:
    bound = model(route("main", deployment("only"))).bind_tools([tell], tool_choice="tell", strict=True)
    assert isinstance(bound.invoke("hi"), AIMessage)
    asked = upstream.requests()[-1].body
    assert asked["tool_choice"] == {"type": "function", "function": {"name": "tell"}}
    assert asked["tools"][0]["function"]["strict"] is True
    bound.invoke("hi")
    assert upstream.requests()[-1].body == asked


@pytest.mark.parametrize("method", ["function_calling", "json_schema", "json_mode"])
def test_answers_in_a_form(method: str, upstream: Upstream, model: Model) -> None:
    asked = model("openai:m")
    if method == "json_mode":
        assert asked.with_structured_output({"title": "any"}, method=method).invoke("hi, as json") == {
            "answer": _text()
        }
        return
    found: Any = asked.with_structured_output(Joke, method=method, strict=True).invoke("hi")
    assert isinstance(found, Joke)
    whole: Any = asked.with_structured_output(Joke, method=method, include_raw=True).invoke("hi")
    assert isinstance(whole["raw"], AIMessage)
    assert isinstance(whole["parsed"], Joke)
    assert whole["parsing_error"] is None


def test_an_unknown_way_to_an_answer_in_a_form_is_refused(upstream: Upstream, model: Model) -> None:
    with pytest.raises(ValueError, match="method"):
        model("openai:m").with_structured_output(Joke, method="wishing")


class Other(BaseChatModel):
    """A provider that binds tools in its own way."""

    seen: list[dict[str, Any]]
    can_bind: bool = True

    @property
    def _llm_type(self) -> str:
        return "other"

    def bind_tools(self, tools: Any, *, tool_choice: Any = None, **kwargs: Any) -> Any:
        if not self.can_bind:
            raise NotImplementedError
        return self.bind(functions=[each["function"]["name"] for each in tools], choice=tool_choice)

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        self.seen.append(kwargs)
        return ChatResult(generations=[ChatGeneration(message=AIMessage("done"))])


def test_each_deployment_binds_the_tools_itself(
    upstream: Upstream, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Other(seen=[])
    monkeypatch.setattr(calling, "model_of", lambda *_given: other)
    bound = model(route("main", deployment("only"))).bind_tools([tell], tool_choice="any")
    assert bound.invoke("hi", temperature=0).text == "done"
    assert other.seen == [{"functions": ["tell"], "choice": "any", "temperature": 0}]


def test_tools_that_a_model_cannot_bind_are_told_to_the_caller(
    upstream: Upstream, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calling, "model_of", lambda *_given: Other(seen=[], can_bind=False))
    with pytest.raises(ModelRejected):
        model(route("main", deployment("only"))).bind_tools([tell]).invoke("hi")


def test_what_is_bound_is_remembered_for_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binding, "MOST_BOUND", 3)
    other = Other(seen=[])
    for number in range(10):
        tools = [{"type": "function", "function": {"name": f"tool{number}"}}]
        assert binding.options_for(other, {"tools": tools})["functions"] == [f"tool{number}"]
    assert len(binding._bound) <= 3


def test_a_client_lives_as_long_as_somebody_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MOST_CLIENTS", 2)
    url = "http://127.0.0.1:1/v1"
    first = wire.client("tests-first", url, is_entered=False)
    for number in range(3):
        wire.client(f"tests-{number}", url, is_entered=False)
    assert wire.client("tests-first", url, is_entered=False) is first
    for number in range(3):
        wire.client(f"tests-{number}", url, is_entered=False)
    left = weakref.ref(first.channel)
    del first
    gc.collect()
    assert left() is None


def test_the_proxy_of_the_environment_is_used_but_not_for_entered_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "inside.example")
    assert wire._proxy_of("https://api.example/v1") == "http://proxy.example:3128"
    assert wire._proxy_of("https://inside.example/v1") == ""
    assert wire._pool("https://api.example/v1", is_entered=False).proxy is not None
    assert wire._pool("https://api.example/v1", is_entered=True).proxy is None


@pytest.mark.parametrize("login", ["", "me:p%40ss@"])
def test_a_proxy_is_asked_for_the_whole_address(login: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with _answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") as (port, heard):
        monkeypatch.setenv("http_proxy", f"http://{login}127.0.0.1:{port}")
        monkeypatch.setenv("no_proxy", "")
        channel = wire.Channel("http://api.example/v1", is_entered=False)
        with closing(channel.send("POST", "http://api.example/v1/x", headers={}, body=b"{}")) as response:
            assert b"".join(wire.pieces(response)) == b"ok"
    asked = b"".join(heard).decode()
    assert asked.startswith("POST http://api.example/v1/x HTTP/1.1\r\nHost: api.example\r\n")
    assert ("proxy-authorization: Basic bWU6cEBzcw==" in asked) == bool(login)


@pytest.mark.parametrize(
    ("answer", "read"),
    [
        (b"Content-Length: 5\r\n\r\nhello", b"hello"),
        (b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", b"hello"),
        (b"Content-Encoding: gzip\r\nConnection: close\r\n\r\n" + gzip.compress(b"hello", mtime=0), b"hello"),
        (b"Connection: close\r\n\r\nhello", b"hello"),
        # Cut, or no such thing at all.
        (b"Content-Length: 9\r\n\r\nhello", None),
        (b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n", None),
        (b"Transfer-Encoding: chunked\r\n\r\nrubbish\r\n", None),
        (b"Content-Encoding: gzip\r\nConnection: close\r\n\r\nhello", None),
    ],
)
def test_a_body_comes_whole_or_not_at_all(answer: bytes, read: bytes | None) -> None:
    with _answering(b"HTTP/1.1 200 OK\r\n" + answer) as (port, _heard):
        url = f"http://127.0.0.1:{port}/v1"
        response = wire.Channel(url, is_entered=False).send("POST", url, headers={}, body=b"{}")
        with closing(response):
            if read is None:
                with pytest.raises(httpx2.ReadError):
                    list(wire.pieces(response))
            else:
                assert b"".join(wire.pieces(response)) == read


def test_a_connection_that_has_rested_for_long_is_not_used_again(
    upstream: Upstream, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = model(route("main", deployment("only")))
    asked.invoke("one")
    asked.invoke("two")
    assert upstream.connections() == 1
    monkeypatch.setattr(wire, "KEPT_SECONDS", 0.0)
    asked.invoke("three")
    assert upstream.connections() == 2


@contextmanager
def _answering(answer: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """A server that gives one answer and hangs up; its port, and what it was sent."""
    heard = list[bytes]()

    def serve(listening: socket.socket) -> None:
        connection, _address = listening.accept()
        with connection:
            while not b"".join(heard).endswith(b"{}"):
                heard.append(connection.recv(65_536))
            connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,), daemon=True)
        thread.start()
        yield listening.getsockname()[1], heard
        thread.join(5)


def _text() -> str:
    from tests.upstream.script import Behaviour

    return Behaviour().text
