"""kill -9 under `manage.py up` in the middle of a run: it starts again what has died, and the task finishes, once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.site import Site

TASKS = "/api/v1/tasks"


def _lines(site: Site, name: str) -> list[str]:
    file = site.home / f"journey-{name}.txt"
    return file.read_text().splitlines() if file.exists() else []


def _in_the_middle(site: Site, name: str) -> str:
    """Submits a journey and returns when its middle step runs; gives the task's id."""
    status, task = site.request("POST", TASKS, {"agent": "traveller", "input": {"name": name, "steps": []}})
    assert status == 202, task
    site.wait(lambda: _lines(site, name) == ["first", "middle"])
    return str(task["id"])


def _ended(site: Site, task_id: str) -> Callable[[], dict[str, object] | None]:
    def look() -> dict[str, object] | None:
        try:
            status, task = site.request("GET", f"{TASKS}/{task_id}")
        except OSError:
            return None
        return task if status == 200 and task["status"] in ("succeeded", "failed", "cancelled") else None

    return look


def _finishes_once(site: Site, name: str, task_id: str) -> None:
    (site.home / f"gate-{name}").touch()
    task = site.wait(_ended(site, task_id), within=60)
    assert task["status"] == "succeeded", task
    assert task["result"]["steps"] == ["first", "middle", "last"]
    statuses = [data["status"] for _, kind, data in site.events(task_id) if kind == "status"]
    assert statuses.count("succeeded") == 1
    lines = _lines(site, name)
    # What was saved before the kill is not done again, and the end comes once.
    assert lines.count("first") == 1
    assert lines.count("last") == 1


@pytest.mark.embedded
def test_a_killed_web_process_is_replaced_and_the_task_goes_on(own_site: Site) -> None:
    task_id = _in_the_middle(own_site, "web")
    killed = own_site.child("web")
    killed.kill()
    killed.wait(timeout=10)
    own_site.wait(own_site.is_ready, within=60)
    _finishes_once(own_site, "web", task_id)
    assert _lines(own_site, "web") == ["first", "middle", "last"]


@pytest.mark.embedded
def test_a_killed_valkey_is_replaced_and_the_task_goes_on(embedded_site: Site) -> None:
    task_id = _in_the_middle(embedded_site, "valkey")
    killed = embedded_site.child("valkey")
    killed.kill()
    killed.wait(timeout=10)
    embedded_site.wait(embedded_site.is_ready, within=60)
    _finishes_once(embedded_site, "valkey", task_id)
    assert _lines(embedded_site, "valkey") == ["first", "middle", "last"]
    # And what comes afterwards is taken up as if nothing had happened.
    status, after = embedded_site.request("POST", TASKS, {"agent": "one-node", "input": {"value": 1}}, Prefer="wait=30")
    assert (status, after["result"]) == (200, {"value": 2})


@pytest.mark.embedded
@pytest.mark.queueing
def test_everything_killed_at_once_is_finished_by_the_next_start(own_site: Site) -> None:
    task_id = _in_the_middle(own_site, "all")
    for process in own_site.family():
        process.kill()
    assert own_site.process is not None
    own_site.process.wait(timeout=10)
    own_site.start()
    own_site.wait(lambda: _lines(own_site, "all").count("middle") == 2, within=60)
    _finishes_once(own_site, "all", task_id)
