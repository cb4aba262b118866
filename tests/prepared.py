"""Databases and static files that are made once a run and copied for every platform that its tests start.

An empty database takes longer to migrate than most tests take. All parts of a parallel run (pytest-xdist) copy from the
same folder, which `tests.environment` names. Outside of such a run there is none, and platforms start from nothing.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

VARIABLE = "MUTIRAO_TESTS_PREPARED"
ROOT = Path(__file__).resolve().parent.parent
SQLITE = "mutirao.sqlite3"
MIGRATE = "from mutirao import first_data; first_data.migrate()"
COLLECT = "from mutirao import first_data; first_data.collect_static()"
SECONDS = 240
# The server's own template, in which there is nothing.
NOTHING = "template1"


def give(home: Path, *, has_server: bool) -> None:
    """Puts there what the first start would make: static files, and unless a database server is used a SQLite file.

    What differs between platforms (roles, prices, `admin`) is left to the start.
    """
    folder = _folder()
    if folder is None or (home / SQLITE).exists():
        return
    home.mkdir(parents=True, exist_ok=True)
    static = _once(folder / "static", lambda made: _run(made, COLLECT))
    if not (home / "static").exists():
        shutil.copytree(static / "static", home / "static", copy_function=os.link)
    if not has_server:
        sqlite(home / SQLITE)


def sqlite(file: Path) -> None:
    """A migrated database in this file."""
    folder = _folder()
    assert folder is not None
    shutil.copyfile(_once(folder / "sqlite", lambda made: _run(made, MIGRATE)) / SQLITE, file)


@contextmanager
def postgresql(server: str, name: str, *, is_empty: bool = False) -> Iterator[str]:
    """A database on this server (a URL without a database), migrated unless it is to be empty; gone afterwards."""
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        template = NOTHING if is_empty else _made(connection, server)
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'.encode())
        try:
            yield f"{server}/{name}"
        finally:
            _drop(connection, name)


def forget(url: str) -> None:
    """Drops what `postgresql` has copied from, at the end of the run."""
    folder = _folder()
    if folder is not None and (folder / "postgresql").exists():
        with psycopg.connect(f"{url.rpartition('/')[0]}/postgres", autocommit=True) as connection:
            _drop(connection, _template_name(folder))


def template(server: str) -> str:
    """The name of a migrated database on this server, to copy from."""
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        return _made(connection, server)


def end_connections(server: str, name: str) -> None:
    """Of whoever still has one to this database."""
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])


def _made(connection: psycopg.Connection, server: str) -> str:
    folder = _folder()
    if folder is None:
        return NOTHING
    name = _template_name(folder)

    def make(made: Path) -> None:
        _drop(connection, name)
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
        _run(made, MIGRATE, DATABASE_URL=f"{server}/{name}")

    _once(folder / "postgresql", make)
    return name


def _template_name(folder: Path) -> str:
    return f"prepared_{folder.parent.name.rpartition('-')[2]}"


def _drop(connection: psycopg.Connection, name: str) -> None:
    connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())


def _folder() -> Path | None:
    named = os.environ.get(VARIABLE)
    return Path(named) if named else None


def _once(made: Path, make: Callable[[Path], None]) -> Path:
    """The folder, which the first who asks has filled; others wait."""
    made.parent.mkdir(parents=True, exist_ok=True)
    with made.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            # Whoever failed before has left something, and the next one is to see why, not that.
            unfinished = made.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            make(unfinished)
            unfinished.rename(made)
    return made


def _run(home: Path, code: str, **environ: str) -> None:
    """Code on the platform's own settings, with this folder as its home."""
    given = {"PATH": os.environ["PATH"], "MUTIRAO_HOME": str(home), "REDIS_URL": "redis://127.0.0.1:1/0", **environ}
    secrets = {name: os.environ[name] for name in ("SECRET_KEY", "JWT_SIGNING_KEY", "MUTIRAO_ENCRYPTION_KEYS")}
    ran = subprocess.run(
        [sys.executable, "manage.py", "shell", "--verbosity", "0", "-c", code], cwd=ROOT, env=given | secrets,
        capture_output=True, text=True, timeout=SECONDS,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
