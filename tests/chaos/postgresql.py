"""A PostgreSQL of the test's own, which it may stop: run by an ordinary user, as the server insists."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mutirao.embedded import free_port

# Where packages put the programs when they are not on PATH.
FOLDERS = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin")
# Whom root lends it to.
ORDINARY_USERS = ("postgres", "nobody")
CONFIGURATION = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 80
# The machine goes on running when the server is stopped, so nothing is lost by not waiting for its disk.
fsync = off
"""


class PostgreSQLNotFound(Exception):
    """There is no pg_ctl here: install PostgreSQL's server."""


def find_program(name: str) -> str:
    """Its path. Raises PostgreSQLNotFound."""
    if found := shutil.which(name):
        return found
    for pattern in FOLDERS:
        for folder in sorted(Path("/").glob(pattern.lstrip("/")), reverse=True):
            if (folder / name).exists():
                return str(folder / name)
    raise PostgreSQLNotFound(PostgreSQLNotFound.__doc__)


def ordinary_user() -> pwd.struct_passwd | None:
    """Somebody who is not root; None when we are such a one."""
    if os.geteuid() != 0:
        return None
    users = {user.pw_name: user for user in pwd.getpwall()}
    return next(users[name] for name in ORDINARY_USERS if name in users)


@dataclass
class PostgreSQL:
    """One server with its data in `directory`."""

    directory: Path
    port: int
    user: pwd.struct_passwd | None

    @property
    def url(self) -> str:
        """As a DATABASE_URL."""
        return f"postgres://postgres@127.0.0.1:{self.port}/postgres"

    def make(self) -> None:
        """An empty cluster."""
        self._run("initdb", "--username", "postgres", "--auth", "trust", "--no-sync", "--pgdata", self._data)
        with (self.directory / "data" / "postgresql.conf").open("a") as file:
            file.write(f"{CONFIGURATION}port = {self.port}\n")

    def start(self) -> None:
        """Returns when it takes connections."""
        self._run("pg_ctl", "start", "--wait", "--silent", "--pgdata", self._data, "--log", f"{self.directory}/log")

    def stop(self, mode: str = "fast") -> None:
        """`fast` ends every connection; `immediate` does not even say good-bye."""
        self._run("pg_ctl", "stop", "--wait", "--silent", "--mode", mode, "--pgdata", self._data)

    @property
    def _data(self) -> str:
        return str(self.directory / "data")

    def _run(self, program: str, *arguments: str) -> None:
        as_user = {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []} if self.user else {}
        subprocess.run(
            [find_program(program), *arguments], cwd=self.directory, check=True, timeout=60,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **as_user,  # type: ignore[call-overload]
        )  # fmt: skip


@contextmanager
def postgresql() -> Iterator[PostgreSQL]:
    """A running server; gone afterwards. Not in pytest's folder, which others may not enter."""
    directory, user = Path(tempfile.mkdtemp(prefix="mutirao-postgresql-")), ordinary_user()
    if user is not None:
        os.chown(directory, user.pw_uid, user.pw_gid)
    server = PostgreSQL(directory, free_port(), user)
    try:
        server.make()
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")
    finally:
        shutil.rmtree(directory, ignore_errors=True)
