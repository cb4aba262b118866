"""Requests that submit tasks to a fleet, and what came of each."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.chaos.harness import Fleet

TASKS = "/api/v1/tasks"


@dataclass
class Post:
    """One request to submit a task: the answers until one was 202, and when that was."""

    body: Mapping[str, Any]
    key: str = field(default_factory=lambda: uuid.uuid4().hex)
    answers: list[int] = field(default_factory=list)
    problems: list[tuple[str, Any]] = field(default_factory=list)
    task: str = ""
    seconds: float = 0.0


class Posts:
    """Requests to submit, sent by some threads over connections that stay open.

    With `patience` (seconds) a caller tries again, with the same key, what was not accepted; 0 is for a connection that
    broke.
    """

    def __init__(self, fleet: Fleet, *, patience: float = 0) -> None:
        self.all: list[Post] = []
        self._fleet = fleet
        self._patience = patience
        self._own = threading.local()
        self._connections: list[HTTPConnection] = []

    @property
    def tasks(self) -> list[str]:
        """The ids of what was accepted."""
        return [post.task for post in self.all if post.task]

    def send_all(self, bodies: Sequence[Mapping[str, Any]], *, parallel: int, per_second: float = 0) -> None:
        """One for each body, at most so many a second; returns when all have been answered."""
        began = time.monotonic()

        def send(numbered: tuple[int, Mapping[str, Any]]) -> Post:
            number, body = numbered
            if per_second:
                time.sleep(max(0.0, began + number / per_second - time.monotonic()))
            return self.send(body)

        with ThreadPoolExecutor(parallel) as pool:
            self.all += pool.map(send, enumerate(bodies))
        self.close()

    def close(self) -> None:
        """Closes the connections of threads that have ended."""
        while self._connections:
            self._connections.pop().close()

    def send(self, body: Mapping[str, Any]) -> Post:
        """One, until it is accepted or patience is over."""
        post = Post(body)
        deadline = time.monotonic() + self._patience
        while True:
            self._try(post)
            if post.task or time.monotonic() > deadline:
                return post
            time.sleep(0.1)

    def _connection(self) -> HTTPConnection:
        if not hasattr(self._own, "connection"):
            self._own.connection = self._fleet.connect()
            self._connections.append(self._own.connection)
        return self._own.connection  # type: ignore[no-any-return]

    def _try(self, post: Post) -> None:
        connection = self._connection()
        began = time.monotonic()
        try:
            response = self._fleet.send(connection, "POST", TASKS, post.body, Idempotency_Key=post.key)
            status, text = response.status, response.read()
        except (OSError, HTTPException):
            connection.close()  # the next request opens it again
            post.answers.append(0)
            return
        post.seconds = time.monotonic() - began
        post.answers.append(status)
        if status == 202:
            post.task = json.loads(text)["id"]
        else:
            post.problems.append((response.headers.get("Content-Type", ""), json.loads(text)))
