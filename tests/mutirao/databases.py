"""Empty databases for installations of a test: SQLite always, PostgreSQL where the suite runs on it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from tests.environment import GIVEN

SERVER = GIVEN.get("DATABASE_URL", "").rpartition("/")[0] if "DATABASE_URL" in GIVEN else ""
# Each is the DATABASE_URL of an installation, or nothing for its own SQLite file.
KINDS = ["sqlite", "postgresql"] if SERVER else ["sqlite"]


@contextmanager
def empty_database(kind: str) -> Iterator[dict[str, str]]:
    """The environment of an installation whose database of this kind has no table yet."""
    if kind == "sqlite":
        yield {}
        return
    name = f"restored_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(f"{SERVER}/postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
        try:
            yield {"DATABASE_URL": f"{SERVER}/{name}"}
        finally:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())
