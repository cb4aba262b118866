"""`manage.py up`: the whole platform on this machine, in one terminal."""

from __future__ import annotations

import os
import secrets
import signal
import sys
import urllib.error
import urllib.request
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import Error, run_checks
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connections

from agents.tasks.telling import broker_queue
from mutirao import first_data
from mutirao.embedded import ValkeyNotFound, ValkeyNotStarted, is_free
from mutirao.home import Home, HomeError
from mutirao.settings.environment import MUTIRAO_HOME
from mutirao.supervisor import Child, Supervisor
from telemetry import metrics


class Command(BaseCommand):
    help = "Runs web, worker and what they need, until Ctrl-C. Makes the environment and the first data if missing."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
        parser.add_argument("--port", default=os.environ.get("PORT") or "8000", help="PORT, else 8000")

    def handle(self, *args: Any, **options: Any) -> None:
        host, port = options["host"], self._port(options["port"])
        home = Home(MUTIRAO_HOME)
        try:
            home.make()
            with home.lock(address=f"http://{host}:{port}"):
                self._require_free(port)
                if home.prepare_environment(os.environ):
                    self._start_over(home)
                self._require_environment()
                Platform(self, home, host, port).run()
        except (HomeError, ValkeyNotFound, ValkeyNotStarted, first_data.NotPrepared) as error:
            raise CommandError(str(error)) from error

    def _port(self, text: str) -> int:
        if text.isdigit() and 0 < int(text) < 65536:
            return int(text)
        raise CommandError(f"PORT is not a port number: {text!r}.")

    def _require_free(self, port: int) -> None:
        if not is_free(port):
            raise CommandError(
                f"Port {port} is taken by another program; choose another one, for example PORT={port + 1}."
            )

    def _start_over(self, home: Home) -> None:
        """The settings were read before the environment file was complete: the same command, again, reads it."""
        sys.stdout.flush()
        os.execve(sys.executable, [sys.executable, *sys.argv], home.without_file(os.environ))  # noqa: S606

    def _require_environment(self) -> None:
        errors = [check for check in run_checks(tags=["environment"]) if isinstance(check, Error)]
        if errors:
            raise CommandError(" ".join(f"{error.msg} {error.hint}" for error in errors))


class Platform:
    """The processes of one installation and their order."""

    def __init__(self, command: BaseCommand, home: Home, host: str, port: int) -> None:
        self.command = command
        self.home = home
        self.host = host
        self.port = port
        self.supervisor = Supervisor(output=sys.stdout)
        self.is_ready = False

    @property
    def address(self) -> str:
        return f"http://{self.host}:{self.port}"

    def run(self) -> None:
        """Everything, until SIGINT or SIGTERM; then nothing is left."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self.supervisor.stop)
        pid_file = self.home.run_dir / "supervisor.pid"
        try:
            pid_file.write_text(str(os.getpid()))
            self._start()
            self.supervisor.run(self._tick)
            self.supervisor.say("stopping")
        finally:
            self.supervisor.stop_all()
            pid_file.unlink(missing_ok=True)

    def _start(self) -> None:
        for name in ("local-model.wanted", "local-model.json"):
            (settings.RUN_DIR / name).unlink(missing_ok=True)
        if settings.METRICS_DIR is not None:
            metrics.clear(settings.METRICS_DIR)
        # The children write into pipes; what is readable here is decided by this terminal.
        os.environ.setdefault("LOG_FORMAT", settings.LOG_FORMAT)
        # glibc would give every few threads a heap of their own, each as large as it has ever been.
        os.environ.setdefault("MALLOC_ARENA_MAX", "2")
        if valkey := self.home.embedded_valkey(os.environ):
            self.supervisor.add(Child("valkey", valkey.command(), stop_after=5))
            valkey.wait()
        try:
            password = first_data.prepare()
        except DatabaseError as error:
            sentence = str(error).strip().splitlines()[0]
            raise first_data.NotPrepared(f"The database cannot be used: {sentence}.") from error
        finally:
            _close_database()
        if password:
            # One that was given is known, and does not belong into a log.
            known = "of MUTIRAO_ADMIN_PASSWORD" if settings.ADMIN_PASSWORD else password
            self.supervisor.say(f"first start: sign in at {self.address}/ as admin with the password {known}")
        self.supervisor.add(
            Child("worker", self._worker(), stop_after=settings.CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT + 5)
        )
        self.supervisor.add(Child("web", self._web(), stop_after=8))

    def _tick(self) -> None:
        if (settings.RUN_DIR / "local-model.wanted").exists() and not self.supervisor.has("model"):
            self.supervisor.add(Child("model", self._manage("serve_local_model"), stop_after=3))
        if not self.is_ready and self._answers():
            self.is_ready = True
            self.supervisor.say(f"ready at {self.address}")

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.address}/readyz", timeout=1) as response:  # noqa: S310 (our own)
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def _manage(self, *arguments: str) -> list[str]:
        return [sys.executable, str(Path(sys.argv[0]).resolve()), *arguments]

    def _web(self) -> list[str]:
        return [
            sys.executable, "-m", "uvicorn", "mutirao.asgi:application",
            "--host", self.host, "--port", str(self.port), "--no-access-log", "--log-level", "warning",
            # Uvicorn would believe forwarded headers of whoever comes from this machine; MUTIRAO_TRUSTED_PROXIES says.
            "--no-proxy-headers", "--timeout-graceful-shutdown", "3",
        ]  # fmt: skip

    def _worker(self) -> list[str]:
        return [
            sys.executable, "-m", "celery", "--quiet", "-A", "mutirao", "worker",
            "--pool", "threads", "--concurrency", str(settings.WORKER_THREADS),
            "--queues", ",".join(broker_queue(queue) for queue in settings.WORKER_QUEUES),
            # Two of one name cannot both be at one RabbitMQ.
            "--hostname", f"{secrets.token_hex(4)}@%h",
            "--without-gossip", "--without-mingle", "--loglevel", "WARNING",
        ]  # fmt: skip


def _close_database() -> None:
    """From now on only the children need it. Closing gives a connection back to its pool; the pool would keep it."""
    connections.close_all()
    for connection in connections.all():
        if connection.settings_dict["OPTIONS"].get("pool"):
            connection.close_pool()  # type: ignore[attr-defined]  # PostgreSQL's
