"""Brokers that a test may empty and take away: a Valkey of its own, or a line to RabbitMQ that can be cut."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import redis
from kombu import Connection, Queue

from mutirao.embedded import EmbeddedValkey, free_port
from tests.chaos.harness import QUEUES, Fleet, valkey
from tests.environment import GIVEN


class Broker(Protocol):
    """What the tests do to it."""

    def empty(self, fleet: Fleet) -> None:
        """Takes every message out of it."""

    def stop(self) -> None:
        """Nobody can reach it any more."""

    def start(self) -> None:
        """It is back, at the same address."""


@dataclass
class OwnValkey:
    """A server for this test alone."""

    server: EmbeddedValkey

    def empty(self, fleet: Fleet) -> None:
        """FLUSHALL: messages, what Celery knows of its queues, and everything else."""
        with contextlib.closing(redis.Redis.from_url(self.server.url)) as client:
            client.flushall()

    def stop(self) -> None:
        """The process ends."""
        self.server.stop()

    def start(self) -> None:
        """A new process on the same port and files."""
        self.server.start()


@dataclass
class RabbitMQ:
    """The server that was given, which is not ours to stop: what is cut is the line to it."""

    url: str
    line: Line

    def empty(self, fleet: Fleet) -> None:
        """Purges the queues of this fleet."""
        with Connection(self.url) as connection:
            for queue in QUEUES:
                Queue(f"{fleet.environ['MUTIRAO_QUEUE_PREFIX']}{queue}", channel=connection.default_channel).purge()

    def stop(self) -> None:
        """Cuts every connection and takes no new one."""
        self.line.cut()

    def start(self) -> None:
        """Takes connections again."""
        self.line.open()


@dataclass
class Line:
    """Forwards the connections to one port of 127.0.0.1 to another address."""

    host: str
    target: int
    port: int = field(default_factory=free_port)
    _stopped: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def open(self) -> None:
        """Begins to listen."""
        self._stopped.clear()
        listener = socket.create_server(("127.0.0.1", self.port))
        self._thread = threading.Thread(target=self._forward, args=(listener,), daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Ends every connection."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def _forward(self, listener: socket.socket) -> None:
        other: dict[socket.socket, socket.socket] = {}
        with listener, selectors.DefaultSelector() as ready:
            ready.register(listener, selectors.EVENT_READ)
            while not self._stopped.is_set():
                for key, _ in ready.select(timeout=0.05):
                    if key.fileobj is listener:
                        ends = listener.accept()[0], socket.create_connection((self.host, self.target))
                        for end, far in (ends, ends[::-1]):
                            other[end] = far
                            ready.register(end, selectors.EVENT_READ)
                    else:
                        self._pass_on(key.fileobj, other, ready)  # type: ignore[arg-type]
            for end in other:
                end.close()

    def _pass_on(
        self, end: socket.socket, other: dict[socket.socket, socket.socket], ready: selectors.BaseSelector
    ) -> None:
        if end not in other:
            return
        with contextlib.suppress(OSError):
            if data := end.recv(65536):
                other[end].sendall(data)
                return
        for each in (other.pop(end), end):
            other.pop(each, None)
            ready.unregister(each)
            each.close()


@contextmanager
def breakable(home: Path) -> Iterator[tuple[Broker, dict[str, str]]]:
    """A broker of the kind that the suite was told to use, and the variables that name it."""
    with valkey(home / "valkey") as server:
        url = GIVEN.get("CELERY_BROKER_URL", "")
        if not url.startswith("amqp"):
            yield OwnValkey(server), {"REDIS_URL": server.url}
            return
        parts = urlsplit(url)
        line = Line(parts.hostname or "127.0.0.1", parts.port or 5672)
        line.open()
        here = parts._replace(netloc=f"{parts.username or 'guest'}:{parts.password or 'guest'}@127.0.0.1:{line.port}")
        try:
            yield RabbitMQ(url, line), {"REDIS_URL": server.url, "CELERY_BROKER_URL": here.geturl()}
        finally:
            line.cut()
