"""Empty databases for installations of a test: SQLite always, PostgreSQL where the suite runs on it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from tests.environment import GIVEN
from tests.prepared import postgresql

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
    with postgresql(SERVER, name, is_empty=True) as url:
        yield {"DATABASE_URL": url}
