"""A backup of a platform at work becomes the same platform on another machine."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from mutirao.archive import reading
from tests.e2e.conftest import ENVIRON, back_end
from tests.parts.authenticator import code_of
from tests.site import Site, running

ECHO = {"agent": "echo", "input": "uma mão lava a outra"}
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
ANA = {"username": "ana", "password": "ana-password-1"}
SECOND_FACTOR = f"""
from allauth.mfa.totp.internal.auth import TOTP
from accounts.models import User
TOTP.activate(User.objects.create_user("ana", password="ana-password-1"), "{SECRET}")
"""
ADMIN = {"username": "admin", "password": "admin-password-1"}


def _ids(site: Site) -> dict[str, dict[str, Any]]:
    """Every task by its id."""
    found: dict[str, dict[str, Any]] = {}
    path = "/api/v1/tasks?page_size=100"
    while path:
        page = site.request("GET", path)[1]
        found |= {task["id"]: task for task in page["results"]}
        path = page["next"].partition(f":{site.port}")[2] if page["next"] else ""
    return found


def _submit_until(site: Site, enough: threading.Event, accepted: list[str]) -> None:
    while not enough.is_set():
        status, task = site.request("POST", "/api/v1/tasks", ECHO)
        assert status == 202
        accepted.append(task["id"])


def _rows(file: Path, table: str) -> list[dict[str, Any]]:
    with reading(file) as backup:
        name = f"tables/{table}.jsonl"
        fields = backup.parts[name]["fields"]
        return [dict(zip(fields, json.loads(line), strict=True)) for line in backup.lines(name)]


def test_a_backup_taken_while_tasks_are_submitted_is_of_one_moment(site: Site, tmp_path: Path) -> None:
    accepted: list[str] = []
    enough = threading.Event()
    submitting = threading.Thread(target=_submit_until, args=(site, enough, accepted))
    submitting.start()
    try:
        site.wait(lambda: len(accepted) >= 10)
        before = len(accepted)
        file = tmp_path / "backup.zip"
        made = site.manage("backup", str(file))
        assert made.returncode == 0, made.stderr
        during = len(accepted) - before
        site.wait(lambda: len(accepted) >= before + during + 5)
    finally:
        enough.set()
        submitting.join(timeout=30)
    # It really was at work: tasks were accepted while the backup ran, and none of those accepted before is missing.
    assert during > 0
    tasks = {task["id"]: task for task in _rows(file, "agents_tasks.task")}
    assert set(accepted[:before]) <= tasks.keys()
    assert not set(accepted[before + during :]) & tasks.keys()
    # Each task and its log are of the same moment: the row says how many entries its log has.
    logs: dict[str, list[int]] = {task_id: [] for task_id in tasks}
    for event in _rows(file, "agents_tasks.taskevent"):
        logs[event["task_id"]].append(event["number"])
    assert {
        task_id for task_id, log in logs.items() if sorted(log) != [*range(1, tasks[task_id]["last_event"] + 1)]
    } == set()
    assert {attempt["task_id"] for attempt in _rows(file, "agents_tasks.attempt")} <= tasks.keys()


@pytest.mark.once
@pytest.mark.timeout(240)  # Two platforms, one after the other.
def test_tasks_conversations_keys_and_tokens_go_on_on_another_machine(tmp_path: Path) -> None:
    file = tmp_path / "backup.zip"
    sealing = Fernet.generate_key().decode()
    environ = ENVIRON | {"MUTIRAO_ADMIN_PASSWORD": ADMIN["password"], "MUTIRAO_ENCRYPTION_KEYS": sealing}
    with back_end() as old_end, running(tmp_path / "old", **old_end, **environ) as old:
        old.make_key()
        tokens = old.request("POST", "/api/v1/auth/token", ADMIN)[1]
        conversation = old.request("POST", "/api/v1/conversations", {"agent": "echo"})[1]
        messages = f"/api/v1/conversations/{conversation['id']}/messages"
        assert old.request("POST", messages, {"text": "hello"}, Prefer="wait=30")[0] == 200
        later = {**ECHO, "not_before": "2099-01-01T00:00:00Z"}
        waiting = old.request("POST", "/api/v1/tasks", later)[1]["id"]
        done = old.request("POST", "/api/v1/tasks", ECHO, Prefer="wait=30")[1]["id"]
        sealed = old.manage("shell", "-c", SECOND_FACTOR)
        assert sealed.returncode == 0, sealed.stderr
        assert old.manage("backup", str(file)).returncode == 0
        tasks, said = _ids(old), old.request("GET", messages)[1]["results"]
        log = [*old.events(done)]
    with back_end(is_empty=True) as new_end:
        database = {name: value for name, value in new_end.items() if name == "DATABASE_URL"}
        restored = Site(tmp_path / "new", database).manage("restore", str(file))
        assert restored.returncode == 0, restored.stderr
        with running(tmp_path / "new", **new_end, **ENVIRON) as new:
            new.key = old.key
            assert new.request("GET", "/api/v1/me")[1]["username"] == "admin"
            assert _ids(new) == tasks
            assert tasks[waiting]["status"] == "queued"
            assert new.request("GET", messages)[1]["results"] == said
            assert [message["role"] for message in said] == ["user", "assistant"]
            assert [*new.events(done)] == log
            status, renewed = new.request("POST", "/api/v1/auth/token/refresh", {"refresh": tokens["refresh"]})
            assert (status, set(renewed)) == (200, {"access", "refresh"})
            assert new.request("POST", messages, {"text": "again"}, Prefer="wait=30")[0] == 200
            keys = (tmp_path / "new" / "environment").read_text()
            assert f"MUTIRAO_ENCRYPTION_KEYS={sealing}" in keys.splitlines()
            # What was sealed there can be opened here: a code of the authenticator app still fits its secret.
            assert new.request("POST", "/api/v1/auth/token", ANA)[0] == 401
            assert new.request("POST", "/api/v1/auth/token", ANA | {"code": code_of(SECRET)})[0] == 200
            refused = new.manage("restore", str(file), "--force")
            assert refused.returncode == 1
            assert "already runs on" in refused.stderr
