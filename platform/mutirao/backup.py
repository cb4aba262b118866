"""One file with everything an installation needs to go on elsewhere: its rows, and the secrets that keep them valid.

API keys are digests under SECRET_KEY, refresh tokens are signed with JWT_SIGNING_KEY, and what is encrypted at rest
needs MUTIRAO_ENCRYPTION_KEYS: rows without them would be of little use. What Redis holds is not wanted: wake-ups that
the sweeper replaces, and caches.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from django.apps import apps
from django.db import connection, connections
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone
from django.utils.translation import gettext as _

from mutirao.archive import writing
from mutirao.home import read_environment
from mutirao.rows import columns_of, read_lines, tables
from mutirao.settings.environment import ENVIRONMENT_FILE
from mutirao.snapshot import snapshot

ENVIRONMENT = "environment"
TABLES = "tables/"
# What makes rows valid.
KEYS = ("SECRET_KEY", "JWT_SIGNING_KEY", "MUTIRAO_ENCRYPTION_KEYS")
# True of one machine only.
LOCAL = {"REDIS_URL", "DATABASE_URL", "CELERY_BROKER_URL", "REDIS_PASSWORD", "DATABASE_PASSWORD", "MUTIRAO_HOME"}
# Rows about processes, which do not come back with the rows.
PASSING = {"agents_worker.workerprocess"}


class NotBackedUp(Exception):
    """There is nothing that could be backed up; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class Made:
    """What is in a backup."""

    tables: int
    rows: int


def make_backup(file: Path, *, passphrase: str = "") -> Made:
    """Writes the backup of one moment, while the platform runs. Raises NotBackedUp, OSError."""
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise NotBackedUp(_("The database is not at this version of Mutirão; run `manage.py migrate` first."))
    models = [model for model in tables(apps, executor.loader.migrated_apps) if model._meta.label_lower not in PASSING]
    rows = 0
    with writing(file, passphrase=passphrase) as archive, snapshot() as alias:
        # The first query fixes the moment, so the rest is of the same.
        migrations = sorted(MigrationRecorder(connections[alias]).applied_migrations())
        for model in models:
            fields = [column.name for column in columns_of(model)]
            name = f"{TABLES}{model._meta.label_lower}.jsonl"
            rows += archive.add(name, read_lines(model, using=alias), fields=fields)
        archive.add(ENVIRONMENT, _environment())
        archive.finish(
            made_at=timezone.now().isoformat(),
            mutirao=_version(),
            database=connection.vendor,
            migrations=[list(key) for key in migrations],
        )
    return Made(tables=len(models), rows=rows)


def _environment() -> Iterator[bytes]:
    """The secrets, and whatever else the environment file of this installation says."""
    known = {name: value for name, value in read_environment(ENVIRONMENT_FILE).items() if name not in LOCAL}
    known |= {name: os.environ[name] for name in KEYS if os.environ.get(name)}
    for name, value in sorted(known.items()):
        yield f"{name}={value}\n".encode()


def _version() -> str:
    """The installed version of Mutirão; empty where it runs from a folder that was never installed."""
    try:
        return metadata.version("mutirao")
    except metadata.PackageNotFoundError:
        return ""
