"""Schedules in a real browser: the next runs change while one types."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from accounts.audit import SYSTEM
from accounts.models import User
from agents.definitions.models import Agent
from agents.schedules.models import Schedule
from agents.schedules.services import create_schedule
from agents.tasks.models import Task
from tests.pages.browser.conftest import Visitor

pytestmark = pytest.mark.browser


def test_a_schedule_is_made_with_its_next_runs_in_view(
    visit: Callable[..., Visitor], member: User, agent: Agent
) -> None:
    person = visit()
    person.sign_in("member")
    assert person.sees("Your work of the last 24 hours")
    person.go("/schedules/")
    person.press("New schedule")
    runs = person.page.locator("#next-runs")
    person.fill("Cron expression", "soon")
    runs.get_by_text("Five fields are expected").wait_for()
    person.fill("Cron expression", "30 6 1 * *")
    runs.get_by_text("6:30 a.m.").first.wait_for()
    assert runs.locator("time").count() == 5
    person.fill("Time zone", "America/Sao_Paulo")
    runs.get_by_text("-03").first.wait_for()
    person.page.get_by_label("at an interval").check()
    assert not person.page.get_by_label("Cron expression").is_visible()
    runs.get_by_text("in 14 minutes").first.wait_for()
    assert person.faults() == []
    person.fill("Name", "Quarter of an hour")
    person.fill("What shall it do?", "Look around.")
    person.press("Make the schedule")
    assert person.sees("It has not run yet")
    assert Schedule.objects.get().every_seconds == 900
    assert person.faults() == []
    assert person.complaints == []


def test_a_schedule_is_run_paused_and_deleted_by_keyboard(
    visit: Callable[..., Visitor], member: User, agent: Agent
) -> None:
    schedule = create_schedule(
        owner=member, actor=SYSTEM, name="Hourly", agent="echo", input="hello", every_seconds=3600
    )
    person = visit()
    person.sign_in("member")
    assert person.sees("Your work of the last 24 hours")
    person.go(f"/schedules/{schedule.pk}/")
    for name, said in (("Run now", "A task is submitted."), ("Pause", "It is paused"), ("Resume", "It goes on")):
        person.page.get_by_role("button", name=name).focus()
        person.page.keyboard.press("Enter")
        assert person.sees(said)
    assert Task.objects.count() == 1
    person.press("Delete")
    person.press("Delete it")
    assert person.sees("No schedule yet")
    assert person.faults() == []
    assert person.complaints == []
