"""SQLite by default, PostgreSQL by DATABASE_URL."""

from __future__ import annotations

from typing import Any

from mutirao.secret_files import with_password
from mutirao.settings.environment import MUTIRAO_HOME, env

# The password may come apart from the address, as a secret of its own (DATABASE_PASSWORD_FILE).
DATABASE_URL: str = with_password(
    env("DATABASE_URL", default=f"sqlite:///{MUTIRAO_HOME / 'mutirao.sqlite3'}"), env("DATABASE_PASSWORD", default="")
)


def _database(url: str) -> dict[str, Any]:
    database: dict[str, Any] = dict(env.db_url_config(url))
    options: dict[str, Any] = dict(database.get("OPTIONS", {}))
    if database["ENGINE"] == "django.db.backends.sqlite3":
        # IMMEDIATE: a deferred transaction that turns into a writer fails under contention.
        # synchronous=NORMAL survives a killed process; a power cut may lose the last commits (docs/deploy.md).
        # Opening the file takes longer than most statements: a thread keeps it open.
        database["CONN_MAX_AGE"] = None
        options |= {
            "transaction_mode": "IMMEDIATE",
            "timeout": 30,
            "init_command": (
                "PRAGMA journal_mode=WAL;"
                f"PRAGMA synchronous={env('MUTIRAO_SQLITE_SYNCHRONOUS', default='NORMAL')};"
                "PRAGMA foreign_keys=ON;PRAGMA mmap_size=134217728;PRAGMA cache_size=-4000;"
            ),
        }
    else:
        # A connection is borrowed for one burst of statements and given back, so threads outnumber connections.
        options["pool"] = {
            "min_size": env.int("DATABASE_POOL_MIN", default=1),
            "max_size": env.int("DATABASE_POOL_MAX", default=10),
            "timeout": env.int("DATABASE_POOL_TIMEOUT", default=10),
        }
        options.setdefault("connect_timeout", 5)
        # The hot path's statements (foundation.statements) are planned once per connection. 0 for a PgBouncer that
        # knows no prepared statements.
        options["prepare_threshold"] = env.int("DATABASE_PREPARE_THRESHOLD", default=3) or None
        # Asked whether it lives before it is lent (0.06 ms). Otherwise, after the server was away, every dead one in
        # the pool fails a request or an attempt, and a task may meet enough of them to have failed.
        database |= {"CONN_MAX_AGE": 0, "CONN_HEALTH_CHECKS": True}
    return database | {"OPTIONS": options, "ATOMIC_REQUESTS": False}


DATABASES = {"default": _database(DATABASE_URL)}
