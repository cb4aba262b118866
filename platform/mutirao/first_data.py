"""What has to be in the database, and on the disk, before the first request."""

from __future__ import annotations

import hashlib
import io
from importlib import metadata

from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from accounts.roles import ensure_roles
from accounts.services import ensure_admin
from agents.gateway.prices import load_price_list
from mutirao.settings.environment import BASE_DIR


class NotPrepared(Exception):
    """The installation cannot be used by this version of Mutirão."""


def prepare() -> str | None:
    """Migrations, roles, prices, the user `admin` and the static files; idempotent. Agents are loaded by the worker.

    Gives the password of `admin` when this call made that user. Raises NotPrepared.
    """
    migrate()
    ensure_roles()
    load_price_list()
    collect_static()
    return ensure_admin(settings.ADMIN_PASSWORD)


def migrate() -> None:
    """Brings the database to this version. Raises NotPrepared when it is already at a newer one."""
    executor = MigrationExecutor(connection)
    if newer := _unknown_migrations(executor):
        message = (
            f"The data was made by a newer version of Mutirão (it has the migration {newer[0]}); "
            "run that version, or set MUTIRAO_HOME or DATABASE_URL to other data."
        )
        raise NotPrepared(message)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        call_command("migrate", interactive=False, verbosity=0)


def _unknown_migrations(executor: MigrationExecutor) -> list[str]:
    labels = {config.label for config in apps.get_app_configs()}
    applied = executor.loader.applied_migrations
    return sorted(
        f"{label}.{name}"
        for label, name in applied
        if label in labels
        and (label, name) not in executor.loader.disk_migrations
        and not any((label, name) in migration.replaces for migration in executor.loader.disk_migrations.values())
    )


def collect_static() -> None:
    """Copies static files once per version of what is installed."""
    stamp = settings.STATIC_ROOT / ".stamp"
    wanted = _versions()
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    call_command("collectstatic", interactive=False, verbosity=0, stdout=io.StringIO())
    stamp.write_text(wanted)


def _versions() -> str:
    """A digest that changes with every package and with every file of our own that is served."""
    digest = hashlib.sha256()
    for distribution in sorted(metadata.distributions(), key=lambda found: found.name):
        digest.update(f"{distribution.name} {distribution.version}\n".encode())
    for file in sorted((BASE_DIR / "static").rglob("*")):
        digest.update(f"{file} {file.stat().st_mtime_ns}\n".encode())
    return digest.hexdigest()
