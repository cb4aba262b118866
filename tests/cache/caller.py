"""Processes of many callers who all ask the same at the same time, forked from one that has imported everything.

`python -m tests.cache.caller SOCKET` reads orders from this file descriptor, a stream socket, one at a time:
`{"url": …, "count": n, "without": safeguard, "seconds": n}` with a descriptor to write to, and answers with the id of
the process. That one writes `reading` when each of its callers has three pieces, and at the end what each got, as JSON.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

LONGEST_ORDER = 4096
READS_ALONG_AFTER = 3


def asker(url: str, model: str = "m") -> Callable[[], Iterator[Any]]:
    """Asks the scripted upstream for a stream, with no client in between."""
    from foundation.threads import release_connections
    from tests.cache.fakes import chunk, ending

    at = urlsplit(url)

    def ask() -> Iterator[Any]:
        # As the gateway does.
        release_connections()
        connection = HTTPConnection(at.hostname or "", at.port, timeout=60)
        try:
            body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "stream": True}
            headers = {"Content-Type": "application/json", "Authorization": "Bearer sk-test"}
            connection.request("POST", f"{at.path}/chat/completions", json.dumps(body), headers)
            response = connection.getresponse()
            if response.status != 200:
                raise RuntimeError(f"upstream said {response.status}")
            for line in response:
                said = line.decode().strip().removeprefix("data: ")
                if said == "[DONE]":
                    yield ending()
                    return
                for choice in json.loads(said)["choices"] if said.startswith("{") else ():
                    if text := choice["delta"].get("content"):
                        yield chunk(text)
            raise RuntimeError("the stream was cut")
        finally:
            connection.close()

    return ask


class Callers:
    """So many threads with one call each."""

    def __init__(self, url: str, count: int) -> None:
        self._ask, self._count = asker(url), count
        self._guard = threading.Lock()
        self._reading = 0
        self.results: list[dict[str, Any]] = []

    def run(self) -> None:
        threads = [threading.Thread(target=self._call) for _ in range(self._count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _call(self) -> None:
        from django.db import connections

        from agents.cache.answers import CachedAnswers
        from agents.gateway.answers import CallNotes
        from tests.cache.fakes import request

        notes, pieces = CallNotes(), []
        try:
            for piece in CachedAnswers().through(request("hi"), self._ask, notes):
                restarts = "mutirao_restart" in piece.message.response_metadata
                if restarts:
                    pieces.append("<restart>")
                elif piece.message.text:
                    pieces.append(str(piece.message.text))
                if len(pieces) == READS_ALONG_AFTER and not restarts:
                    self._note_reading()
            result = {"pieces": pieces, "tier": notes.provenance.tier, "error": ""}
        except Exception as error:
            result = {"pieces": pieces, "tier": "", "error": repr(error)}
        finally:
            connections.close_all()
        with self._guard:
            self.results.append(result)

    def _note_reading(self) -> None:
        with self._guard:
            self._reading += 1
            if self._reading == self._count:
                sys.stdout.write("reading\n")
                sys.stdout.flush()


def _without(safeguard: str) -> None:
    """Takes a safeguard away, to see that the test would notice."""
    from agents.cache import flights

    if safeguard == "flights":
        flights.lead = lambda exact: flights.Lead(exact, None)
    if safeguard == "expiry":
        setattr(flights, "LEASE_MS", 600_000)  # noqa: B010 (it is final)


def _run(order: dict[str, Any]) -> None:
    from django.conf import settings

    settings.CACHE_MODE = "exact"
    settings.CACHE_FLIGHT_SECONDS = float(order["seconds"])
    _without(order["without"])
    callers = Callers(order["url"], order["count"])
    callers.run()
    sys.stdout.write(json.dumps(callers.results) + "\n")
    sys.stdout.flush()


def _begin(order: dict[str, Any], answers: int) -> int:
    """Its process' id. What has ended stays known until this process ends, so that no id is used twice."""
    pid = os.fork()
    if pid:
        os.close(answers)
        return pid
    try:
        os.dup2(answers, 1)
        os.close(answers)
        _run(order)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(0)


def _preload() -> None:
    """Imports what callers need; opens nothing that they would share."""
    import django

    django.setup()
    import tests.cache.fakes  # noqa: F401


def main() -> None:
    """Until nobody gives orders any more."""
    _preload()
    with socket.socket(fileno=int(sys.argv[1])) as orders:
        while True:
            order, descriptors, _flags, _from = socket.recv_fds(orders, LONGEST_ORDER, 1)
            if not order:
                return
            orders.sendall(b"%d" % _begin(json.loads(order), descriptors[0]))


if __name__ == "__main__":
    main()
