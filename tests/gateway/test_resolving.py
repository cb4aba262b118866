"""Names are looked up within the time of the call."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx2
import pytest

from agents.gateway import wire
from agents.gateway.guarding import Abandoned, Guard, Leaving, Overdue, watch
from tests.gateway.listening import listening
from tests.upstream.client import closed_port

URL = "http://models.example:81/v1"


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A resolver that does not come back."""
    over = threading.Event()

    def resolve(*_given: object, **_more: object) -> Any:
        over.wait(20)
        raise socket.gaierror("late")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    yield
    over.set()


def _send(url: str, guard: Guard | None = None, **options: Any) -> bytes:
    before = watch(guard)
    try:
        channel = wire.Channel(url, is_entered=False)
        with closing(channel.send("POST", url, headers={}, body=b"{}", **options)) as response:
            return b"".join(wire.pieces(response))
    finally:
        watch(before)


@pytest.mark.usefixtures("hanging")
def test_a_resolver_that_hangs_does_not_outlast_the_deadline() -> None:
    began = time.monotonic()
    with pytest.raises((Overdue, httpx2.ConnectTimeout)):
        _send(URL, Guard(ends=began + 0.3, leaving=Leaving()))
    with pytest.raises(httpx2.ConnectTimeout, match="No connection to models"):
        _send(URL, seconds=0.3)
    assert time.monotonic() - began < 3


@pytest.mark.usefixtures("hanging")
def test_nor_does_it_hold_a_call_that_nobody_waits_for() -> None:
    leaving, began = Leaving(), time.monotonic()
    threading.Timer(0.2, leaving.leave).start()
    with pytest.raises(Abandoned):
        _send(URL, Guard(ends=began + 15, leaving=leaving))
    assert time.monotonic() - began < 3


def test_of_several_addresses_the_first_that_answers_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo

    def resolve(host: str, port: int, *given: Any, **more: Any) -> Any:
        if host != "models.example":
            return real(host, port, *given, **more)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in ("127.0.0.2", "127.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with listening(b"{}", status=200) as heard:
        url = heard.url.replace("127.0.0.1", "models.example")
        assert _send(url) == b"{}"
    assert heard.headers[0]["host"].startswith("models.example:")


def test_a_refused_connection_is_no_late_one() -> None:
    with closed_port() as url, pytest.raises(httpx2.ConnectError):
        _send(url)


def test_a_name_without_an_address_and_one_that_is_none_are_failed_connections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def resolve(*_given: object, **_more: object) -> Any:
        raise socket.gaierror("no such name")

    with pytest.raises(httpx2.ConnectError):
        _send(f"http://{'x' * 64}.example:81/v1")
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(httpx2.ConnectError, match="no such name"):
        _send(URL)
