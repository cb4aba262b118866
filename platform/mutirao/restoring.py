"""Puts a backup in the place of an empty installation, or of a full one when that is asked for: whole, or not at all.

Rows are loaded into tables of the very migrations they were made with, through models of that state; then the
database is migrated to this version, as after any deploy.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.core.management.color import no_style
from django.db import DatabaseError, connection, models, transaction
from django.db.migrations.executor import MigrationExecutor
from django.utils.translation import gettext as _

from accounts.models import User
from agents.worker.models import WorkerProcess
from mutirao import rows
from mutirao.archive import NotABackup, Reader, reading
from mutirao.backup import ENVIRONMENT, KEYS, TABLES
from mutirao.home import Home, read_environment
from mutirao.settings.environment import MUTIRAO_HOME

Migration = tuple[str, str]


class NotRestored(Exception):
    """The backup cannot be restored here; nothing has been changed. The message is a sentence."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored. `made_at` is ISO 8601."""

    rows: int
    made_at: str


def restore(file: Path, *, passphrase: str = "", may_replace: bool = False) -> Restored:
    """Restores the backup. `may_replace`: also where there are users already, whose data is then gone.

    Raises NotABackup, NotRestored, OSError; each of them before anything was changed, or with everything undone.
    """
    home = Home(MUTIRAO_HOME)
    home.make()
    with reading(file, passphrase=passphrase) as backup, home.lock(address="manage.py restore"):
        environment = _environment_after(home, backup)
        _require_stopped(may_replace=may_replace)
        count = _restore_rows(backup)
        if environment != read_environment(home.environment_file):
            home.write_environment(environment)
        # Forward to this version; and what a version adds without a migration (permissions) is added.
        call_command("migrate", interactive=False, verbosity=0)
        return Restored(count, str(backup.manifest["made_at"]))


def secrets_in(backup: Reader) -> dict[str, str]:
    """The environment that was backed up, by name."""
    lines = (line.decode().rstrip("\n").partition("=") for line in backup.lines(ENVIRONMENT))
    return {name: value for name, separator, value in lines if separator}


def _environment_after(home: Home, backup: Reader) -> Mapping[str, str]:
    """The environment file as it has to be. Raises NotRestored when a key comes from elsewhere and is another one."""
    known = read_environment(home.environment_file)
    wanted = secrets_in(backup)
    for name in KEYS:
        given = os.environ.get(name, "")
        if given and known.get(name) != given and name in wanted and wanted[name] != given:
            raise NotRestored(
                _("%(name)s is set in the environment, and is not that of the backup; `restore --secrets` gives it.")
                % {"name": name}
            )
    return known | {name: value for name, value in wanted.items() if name in known or not os.environ.get(name)}


def _require_stopped(*, may_replace: bool) -> None:
    """No worker runs on this database, and nobody has begun to use it. Raises NotRestored."""
    existing = set(connection.introspection.table_names())
    if WorkerProcess._meta.db_table in existing:
        alive = WorkerProcess.objects.alive().values_list("name", flat=True)
        if alive:
            raise NotRestored(
                _("The worker %(name)s has been alive within the last half minute; stop the platform first.")
                % {"name": alive[0]}
            )
    if not may_replace and User._meta.db_table in existing and User.objects.exists():
        raise NotRestored(_("This installation is in use; --force replaces everything in it by the backup."))


def _restore_rows(backup: Reader) -> int:
    executor = MigrationExecutor(connection)
    wanted = {(label, name) for label, name in backup.manifest["migrations"]}
    _require_known(executor, wanted)
    targets = _last_of(executor, wanted)
    _prepare_tables(executor, wanted, targets)
    state = executor.loader.project_state(targets)
    try:
        with transaction.atomic():
            return _replace_rows(backup, rows.tables(state.apps, executor.loader.migrated_apps))
    except (DatabaseError, KeyError, ValueError) as error:
        # The first line names the constraint; those after it may show what stands in the row.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise NotRestored(_("The rows could not be restored: %(reason)s") % {"reason": reason}) from error
    finally:
        ContentType.objects.clear_cache()


def _require_known(executor: MigrationExecutor, wanted: set[Migration]) -> None:
    unknown = sorted(wanted - executor.loader.graph.nodes.keys() - _replaced(executor))
    if unknown:
        raise NotABackup(
            _("The backup was made by a newer version of Mutirão, or with an app that is not installed here: %(name)s.")
            % {"name": ".".join(unknown[0])}
        )


def _replaced(executor: MigrationExecutor) -> set[Migration]:
    """Migrations that a squashed one stands for."""
    return {key for migration in executor.loader.disk_migrations.values() for key in migration.replaces}


def _last_of(executor: MigrationExecutor, wanted: set[Migration]) -> list[Migration]:
    """The migrations that need all the others: a plan to the middle of a chain would run it backwards."""
    graph = executor.loader.graph
    present = wanted & graph.nodes.keys()
    return sorted(key for key in present if not {child.key for child in graph.node_map[key].children} & present)


def _prepare_tables(executor: MigrationExecutor, wanted: set[Migration], targets: list[Migration]) -> None:
    """The tables stand as they stood when the backup was made. Raises NotRestored where they cannot be brought back."""
    applied = executor.loader.applied_migrations.keys() & executor.loader.graph.nodes.keys()
    if not applied <= wanted:
        raise NotRestored(
            _("The backup was made by an older version of Mutirão; restore it into a database without tables.")
        )
    executor.migrate(targets)
    executor.loader.build_graph()


def _replace_rows(backup: Reader, found: list[type[models.Model]]) -> int:
    statements = connection.ops.sql_flush(no_style(), [model._meta.db_table for model in found])
    connection.ops.execute_sql_flush(statements)
    by_name = {f"{TABLES}{model._meta.label_lower}.jsonl": model for model in found}
    count = 0
    for name, facts in backup.parts.items():
        if name.startswith(TABLES):
            count += rows.write_lines(by_name[name], backup.lines(name), names=facts["fields"], using="default")
    connection.check_constraints()
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), found):
            cursor.execute(statement)
    return count
