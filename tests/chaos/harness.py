"""A fleet: web and worker processes of one installation, each of which a test may start, stop and kill by itself.

Unlike `Site` (`manage.py up`) nobody restarts what has died, except the test. `Fleet.audit` is what all failure tests
ask in the end: was everything that was accepted done, and done once?
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

import psycopg
from kombu import Connection, Queue

from mutirao.embedded import EmbeddedValkey, free_port
from tests import prepared
from tests.chaos.audit import TERMINAL, Audit
from tests.chaos.posts import Posts
from tests.environment import GIVEN
from tests.parts.chaos import effects
from tests.parts.chaos.effects import Effect
from tests.site import ROOT, Site, base_environ

FULL_SIZE = os.environ.get("MUTIRAO_FULL_SIZE") == "1"
LEASE_SECONDS = 3
SWEEP_SECONDS = 0.5
THREADS = 4
QUEUES = ("interactive", "background")
ENVIRON = {
    "MUTIRAO_APPS": "tests.parts.chaos",
    "MUTIRAO_ALLOW_SCRIPTED_MODELS": "1",
    "MUTIRAO_HTTPS": "0",
    "MUTIRAO_LEASE_SECONDS": str(LEASE_SECONDS),
    "MUTIRAO_SWEEP_SECONDS": str(SWEEP_SECONDS),
    "MUTIRAO_WORKER_STOP_SECONDS": "5",
    "SECRET_KEY": "chaos-only-secret-key-of-more-than-32-characters",
    "JWT_SIGNING_KEY": "chaos-only-signing-key-of-more-than-32-characters",
    "MUTIRAO_ENCRYPTION_KEYS": "dGVzdHMtb25seS1lbmNyeXB0aW9uLWtleS0zMmJ5dGU=",
    "LOG_FORMAT": "json",
    "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'platform'}",
}


def sized(full: int, *, tenth: int | None = None) -> int:
    """The figure of the issue with `make chaos`, a tenth of it otherwise."""
    return full if FULL_SIZE else (tenth if tenth is not None else max(1, full // 10))


@dataclass(eq=False)
class Member:
    """One process of a fleet."""

    fleet: Fleet
    name: str
    pid: int

    @property
    def code(self) -> int | None:
        """Its exit code (minus the signal that ended it); None while it runs."""
        return self.fleet.ended.get(self.pid)

    def signal(self, number: int) -> None:
        """Sends it a signal, if it still runs."""
        if self.code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL, and waits until it is gone."""
        self.signal(signal.SIGKILL)
        self.wait()

    def wait(self, *, within: float = 30) -> int:
        """Waits for its end; gives the exit code."""
        return int(self.fleet.wait(lambda: self.code is not None and (self.code,), within=within)[0])

    @property
    def log(self) -> str:
        """What it has written."""
        file = self.fleet.home / "logs" / self.name
        return file.read_text(errors="replace") if file.exists() else ""


@dataclass
class Fleet(Site):
    """A running installation. `process` is its nursery; `workers` and `web` are what runs now."""

    web: Member | None = None
    workers: list[Member] = field(default_factory=list)
    ended: dict[int, int] = field(default_factory=dict)
    _pids: dict[int, int] = field(default_factory=dict)
    _orders: int = 0
    _sending: threading.Lock = field(default_factory=threading.Lock)

    # Processes

    def start(self, *, within: float = 60) -> float:
        """The nursery, the database and a key; no web, no worker. In how many seconds."""
        began = time.monotonic()
        prepared.give(self.home, has_server="DATABASE_URL" in self.environ)
        (self.home / "logs").mkdir(parents=True, exist_ok=True)
        with (self.home / "logs" / "nursery").open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.nursery"], cwd=ROOT,
                env=base_environ(self.home, **ENVIRON, **self.environ),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True,
            )  # fmt: skip
        threading.Thread(target=self._hear, args=(self.process,), daemon=True).start()
        self.run("preparation", within=within)
        self.key = self.run("manage", "create_api_key", "--user", "admin", "--name", "chaos").strip()
        return time.monotonic() - began

    def _hear(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                said = json.loads(line)
                if "order" in said:
                    # The system gives numbers again, after hours or thousands of threads.
                    self.ended.pop(said["pid"], None)
                    self._pids[said["order"]] = said["pid"]
                elif "ended" in said:
                    self.ended[said["ended"]] = said["code"]

    def begin(self, role: str, *arguments: str, name: str = "", **environ: str) -> Member:
        """Forks one process."""
        assert self.process is not None
        assert self.process.stdin is not None
        with self._sending:
            self._orders += 1
            number = self._orders
            name = name or f"{role}-{number}"
            order = {
                "begin": role, "order": number, "arguments": arguments, "environ": environ,
                "log": str(self.home / "logs" / name),
            }  # fmt: skip
            self.process.stdin.write(json.dumps(order) + "\n")
            self.process.stdin.flush()
        return Member(self, name, self.wait(lambda: self._pids.get(number), within=60))

    def run(self, role: str, *arguments: str, within: float = 60) -> str:
        """Runs one process to its end; gives what it has printed."""
        member = self.begin(role, *arguments)
        assert member.wait(within=within) == 0, member.log
        return member.log

    def start_web(self, faults: str = "") -> Member:
        """The web process, ready."""
        self.web = self.begin("web", str(self.port), CHAOS_FAULTS=faults)
        self.wait(self.is_listening)
        return self.web

    def is_listening(self) -> bool:
        """Whether the web process answers at all."""
        try:
            return self.request("GET", "/healthz")[0] == 200
        except (OSError, HTTPException):
            return False

    def start_workers(self, count: int, *, threads: int = THREADS, faults: str = "") -> list[Member]:
        """So many more workers; gives them. They are ready when they say that they live."""
        begun = [self._begin_worker(threads, faults) for _ in range(count)]
        self.workers += begun
        return begun

    def _begin_worker(self, threads: int, faults: str) -> Member:
        prefix = self.environ.get("MUTIRAO_QUEUE_PREFIX", "")
        return self.begin(
            "worker", "--pool", "threads", "--concurrency", str(threads), "--queues",
            ",".join(f"{prefix}{queue}" for queue in QUEUES), "--hostname", f"{uuid.uuid4().hex[:8]}@%h",
            "--without-gossip", "--without-mingle", "--loglevel", "WARNING", CHAOS_FAULTS=faults,
        )  # fmt: skip

    def wait_for_workers(self, *, within: float = 60) -> None:
        """Until every worker that runs has shown that it lives."""
        alive = "SELECT pid FROM agents_worker_workerprocess"
        self.wait(
            lambda: {worker.pid for worker in self.workers} <= {row[0] for row in self.rows(alive)}, within=within
        )

    def kill_worker(self, worker: Member) -> None:
        """SIGKILL."""
        self.workers.remove(worker)
        worker.kill()

    def replace_the_dead_until(self, condition: Callable[[], bool], *, within: float, **options: Any) -> int:
        """Starts a worker (`options` as `start_workers` takes them) for each that has died; how many did."""
        deaths = 0

        def look() -> bool:
            nonlocal deaths
            dead = [worker for worker in self.workers if worker.code is not None]
            for worker in dead:
                self.workers.remove(worker)
                self.start_workers(1, **options)
            deaths += len(dead)
            return condition()

        self.wait(look, within=within)
        return deaths

    def dismiss_workers(self) -> None:
        """Kills all of them."""
        for worker in [*self.workers]:
            worker.signal(signal.SIGCONT)
            self.kill_worker(worker)

    def stop(self, number: int = signal.SIGKILL, *, within: float = 40) -> int:
        """Everything."""
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.close()
        code = self.process.wait(timeout=within)
        # What its workers had started themselves.
        for process in self.family():
            process.kill()
        return code

    def wait(self, condition: Any, *, within: float = 30) -> Any:
        """As a site does, with the ends of the logs when it does not happen."""
        try:
            return super().wait(condition, within=within)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self._last_words()}") from None

    def _last_words(self) -> str:
        for worker in self.workers:
            worker.signal(signal.SIGUSR2)
        time.sleep(0.5)
        members = [self.home / "logs" / "nursery", *(self.home / "logs" / each.name for each in self.workers)]
        members += [self.home / "logs" / self.web.name] if self.web else []
        return "\n".join(f"--- {file.name}\n{_tail(file)}" for file in members)

    # Submitting

    def submit(self, count: int, body: Mapping[str, Any], *, parallel: int = 8) -> list[str]:
        """Submits the same so many times; the tasks' ids. Every one has to be accepted at once."""
        posts = Posts(self)
        posts.send_all([body] * count, parallel=parallel)
        assert Counter(post.answers[-1] for post in posts.all) == {202: count}
        return [post.task for post in posts.all]

    # What the database says

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query without parameters."""
        url = self.environ.get("DATABASE_URL", "")
        if url:
            with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
                return connection.execute(query.encode()).fetchall()
        with closing(sqlite3.connect(self.home / "mutirao.sqlite3", timeout=30, isolation_level=None)) as connection:
            return connection.execute(query).fetchall()

    def takes_writes(self) -> bool:
        """Whether nobody sits on the one lock that all who write to SQLite need."""
        if "DATABASE_URL" in self.environ:
            return True
        with closing(sqlite3.connect(self.home / "mutirao.sqlite3", timeout=2, isolation_level=None)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return False
            connection.execute("ROLLBACK")
            return True

    def statuses(self, tasks: Iterable[str]) -> Counter[str]:
        """How many of these tasks are in which state; "lost" if they are in none."""
        found = {str(uuid.UUID(str(row[0]))): row[1] for row in self.rows("SELECT id, status FROM agents_tasks_task")}
        return Counter(found.get(task, "lost") for task in tasks)

    def claimed(self) -> list[str]:
        """The tasks in the order in which workers took them, once for each attempt."""
        rows = self.rows("SELECT task_id FROM agents_tasks_attempt ORDER BY id")
        return [str(uuid.UUID(str(row[0]))) for row in rows]

    def wait_until_done(self, tasks: Sequence[str], *, within: float) -> None:
        """Until all of these have ended, however."""
        wanted = set(tasks)

        def are_done() -> bool:
            statuses = self.statuses(wanted)
            self.lines[:] = [f"{statuses}"]
            return sum(statuses[status] for status in TERMINAL) == len(wanted)

        self.wait(are_done, within=within)

    def effects(self) -> list[Effect]:
        """What the steps of all tasks did."""
        return effects.read(self.home)

    def audit(self, tasks: Sequence[str]) -> Audit:
        """Everything that there is about these tasks."""
        return Audit.of(self, tasks)


def _tail(file: Path, lines: int = 150) -> str:
    return "\n".join(file.read_text(errors="replace").splitlines()[-lines:]) if file.exists() else ""


@contextmanager
def database() -> Iterator[dict[str, str]]:
    """What the suite was told to use, with a database of one's own; nothing for SQLite."""
    if "DATABASE_URL" not in GIVEN:
        yield {}
        return
    name = f"chaos_{uuid.uuid4().hex[:12]}"
    with prepared.postgresql(GIVEN["DATABASE_URL"].rpartition("/")[0], name) as url:
        yield {"DATABASE_URL": url}


@contextmanager
def valkey(directory: Path) -> Iterator[EmbeddedValkey]:
    """A server of the test's own, which it may empty, stop and start again."""
    server = EmbeddedValkey(directory)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def fleet(home: Path, **environ: str) -> Iterator[Fleet]:
    """A fleet with its database and its web process; gone afterwards."""
    name = f"chaos_{uuid.uuid4().hex[:12]}"
    own = {"MUTIRAO_REDIS_PREFIX": name, "MUTIRAO_QUEUE_PREFIX": f"{name}."}
    found = Fleet(home, {**own, **environ}, port=free_port())
    try:
        found.start()
        found.start_web()
        yield found
    finally:
        if found.process is not None:
            found.stop()
        if (broker := environ.get("CELERY_BROKER_URL", "")).startswith("amqp"):
            with Connection(broker) as connection:
                for queue in QUEUES:
                    Queue(f"{name}.{queue}", channel=connection.default_channel).delete()


def say(**figures: object) -> None:
    """Figures of a run, for whoever looks (`make chaos` shows them)."""
    print(", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in figures.items()))  # noqa: T201


def until(condition: Callable[[], bool], *, within: float) -> bool:
    """Whether it became true in time."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False
