"""A whole platform for a test or a measurement: `manage.py up` in a folder of its own, as a user would start it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import psutil

from mutirao.embedded import free_port
from tests import prepared

ROOT = Path(__file__).resolve().parent.parent
ANSI = re.compile(r"\x1b\[[0-9;]*m")
# What a site may see of the environment of the tests: where programs are, never their settings.
KEPT = ("PATH", "PYTHONPATH", "HOME", "LANG", "LC_ALL", "TMPDIR")
# Fewer than threads: whoever holds one while waiting for a thread that wants one stands still, and is found out. A
# server's 100 are also for all that run side by side here.
CONNECTIONS = "2"


def base_environ(home: Path, **more: str) -> dict[str, str]:
    """The environment of a clean shell, plus what a test asks for."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    own = {"MUTIRAO_HOME": str(home), "PYTHONUNBUFFERED": "1", "DATABASE_POOL_MAX": CONNECTIONS}
    return kept | own | more


def manage(home: Path, *arguments: str, timeout: float = 180, **more: str) -> subprocess.CompletedProcess[str]:
    """Runs `manage.py` to its end."""
    return subprocess.run(
        [sys.executable, "manage.py", *arguments], cwd=ROOT, env=base_environ(home, **more),
        capture_output=True, text=True, timeout=timeout,
    )  # fmt: skip


@dataclass
class Site:
    """A running platform. `lines` is what its terminal shows."""

    home: Path
    environ: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    lines: list[str] = field(default_factory=list)
    process: subprocess.Popen[str] | None = None
    key: str = ""

    def start(self, *, within: float = 100) -> float:
        """Starts it; in how many seconds it was ready."""
        began = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "up", "--port", str(self.port)], cwd=ROOT,
            env=base_environ(self.home, **self.environ),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        threading.Thread(target=self._read, args=(self.process,), daemon=True).start()
        self.wait(self.is_ready, within=within)
        return time.monotonic() - began

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                self.lines.append(ANSI.sub("", line.rstrip()))

    def wait(self, condition: Any, *, within: float = 30) -> Any:
        """Looks until the condition gives something true, and gives that."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            if found := condition():
                return found
            assert self.process is None or self.process.poll() is None, "\n".join(self.lines)
            time.sleep(0.02)
        raise AssertionError("\n".join(["It did not happen in time.", *self.lines[-80:]]))

    def is_ready(self) -> bool:
        """Whether /readyz says so."""
        try:
            return self.request("GET", "/readyz")[0] == 200
        except OSError:
            return False

    def stop(self, number: int = signal.SIGINT, *, within: float = 40) -> int:
        """Ctrl-C; gives the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout=within)

    def family(self) -> list[psutil.Process]:
        """All processes of this site: those with its folder in their environment, and what the supervisor started.

        Redis writes its title over its environment, so neither rule alone finds everything.
        """
        found = {process for process in psutil.process_iter() if _home_of(process) == str(self.home)}
        if self.process is not None and self.process.poll() is None:
            found |= set(psutil.Process(self.process.pid).children(recursive=True))
        return sorted(found, key=lambda process: process.pid)

    def child(self, name: str) -> psutil.Process:
        """`web`, `worker`, `valkey` or `model`."""
        assert self.process is not None
        marks = {
            "web": "uvicorn", "worker": "celery", "valkey": "-server", "model": "serve_local_model",
        }  # fmt: skip
        for process in psutil.Process(self.process.pid).children():
            if any(marks[name] in argument for argument in process.cmdline()):
                return process
        raise AssertionError(f"there is no {name}")

    def manage(self, *arguments: str, timeout: float = 180) -> subprocess.CompletedProcess[str]:
        """Runs `manage.py` beside it."""
        return manage(self.home, *arguments, timeout=timeout, **self.environ)

    def make_key(self, user: str = "admin") -> str:
        """A key from the command, kept for the requests that follow."""
        made = self.manage("create_api_key", "--user", user, "--name", f"tests {time.monotonic_ns()}")
        assert made.returncode == 0, made.stderr
        self.key = made.stdout.strip()
        return self.key

    def connect(self, *, timeout: float = 60) -> HTTPConnection:
        """A connection to the web process."""
        return HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def send(
        self, connection: HTTPConnection, method: str, path: str, body: Any = None, **headers: str
    ) -> HTTPResponse:
        """Sends one request with the key; underscores in header names become hyphens."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.key:
            sent.setdefault("Authorization", f"Bearer {self.key}")
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            sent["Content-Type"] = "application/json"
        connection.request(method, path, body=data, headers=sent)
        return connection.getresponse()

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Status and JSON body."""
        connection = self.connect()
        try:
            response = self.send(connection, method, path, body, **headers)
            text = response.read()
            return response.status, json.loads(text) if text[:1] in b"{[" and text else text
        finally:
            connection.close()

    def events(
        self, task_id: str, *, after: int = 0, most: int | None = None
    ) -> Iterator[tuple[int, str, dict[str, Any]]]:
        """The event stream of a task: number, kind, data; ends after `done`, or is cut after `most`."""
        connection = self.connect()
        try:
            headers = {"Last_Event_ID": str(after)} if after else {}
            response = self.send(connection, "GET", f"/api/v1/tasks/{task_id}/events", **headers)
            assert response.status == 200, response.read()
            for given, event in enumerate(_parse(response), start=1):
                yield event
                if event[1] == "done" or given == most:
                    return
        finally:
            connection.close()


def _parse(response: HTTPResponse) -> Iterator[tuple[int, str, dict[str, Any]]]:
    fields: dict[str, str] = {}
    for raw in response:
        line = raw.decode().rstrip("\r\n")
        if line.startswith(":"):
            continue
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif fields:
            yield int(fields.get("id", 0)), fields.get("event", "message"), json.loads(fields.get("data", "{}"))
            fields = {}


def _home_of(process: psutil.Process) -> str:
    try:
        return process.environ().get("MUTIRAO_HOME", "") if process.status() != psutil.STATUS_ZOMBIE else ""
    except psutil.Error:
        return ""


@contextmanager
def running(home: Path, **environ: str) -> Iterator[Site]:
    """A site that is ready, and gone afterwards."""
    with started(Site(home, environ)) as site:
        yield site


@contextmanager
def from_nothing(home: Path, **environ: str) -> Iterator[Site]:
    """The same, without what the run of tests has prepared: the true first start."""
    with started(Site(home, environ), is_prepared=False) as site:
        yield site


@contextmanager
def started(site: Site, *, within: float = 100, is_prepared: bool = True) -> Iterator[Site]:
    """The same for a site that is ready in so many seconds."""
    if is_prepared:
        prepared.give(site.home, has_server="DATABASE_URL" in site.environ)
    try:
        site.start(within=within)
        yield site
    finally:
        if site.process is not None:
            try:
                site.stop()
            except subprocess.TimeoutExpired:
                for process in site.family():
                    process.kill()
