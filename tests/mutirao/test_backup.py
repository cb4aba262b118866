"""One file, and everything is there again: on the same database, on the other one, and not at all when it is wrong."""

from __future__ import annotations

import json
import stat
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, models
from django.db.migrations.recorder import MigrationRecorder

from accounts.audit import SYSTEM
from accounts.issuing import issue_api_key
from accounts.models import User
from accounts.roles import ensure_roles
from agents.definitions.services import create_agent
from agents.memory.models import Message
from agents.memory.services import post_message, start_conversation
from agents.runtime.models import Checkpoint
from agents.schedules.services import create_schedule, run_now
from agents.tasks.models import Task
from agents.tasks.services import submit
from mutirao.archive import NotABackup, reading, writing
from mutirao.backup import make_backup
from mutirao.restoring import secrets_in
from mutirao.rows import Column
from mutirao.snapshot import snapshot
from tests import prepared
from tests.mutirao.databases import KINDS, empty_database
from tests.site import manage

pytestmark = pytest.mark.django_db(transaction=True)
Manage = Callable[..., subprocess.CompletedProcess[str]]
PASSPHRASE = "correct horse battery staple"
SOMETHING = "uma mão lava a outra"


@pytest.fixture
def full(member: User) -> User:
    """A database with something of every kind in it: roles, a key, an agent, a conversation, a task, a schedule
    that has run, bytes."""
    ensure_roles()
    issue_api_key(owner=member, name="laptop", actor=SYSTEM)
    agent = create_agent(slug="helper", system_prompt=SOMETHING)
    conversation = start_conversation(owner=member, agent=agent, title=SOMETHING)
    post_message(conversation=conversation, text=SOMETHING, owner=member)
    submit(owner=member, agent=agent, input={"messages": [{"role": "user", "content": SOMETHING}]})
    schedule = create_schedule(
        owner=member, actor=SYSTEM, name=SOMETHING, agent="helper", input=SOMETHING, cron="0 8 * * 1-5"
    )
    run_now(schedule=schedule, actor=SYSTEM)
    Checkpoint.objects.create(
        thread_id="x", checkpoint_id="1", encoding="bytes", state=b"\x00\xff", metadata={"a": None}
    )
    return member


@pytest.fixture
def backup(full: User, tmp_path: Path) -> Path:
    """Its backup."""
    file = tmp_path / "backup.zip"
    make_backup(file)
    return file


@pytest.fixture(params=KINDS[-1:])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manage]:
    """`manage.py` of an installation on an empty machine, with the kind of database that the suite runs on."""
    with empty_database(request.param) as database:
        yield _manage(tmp_path / "home", **database)


@pytest.fixture
def machine(tmp_path: Path) -> Manage:
    """The same on SQLite, migrated and not yet used."""
    home = tmp_path / "home"
    home.mkdir()
    prepared.sqlite(home / prepared.SQLITE)
    return _manage(home)


def _manage(home: Path, **environ: str) -> Manage:
    def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        given: dict[str, Any] = {**environ, **more}
        return manage(home, *arguments, **given)

    return run


def _parts(file: Path) -> dict[str, list[object]]:
    """Every row of every table, whatever the order of keys inside a JSON value."""
    with reading(file) as found:
        return {
            name: [json.loads(line) for line in found.lines(name)] for name in found.parts if name.startswith("tables/")
        }


def _rewrite(source: Path, target: Path, change: Callable[[str, bytes], bytes]) -> None:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))


@pytest.mark.parametrize("empty", KINDS, indirect=True)
def test_a_restored_installation_has_the_same_rows_to_the_microsecond(
    backup: Path, empty: Manage, tmp_path: Path
) -> None:
    restored = empty("restore", str(backup))
    assert restored.returncode == 0, restored.stderr
    again = tmp_path / "again.zip"
    made = empty("backup", str(again), REDIS_URL="redis://127.0.0.1")
    assert made.returncode == 0, made.stderr
    before, after = _parts(backup), _parts(again)
    assert before.keys() == after.keys()
    assert {name: rows for name, rows in after.items() if rows != before[name]} == {}
    counts = {name: len(before[f"tables/agents_{name}.jsonl"]) for name in ("tasks.task", "schedules.scheduledrun")}
    assert counts == {"tasks.task": 3, "schedules.scheduledrun": 1}


@pytest.mark.embedded
def test_the_secrets_come_along_and_only_their_owner_reads_them(backup: Path, machine: Manage, tmp_path: Path) -> None:
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert machine("restore", str(backup)).returncode == 0
    environment = tmp_path / "home" / "environment"
    assert stat.S_IMODE(environment.stat().st_mode) == 0o600
    with reading(backup) as found:
        secrets = secrets_in(found)
    assert {"SECRET_KEY", "JWT_SIGNING_KEY"} <= secrets.keys()
    assert not {"REDIS_URL", "DATABASE_URL"} & secrets.keys()
    assert {f"{name}={value}" for name, value in secrets.items()} <= set(environment.read_text().splitlines())


def test_new_rows_after_a_restore_get_numbers_of_their_own(backup: Path, empty: Manage) -> None:
    assert empty("restore", str(backup)).returncode == 0
    code = (
        "from django.contrib.auth.models import Group; Group.objects.create(name='new');"
        "from agents.tasks.models import TaskEvent, Task; from django.utils import timezone;"
        "TaskEvent.objects.create(task=Task.objects.first(), number=99, kind='custom', created_at=timezone.now())"
    )
    added = empty("shell", "--no-imports", "--command", code, REDIS_URL="redis://127.0.0.1")
    assert added.returncode == 0, added.stderr


@pytest.mark.embedded
def test_an_installation_in_use_is_not_replaced_unless_asked(backup: Path, machine: Manage) -> None:
    assert machine("restore", str(backup)).returncode == 0
    refused = machine("restore", str(backup))
    assert refused.returncode == 1
    assert "This installation is in use; --force replaces everything" in refused.stderr
    forced = machine("restore", str(backup), "--force")
    assert forced.returncode == 0, forced.stderr


@pytest.mark.embedded
def test_a_key_that_is_set_elsewhere_has_to_be_the_same(backup: Path, machine: Manage, tmp_path: Path) -> None:
    refused = machine("restore", str(backup), SECRET_KEY="another-one-of-more-than-thirty-two-characters")
    assert refused.returncode == 1
    assert "SECRET_KEY is set in the environment, and is not that of the backup" in refused.stderr
    folder = tmp_path / "secrets"
    assert machine("restore", str(backup), "--secrets", str(folder)).returncode == 0
    files = {f"{file.name.upper()}_FILE": str(file) for file in folder.iterdir()}
    restored = machine("restore", str(backup), **files)
    assert restored.returncode == 0, restored.stderr


@pytest.mark.embedded
def test_a_damaged_backup_changes_nothing(backup: Path, machine: Manage, tmp_path: Path) -> None:
    assert machine("restore", str(backup)).returncode == 0
    damaged = tmp_path / "damaged.zip"
    _rewrite(backup, damaged, lambda name, data: data.replace(b"laptop", b"tablet"))
    refused = machine("restore", str(damaged), "--force")
    assert refused.returncode == 1
    assert "The backup is damaged: tables/accounts.apikey.jsonl is not what it was." in refused.stderr
    again = tmp_path / "again.zip"
    assert machine("backup", str(again), REDIS_URL="redis://127.0.0.1").returncode == 0
    assert _parts(again) == _parts(backup)


def test_rows_that_do_not_fit_together_are_all_taken_back(backup: Path, empty: Manage, tmp_path: Path) -> None:
    assert empty("restore", str(backup)).returncode == 0
    with reading(backup) as found, writing(tmp_path / "torn.zip") as torn:
        for name, facts in found.parts.items():
            lines = [] if name == "tables/accounts.user.jsonl" else found.lines(name)
            torn.add(name, lines, **{key: value for key, value in facts.items() if key == "fields"})
        torn.finish(**{name: found.manifest[name] for name in ("made_at", "mutirao", "database", "migrations")})
    refused = empty("restore", str(tmp_path / "torn.zip"), "--force")
    assert refused.returncode == 1
    assert "The rows could not be restored" in refused.stderr
    again = tmp_path / "again.zip"
    assert empty("backup", str(again), REDIS_URL="redis://127.0.0.1").returncode == 0
    assert _parts(again) == _parts(backup)


@pytest.mark.embedded
def test_a_backup_of_a_newer_version_is_refused(full: User, machine: Manage, tmp_path: Path) -> None:
    file = tmp_path / "newer.zip"
    MigrationRecorder(connection).record_applied("agents_tasks", "9999_future")
    try:
        make_backup(file)
    finally:
        MigrationRecorder(connection).record_unapplied("agents_tasks", "9999_future")
    refused = machine("restore", str(file))
    assert refused.returncode == 1
    assert "made by a newer version of Mutirão" in refused.stderr
    assert "agents_tasks.9999_future" in refused.stderr


def test_a_backup_of_an_older_version_is_brought_forward(backup: Path, empty: Manage, tmp_path: Path) -> None:
    # As it was before guardian's last migration, which changes indexes only.
    gone = ["guardian", "0003_remove_groupobjectpermission_guardian_gr_content_ae6aec_idx_and_more"]
    older = tmp_path / "older.zip"
    with reading(backup) as found, writing(older) as target:
        for name, facts in found.parts.items():
            target.add(name, found.lines(name), **{key: value for key, value in facts.items() if key == "fields"})
        facts = {name: found.manifest[name] for name in ("made_at", "mutirao", "database")}
        target.finish(**facts, migrations=[key for key in found.manifest["migrations"] if key != gone])
    restored = empty("restore", str(older))
    assert restored.returncode == 0, restored.stderr
    assert empty("migrate", "--check", REDIS_URL="redis://127.0.0.1").returncode == 0
    refused = empty("restore", str(older), "--force")
    assert "made by an older version of Mutirão; restore it into a database without tables" in refused.stderr


@pytest.mark.embedded
def test_a_foreign_file_is_refused(machine: Manage, tmp_path: Path) -> None:
    file = tmp_path / "x.zip"
    file.write_text("hello")
    assert "The file is not a backup of Mutirão." in machine("restore", str(file)).stderr
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("manifest.json", "{}")
    assert "The file is not a backup of Mutirão." in machine("restore", str(file)).stderr
    assert "No such file or directory" in machine("restore", str(tmp_path / "none.zip")).stderr


@pytest.mark.embedded
def test_an_encrypted_backup_opens_with_its_passphrase_alone(full: User, machine: Manage, tmp_path: Path) -> None:
    file = tmp_path / "sealed.zip"
    make_backup(file, passphrase=PASSPHRASE)
    with reading(file, passphrase=PASSPHRASE) as found:
        names = {*secrets_in(found).values()}
    assert not any(secret.encode() in file.read_bytes() for secret in {SOMETHING, "accounts.user", *names})
    assert "Set MUTIRAO_BACKUP_PASSPHRASE" in machine("restore", str(file)).stderr
    wrong = machine("restore", str(file), MUTIRAO_BACKUP_PASSPHRASE="wrong horse battery staple")
    assert "The passphrase is not the one of this backup." in wrong.stderr
    right = machine("restore", str(file), MUTIRAO_BACKUP_PASSPHRASE=PASSPHRASE)
    assert right.returncode == 0, right.stderr


@pytest.mark.embedded
def test_an_encrypted_backup_that_was_changed_is_refused(full: User, tmp_path: Path) -> None:
    file, changed = tmp_path / "sealed.zip", tmp_path / "changed.zip"
    make_backup(file, passphrase=PASSPHRASE)
    _rewrite(file, changed, lambda name, data: data[:-20] + b"x" * 20 if name == "backup.zip.age" else data)
    with pytest.raises(NotABackup, match="damaged"), reading(changed, passphrase=PASSPHRASE):
        pass


def test_a_backup_replaces_no_file_and_leaves_none_when_it_fails(
    full: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "backup.zip"
    file.write_text("precious")
    with pytest.raises(CommandError, match="it is there already"):
        call_command("backup", file)
    assert file.read_text() == "precious"
    file.unlink()
    monkeypatch.setattr("mutirao.backup._environment", lambda: iter([1 / 0]))
    with pytest.raises(ZeroDivisionError):
        make_backup(file)
    assert [*tmp_path.iterdir()] == []


def test_a_snapshot_sees_one_moment_and_locks_nobody_out(full: User) -> None:
    with snapshot() as alias:
        seen = Message.objects.using(alias).count()
        Message.objects.all().delete()
        assert (seen, Message.objects.using(alias).count(), Message.objects.count()) == (1, 1, 0)
    with snapshot() as alias:
        assert Message.objects.using(alias).count() == 0


class Backwards(models.TextField):  # type: ignore[type-arg]
    """Stands for a field that encrypts: what is stored is not what is read."""

    def from_db_value(self, value: str | None, *_context: object) -> str | None:
        return value and value[::-1]

    def get_prep_value(self, value: str | None) -> str | None:
        return value and value[::-1]


def test_what_a_field_encrypts_is_backed_up_and_restored_as_stored() -> None:
    field = Backwards()
    field.set_attributes_from_name("input")
    column = Column.of(field)
    assert column.is_raw
    # Read through the plain field, nothing turns it around; written as a value of the plain field, neither.
    assert type(column.plain) is models.TextField
    assert column.stored("terces").value == "terces"
    assert not Column.of(Task._meta.get_field("input")).is_raw


def test_times_keep_their_microseconds(full: User, tmp_path: Path) -> None:
    moment = datetime(2026, 11, 25, 12, 0, 0, 123457, tzinfo=UTC)
    Task.objects.update(runs_before=moment)
    file = tmp_path / "backup.zip"
    make_backup(file)
    with reading(file) as found:
        position = found.parts["tables/agents_tasks.task.jsonl"]["fields"].index("runs_before")
        line = next(found.lines("tables/agents_tasks.task.jsonl"))
    assert datetime.fromisoformat(json.loads(line)[position]) == moment
