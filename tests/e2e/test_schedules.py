"""A worker fires what is due, without being asked, about when it is due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.site import Site

SCHEDULES = "/api/v1/schedules"
COUNT = 10
# Time to make them all, beside other tests.
AHEAD = timedelta(seconds=15)
# The aim is 2 seconds, on a machine that does nothing else.
LATEST = timedelta(seconds=10)


@pytest.mark.once
def test_schedules_that_are_due_at_one_moment_run_then_and_once(site: Site) -> None:
    due = (datetime.now(UTC) + AHEAD).replace(microsecond=0)
    asked = {"agent": "echo", "input": "bom dia", "every_seconds": 3600, "starts_at": due.isoformat()}
    made = [site.request("POST", SCHEDULES, {"name": f"at once {number}", **asked}) for number in range(COUNT)]
    assert [status for status, _body in made] == [201] * COUNT
    addresses = [f"{SCHEDULES}/{body['id']}" for _status, body in made]
    assert {datetime.fromisoformat(body["next_run_at"]) for _status, body in made} == {due}
    runs = site.wait(lambda: _runs(site, addresses))
    assert {run["outcome"] for run in runs} == {"fired"}
    assert {datetime.fromisoformat(run["due_at"]) for run in runs} == {due}
    late = [datetime.fromisoformat(run["created_at"]) - due for run in runs]
    assert timedelta(0) <= min(late)
    assert max(late) < LATEST
    for run in runs:
        assert list(site.events(run["task"]))[-1][1] == "done"
        assert site.request("GET", f"/api/v1/tasks/{run['task']}")[1]["status"] == "succeeded"
    assert {len(_runs_of(site, address)) for address in addresses} == {1}
    for address in addresses:
        assert site.request("DELETE", address)[0] == 204


def _runs_of(site: Site, address: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = site.request("GET", f"{address}/runs")[1]["results"]
    return found


def _runs(site: Site, addresses: list[str]) -> list[dict[str, Any]] | None:
    """One of each, once all have one."""
    found = [run for address in addresses for run in _runs_of(site, address)]
    return found if len(found) == len(addresses) else None
