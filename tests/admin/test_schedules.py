"""Schedules in the admin."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.audit import SYSTEM
from accounts.models import AuditEvent, User
from agents.definitions.services import create_agent
from agents.schedules.models import Schedule, ScheduledRun
from agents.schedules.services import create_schedule, tick
from agents.tasks.models import Task
from tests.schedules.conftest import make_due

pytestmark = pytest.mark.django_db
LIST = "admin:agents_schedules_schedule_changelist"


@pytest.fixture
def schedule(member: User) -> Schedule:
    create_agent(slug="helper", model="scripted:echo")
    return create_schedule(
        owner=member, actor=SYSTEM, name="Hourly", agent="helper", input="hello", every_seconds=3600,
        if_overlapping="allow",
    )  # fmt: skip


def _act(client: Client, action: str, *schedules: Schedule, **more: str) -> Any:
    chosen = {"action": action, "_selected_action": [str(each.pk) for each in schedules]}
    return client.post(reverse(LIST), chosen | more, follow=True)


def test_the_list_says_when_it_runs_next_and_its_page_what_came_of_it(
    client: Client, operator: User, schedule: Schedule
) -> None:
    make_due(schedule, ago=timedelta(hours=2, seconds=5))
    tick()
    client.force_login(operator)
    text = client.get(reverse(LIST)).content.decode()
    assert [part for part in ("Hourly", "every hour", "active", "member") if part not in text] == []
    text = client.get(reverse("admin:agents_schedules_schedule_change", args=[schedule.pk])).content.decode()
    assert "missed, skipped" in text
    assert reverse("admin:agents_tasks_task_change", args=[Task.objects.get().pk]) in text


def test_pausing_resuming_and_running_ask_first_and_are_on_record(
    client: Client, operator: User, schedule: Schedule
) -> None:
    client.force_login(operator)
    assert "Pause these schedules?" in _act(client, "pause_schedules", schedule).content.decode()
    assert Schedule.objects.get().paused_at is None
    for action in ("pause_schedules", "resume_schedules", "run_schedules"):
        assert "1 schedules: done." in _act(client, action, schedule, confirmed="yes").content.decode()
    assert ScheduledRun.objects.get().is_manual
    verbs = AuditEvent.objects.filter(actor_id=operator.pk, verb__startswith="schedule").order_by("created_at")
    assert [*verbs.values_list("verb", flat=True)] == ["schedule.pause", "schedule.resume", "schedule.run"]


def test_what_cannot_run_is_said(client: Client, operator: User, member: User, schedule: Schedule) -> None:
    User.objects.filter(pk=member.pk).update(is_active=False)
    client.force_login(operator)
    assert "is not active any more" in _act(client, "run_schedules", schedule, confirmed="yes").content.decode()


def test_seeing_is_not_operating_and_operating_is_not_deleting(
    client: Client, operator: User, admin: User, schedule: Schedule
) -> None:
    from django.contrib.auth.models import Permission

    viewer = User.objects.create_user(username="viewer", is_staff=True)
    viewer.user_permissions.set(Permission.objects.filter(codename="view_schedule"))
    client.force_login(viewer)
    _act(client, "pause_schedules", schedule, confirmed="yes")
    assert Schedule.objects.get().paused_at is None
    delete = reverse("admin:agents_schedules_schedule_delete", args=[schedule.pk])
    client.force_login(operator)
    assert client.post(delete, {"post": "yes"}).status_code == 403
    client.force_login(admin)
    assert client.post(delete, {"post": "yes"}).status_code == 302
    assert Schedule.objects.count() == 0
    assert AuditEvent.objects.filter(verb="schedule.delete", actor_id=admin.pk).count() == 1


def test_the_list_and_a_page_cost_the_same_for_few_and_for_many(
    client: Client, operator: User, member: User, schedule: Schedule, django_assert_max_num_queries: Any
) -> None:
    client.force_login(operator)
    page = reverse("admin:agents_schedules_schedule_change", args=[schedule.pk])
    for count in (1, 29):
        for number in range(count):
            create_schedule(
                owner=member, actor=SYSTEM, name=f"{count} {number}", agent="helper", input="x", every_seconds=60
            )
            make_due(schedule, ago=timedelta(0))
            tick()
        with django_assert_max_num_queries(10):
            assert client.get(reverse(LIST)).status_code == 200
        with django_assert_max_num_queries(14):
            assert client.get(page).status_code == 200
