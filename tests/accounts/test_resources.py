"""The matrix of rights: what stands in it, and that nothing is forgotten."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.apps import apps
from django.contrib.auth.management import _get_all_permissions  # type: ignore[attr-defined]
from django.contrib.auth.models import Permission

from accounts.exceptions import UnknownCell
from accounts.resources import Verb, cells, find_cell, permissions_of, register_resource, resources, summarise

ROOT = Path(__file__).resolve().parents[2]

# Nobody is given these by a role; a superuser has them, and no page or service asks for them.
WRITTEN_BY_THE_PLATFORM = "rows that only the platform writes"
THE_OWNERS = "what only owners do, without any right"
NOT_GIVEN = {
    "accounts.auditevent": (WRITTEN_BY_THE_PLATFORM, {"add", "change", "delete"}),
    "accounts.auditseal": (WRITTEN_BY_THE_PLATFORM, {"add", "change", "delete"}),
    "accounts.apisession": (WRITTEN_BY_THE_PLATFORM, {"add", "delete"}),
    "accounts.apikey": ("a revoked key stays, for the record", {"delete"}),
    "accounts.quotaperiod": (WRITTEN_BY_THE_PLATFORM, {"add", "change", "delete"}),
    "accounts.reservation": (WRITTEN_BY_THE_PLATFORM, {"add", "change", "delete"}),
    "telemetry.span": (WRITTEN_BY_THE_PLATFORM, {"add", "change", "delete"}),
    "agents_definitions.agent": ("tasks point at its versions; it is disabled instead", {"delete"}),
    "agents_definitions.agentversion": ("published with its agent, never changed", {"add", "change", "delete"}),
    "agents_tasks.task": ("tasks are submitted, operated and pruned", {"add", "change", "delete"}),
    "agents_tasks.taskdependency": (WRITTEN_BY_THE_PLATFORM, {"add", "change", "delete"}),
    "agents_tasks.slot": (WRITTEN_BY_THE_PLATFORM, {"add", "change", "delete"}),
    "agents_tasks.attempt": (WRITTEN_BY_THE_PLATFORM, {"add", "change", "delete"}),
    "agents_tasks.taskevent": (WRITTEN_BY_THE_PLATFORM, {"add", "change", "delete"}),
    "agents_schedules.scheduledrun": (WRITTEN_BY_THE_PLATFORM, {"add", "change", "delete"}),
    "agents_webhooks.endpoint": (THE_OWNERS, {"add", "change", "delete"}),
    "agents_webhooks.tasksecret": ("secrets are nobody's to see", {"add", "change", "delete", "view"}),
    "agents_webhooks.delivery": (WRITTEN_BY_THE_PLATFORM, {"add", "change", "delete"}),
    "agents_webhooks.deliveryattempt": (WRITTEN_BY_THE_PLATFORM, {"add", "change", "delete"}),
    "agents_gateway.modelcall": (WRITTEN_BY_THE_PLATFORM, {"add", "change", "delete"}),
    "agents_gateway.price": ("calls were counted by it; another price is another row", {"change", "delete"}),
    "agents_circuits.circuitchange": (WRITTEN_BY_THE_PLATFORM, {"add", "change", "delete"}),
    "agents_cache.cacheentry": (WRITTEN_BY_THE_PLATFORM, {"add", "delete"}),
    "agents_cache.entrytag": (WRITTEN_BY_THE_PLATFORM, {"add", "change", "delete"}),
    "agents_cache.cacheepoch": (WRITTEN_BY_THE_PLATFORM, {"add", "delete"}),
    "agents_cache.calibration": (WRITTEN_BY_THE_PLATFORM, {"add", "delete"}),
    "agents_cache.trial": (WRITTEN_BY_THE_PLATFORM, {"add", "change", "delete"}),
    "agents_memory.conversation": (THE_OWNERS, {"add", "change", "delete"}),
    "agents_memory.message": (THE_OWNERS, {"add", "change", "delete"}),
    "agents_tools.toolcall": (WRITTEN_BY_THE_PLATFORM, {"add", "change", "delete"}),
    "agents_tools.approval": (WRITTEN_BY_THE_PLATFORM, {"add", "change", "delete"}),
    "agents_runtime.checkpoint": ("the inside of a run; no page shows it", {"add", "change", "delete", "view"}),
    "agents_runtime.checkpointwrite": ("the inside of a run; no page shows it", {"add", "change", "delete", "view"}),
    "agents_worker.workerprocess": (WRITTEN_BY_THE_PLATFORM, {"add", "change", "delete"}),
}  # fmt: skip


def _ours() -> set[str]:
    """Every permission of every model of our rooms."""
    found: set[str] = set()
    for config in apps.get_app_configs():
        if Path(config.path).is_relative_to(ROOT) and ".venv" not in config.path and config.label != "chaos":
            for model in config.get_models():
                found |= {f"{config.label}.{codename}" for codename, _label in _get_all_permissions(model._meta)}
    return found


def _not_given() -> list[str]:
    return [
        f"{label}.{action}_{model}"
        for (label, _dot, model), actions in ((name.partition("."), given[1]) for name, given in NOT_GIVEN.items())
        for action in sorted(actions)
    ]


def test_every_permission_of_ours_is_in_one_cell_or_given_to_nobody_for_a_reason() -> None:
    in_cells = [permission for cell in cells() for permission in cell.permissions]
    ours = _ours()
    assert len(ours) > 100
    assert len(in_cells) == len(set(in_cells)), "a permission stands in two cells"
    ours_in_cells = {name for name in in_cells if name.partition(".")[0] in {label.partition(".")[0] for label in ours}}
    assert ours_in_cells | set(_not_given()) == ours
    assert not ours_in_cells & set(_not_given())


@pytest.mark.django_db
def test_every_permission_in_the_matrix_exists() -> None:
    there = Permission.objects.values_list("content_type__app_label", "codename")
    named = {permission for cell in cells() for permission in cell.permissions}
    assert named <= {f"{label}.{codename}" for label, codename in there}


def test_every_room_brings_its_rows_and_every_row_says_what_is_everybodys_own() -> None:
    names = [resource.name for resource in resources()]
    assert names == [
        "agents", "tasks", "queues", "schedules", "webhooks", "circuits", "models", "answers", "conversations",
        "approvals", "users", "roles", "keys", "limits", "audit", "telemetry",
    ]  # fmt: skip
    assert all(str(resource.label) for resource in resources())
    assert find_cell("telemetry", "view").permissions == (
        "telemetry.view_span", "django_celery_results.view_taskresult", "agents_worker.view_workerprocess",
    )  # fmt: skip


def test_a_name_is_taken_once() -> None:
    with pytest.raises(ValueError, match="agents"):
        register_resource(resources()[0])


@pytest.mark.parametrize(("resource", "verb"), [("nothing", "view"), ("agents", "approve"), ("agents", "fly")])
def test_a_right_that_there_is_not_is_refused_by_its_name(resource: str, verb: str) -> None:
    with pytest.raises(UnknownCell, match=f"{resource}:{verb}"):
        permissions_of({resource: [verb]})


def test_permissions_are_summed_up_as_whole_cells_parts_and_the_rest() -> None:
    whole = find_cell("agents", "view").permissions
    summary = summarise([*whole, "accounts.add_user", "sessions.view_session"])
    assert summary.whole == {"agents": ["view"]}
    assert summary.partial == {"users": ["change"]}
    assert summary.other == ["sessions.view_session"]
    assert summary.sentence == "Agents: view; Users: change (partly); sessions.view_session"
    assert [verb.value for verb in Verb] == ["view", "use", "change", "approve", "administer"]
