"""Identical requests at the same time, over several processes: one asks, the others read along."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection, connections

from agents.cache import flights, link
from agents.cache.models import CacheEntry
from agents.gateway.exceptions import TokenLimitReached
from tests.cache.fakes import Provider, Reply, ask, chunk, ending, request, saying
from tests.upstream import client
from tests.upstream.client import Upstream
from tests.upstream.faults import failing
from tests.upstream.script import Behaviour

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).resolve().parents[2]
TEXT = "One two three four five six seven eight."
WITHIN = 60


def _database_url() -> str:
    found = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{found['NAME']}"
    return f"postgres://{found['USER']}:{found['PASSWORD']}@{found['HOST']}:{found['PORT']}/{found['NAME']}"


class Callers:
    """A process of callers, see tests.cache.caller."""

    def __init__(self, pid: int, answers: int) -> None:
        self._pid, self._answers = pid, os.fdopen(answers)

    def wait_until_reading(self) -> None:
        """Until every caller has three pieces."""
        assert self._line() == "reading"

    def results(self) -> list[dict[str, Any]]:
        """What each caller got."""
        found: list[dict[str, Any]] = json.loads(self._line())
        return found

    def kill(self) -> None:
        """When this returns it is no more."""
        os.kill(self._pid, signal.SIGKILL)
        assert self._line() == ""

    def close(self) -> None:
        """Nothing is left of it."""
        os.kill(self._pid, signal.SIGKILL)
        with self._answers:
            self._answers.read()

    def _line(self) -> str:
        timer = threading.Timer(WITHIN, os.kill, (self._pid, signal.SIGKILL))
        timer.start()
        try:
            return self._answers.readline().strip()
        finally:
            timer.cancel()


class Nursery:
    """Starts processes of callers: forked, so that what they import is imported once."""

    def __init__(self) -> None:
        self._orders, theirs = socket.socketpair()
        more = {"DATABASE_URL": _database_url(), "REDIS_URL": django_settings.REDIS_URL}
        with theirs:
            command = [sys.executable, "-m", "tests.cache.caller", str(theirs.fileno())]
            self._process = subprocess.Popen(command, cwd=ROOT, env=os.environ | more, pass_fds=[theirs.fileno()])

    @contextmanager
    def callers(self, url: str, count: int, *, without: str = "", seconds: float = WITHIN) -> Iterator[Callers]:
        """So many in a process of their own, which is killed in the end; `without` a safeguard."""
        order = {"url": url, "count": count, "without": without, "seconds": seconds}
        read, write = os.pipe()
        socket.send_fds(self._orders, [json.dumps(order).encode()], [write])
        os.close(write)
        callers = Callers(int(self._orders.recv(64)), read)
        try:
            yield callers
        finally:
            callers.close()

    def close(self) -> None:
        """Ends it."""
        self._orders.close()
        self._process.wait(WITHIN)


@pytest.fixture(scope="module")
def nursery(django_db_setup: None) -> Iterator[Nursery]:
    found = Nursery()
    yield found
    found.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Upstream]:
    with client.process() as found:
        yield found


@pytest.fixture
def upstream(server: Upstream) -> Iterator[Upstream]:
    server.reset()
    yield server
    server.release()


def _words(text: str = TEXT) -> list[str]:
    from tests.cache.caller import asker

    with client.thread() as other:
        other.script(m=Behaviour(text=text, latency=0))
        return [str(each.message.text) for each in asker(other.url)() if each.message.text]


def _hundred(upstream: Upstream, nursery: Nursery, *, kill: bool, **options: Any) -> list[list[dict[str, Any]]]:
    """100 callers in three processes, one holding only the leader; the results of the processes that live."""
    with ExitStack() as stack:
        leader = stack.enter_context(nursery.callers(upstream.url, 1, **options))
        leader.wait_until_reading()
        others = [stack.enter_context(nursery.callers(upstream.url, count, **options)) for count in (49, 50)]
        for each in others:
            each.wait_until_reading()
        if kill:
            leader.kill()
        else:
            upstream.release()
        living = others if kill else [leader, *others]
        return [each.results() for each in living]


@pytest.mark.once
def test_a_hundred_callers_in_three_processes_are_one_call(upstream: Upstream, nursery: Nursery) -> None:
    upstream.script(m=Behaviour(text=TEXT, latency=0, holds_after=3))
    results = [each for many in _hundred(upstream, nursery, kill=False) for each in many]
    assert len(results) == 100
    assert [each["error"] for each in results if each["error"]] == []
    assert all(each["pieces"] == _WORDS for each in results)
    assert sorted(each["tier"] for each in results) == ["", *["flight"] * 99]
    assert upstream.of("m").requests == 1
    assert CacheEntry.objects.count() == 1


@pytest.mark.once
def test_when_the_leaders_process_is_killed_one_of_the_others_asks(upstream: Upstream, nursery: Nursery) -> None:
    upstream.script(m=[Behaviour(text=TEXT, latency=0, holds_after=3, times=1), Behaviour(text=TEXT, latency=0)])
    results = [each for many in _hundred(upstream, nursery, kill=True) for each in many]
    assert len(results) == 99
    assert [each["error"] for each in results if each["error"]] == []
    assert all(each["pieces"] == _WORDS for each in results)
    assert [each["tier"] for each in results].count("") == 1
    assert upstream.of("m").requests == 2


@pytest.mark.once
def test_when_the_next_leader_gets_another_answer_the_others_are_told_to_begin_anew(
    upstream: Upstream, nursery: Nursery
) -> None:
    other = "One two other words."
    upstream.script(m=[Behaviour(text=TEXT, latency=0, holds_after=3, times=1), Behaviour(text=other, latency=0)])
    results = [each for many in _hundred(upstream, nursery, kill=True) for each in many]
    expected = [*_WORDS[:3], "<restart>", *_words(other)]
    assert len(results) == 99
    assert all(each["pieces"] == expected for each in results)
    assert upstream.of("m").requests == 2


@pytest.mark.once
def test_without_flights_everybody_would_ask(upstream: Upstream, nursery: Nursery) -> None:
    upstream.script(m=Behaviour(text=TEXT, latency=0, holds_after=3))
    results = [each for many in _hundred(upstream, nursery, kill=False, without="flights") for each in many]
    assert len(results) == 100
    assert upstream.of("m").requests == 100


@pytest.mark.once
def test_without_the_end_of_leases_nobody_would_take_the_place_of_a_dead_leader(
    upstream: Upstream, nursery: Nursery
) -> None:
    upstream.script(m=[Behaviour(text=TEXT, latency=0, holds_after=3, times=1), Behaviour(text=TEXT, latency=0)])
    given = _hundred(upstream, nursery, kill=True, without="expiry", seconds=5)
    results = [each for many in given for each in many]
    # They gave up waiting, each for itself: none reads along with one that has taken its place.
    assert len(results) == 99
    assert upstream.of("m").requests >= 2
    assert "flight" not in {each["tier"] for each in results}


_WORDS = ["One", " two", " three", " four", " five", " six", " seven", " eight."]


def test_the_words_are_those_that_the_upstream_says() -> None:
    assert _words() == _WORDS


class Gate:
    """A provider that says two pieces and waits; `ends` decides how it goes on."""

    def __init__(self, ends: Any = None) -> None:
        self.started, self.open, self.ends, self.calls = threading.Event(), threading.Event(), ends, 0

    def __call__(self) -> Iterator[Any]:
        self.calls += 1
        yield chunk("a")
        yield chunk("b")
        self.started.set()
        assert self.open.wait(WITHIN)
        if self.ends is not None:
            raise self.ends
        yield chunk("c")
        yield ending()


class Call(threading.Thread):
    """A call in a thread of its own."""

    def __init__(self, provider: Any, asked: Any) -> None:
        super().__init__()
        self.provider, self.asked = provider, asked
        self.reply: Reply | None = None
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self.reply = ask(self.provider, self.asked)
        except BaseException as error:
            self.error = error
        finally:
            connections.close_all()

    def done(self) -> Call:
        self.join(WITHIN)
        assert not self.is_alive()
        return self


def _reading(monkeypatch: pytest.MonkeyPatch, count: int) -> threading.Event:
    """Set when so many blocking reads have begun: the others read along."""
    reads, all_read, plain = [0], threading.Event(), flights._read

    def counted(stream: str, last: str) -> Any:
        reads[0] += 1
        if reads[0] >= count:
            all_read.set()
        return plain(stream, last)

    monkeypatch.setattr(flights, "_read", counted)
    return all_read


def test_the_error_of_a_leader_is_not_that_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    gate, well = Gate(ends=RuntimeError("broken")), Provider([saying("a", "b", "c")])
    reading = _reading(monkeypatch, 2)
    leader = Call(gate, request("hi"))
    assert gate.started.wait(WITHIN)
    others = [Call(well, request("hi")) for _ in range(5)]
    assert reading.wait(WITHIN)
    gate.open.set()
    assert isinstance(leader.done().error, RuntimeError)
    replies = [each.done().reply for each in others]
    assert [each.texts for each in replies if each] == [["a", "b", "c"]] * 5
    assert (gate.calls, well.calls) == (1, 1)


def test_a_limit_of_the_leader_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    gate, well = Gate(ends=TokenLimitReached()), Provider([saying("a", "b", "c")])
    reading = _reading(monkeypatch, 1)
    leader = Call(gate, request("hi"))
    assert gate.started.wait(WITHIN)
    other = Call(well, request("hi"))
    assert reading.wait(WITHIN)
    gate.open.set()
    assert isinstance(leader.done().error, TokenLimitReached)
    reply = other.done().reply
    assert reply is not None
    assert (reply.text, reply.tier) == ("abc", "")


def test_when_the_provider_fails_for_two_leaders_everybody_asks_for_themselves(
    upstream: Upstream, nursery: Nursery
) -> None:
    upstream.script(m=Behaviour(latency=0, faults=(failing(500),)))
    with nursery.callers(upstream.url, 10) as callers:
        results = callers.results()
    assert [each["error"] for each in results] == ["RuntimeError('upstream said 500')"] * 10
    assert upstream.of("m").requests == 10


def test_who_is_told_to_stop_waits_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stopped(BaseException):
        pass

    is_stopped = threading.Event()

    def check() -> None:
        if is_stopped.is_set():
            raise Stopped

    gate, reading = Gate(), _reading(monkeypatch, 1)
    leader = Call(gate, request("hi"))
    assert gate.started.wait(WITHIN)
    other = Call(Provider([saying("x")]), request("hi", look=check))
    assert reading.wait(WITHIN)
    is_stopped.set()
    assert isinstance(other.done().error, Stopped)
    gate.open.set()
    reply = leader.done().reply
    assert reply is not None
    assert reply.text == "abc"


def test_who_has_waited_long_enough_asks_for_itself(settings: Any) -> None:
    settings.CACHE_FLIGHT_SECONDS = 0.2
    gate, own = Gate(), Provider([saying("a", "b", "c")])
    leader = Call(gate, request("hi"))
    assert gate.started.wait(WITHIN)
    reply = Call(own, request("hi")).done().reply
    assert reply is not None
    assert (reply.texts, reply.tier, own.calls) == (["a", "b", "c"], "", 1)
    gate.open.set()
    leader.done()


def test_who_wants_the_whole_answer_reads_along_too(monkeypatch: pytest.MonkeyPatch) -> None:
    gate, reading = Gate(), _reading(monkeypatch, 1)
    leader = Call(gate, request("hi"))
    assert gate.started.wait(WITHIN)
    other = Call(Provider([saying("x")]), request("hi", streamed=False))
    assert reading.wait(WITHIN)
    gate.open.set()
    leader.done()
    reply = other.done().reply
    assert reply is not None
    assert ([each.message.text for each in reply.generations], reply.tier) == (["abc"], "flight")
    assert reply.shown["tier"] == "flight"
    told = reply.provenance
    assert (told.saved_input_tokens, told.saved_output_tokens, str(told.saved_cost)) == (7, 2, "0.25")
    # So that whoever calls it wrong takes away what was kept.
    assert told.entry_id == CacheEntry.objects.get().pk


def test_who_reads_along_holds_no_connection_of_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    gate, held, plain, has_read = Gate(), list[bool](), flights._read, threading.Event()

    def looked(stream: str, last: str) -> Any:
        # SQLite has no pool: its file stays open.
        held.append(connection.vendor == "postgresql" and connection.connection is not None)
        has_read.set()
        return plain(stream, last)

    monkeypatch.setattr(flights, "_read", looked)
    leader = Call(gate, request("hi"))
    assert gate.started.wait(WITHIN)
    other = Call(Provider([saying("x")]), request("hi"))
    assert has_read.wait(WITHIN)
    gate.open.set()
    leader.done()
    reply = other.done().reply
    assert reply is not None
    assert (reply.tier, any(held)) == ("flight", False)


def test_a_leader_whose_caller_leaves_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    from agents.cache.answers import CachedAnswers
    from agents.gateway.answers import CallNotes

    given = CachedAnswers().through(request("hi"), Provider([saying("a", "b")]), CallNotes())
    next(given)
    reading = _reading(monkeypatch, 1)
    other = Call(Provider([saying("a", "b")]), request("hi"))
    assert reading.wait(WITHIN)
    given.close()  # type: ignore[attr-defined]
    reply = other.done().reply
    assert reply is not None
    assert reply.texts == ["a", "b"]


def test_the_leader_looks_again_before_it_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = Provider([saying("hello")])
    plain = flights.lead
    # Somebody else's call begins and ends between this one's look and its lease.
    monkeypatch.setattr(flights, "lead", _once(lambda: ask(provider, request("hi")), plain))
    assert ask(provider, request("hi")).tier == "exact"
    assert provider.calls == 1


def _once(before: Any, plain: Any) -> Any:
    done: list[bool] = []

    def lead(exact: str) -> Any:
        if not done:
            done.append(True)
            before()
        return plain(exact)

    return lead


def test_without_redis_each_asks_for_itself(settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    link.outage.answered()
    assert ask(Provider([saying("hello")]), request("hi")).text == "hello"


def test_a_flight_leaves_no_lease_behind() -> None:
    ask(Provider([saying("hello")]), request("hi"))
    names = link.ask(lambda redis: [*redis.scan_iter(link.key("flight", "*"))])
    assert all(name.count(b":") == 4 for name in names)
    assert all(link.ask(lambda redis, name=name: redis.pttl(name)) > 0 for name in names)  # type: ignore[misc]
