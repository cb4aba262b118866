"""Schedules as pages: the list, one of them, the form with its preview."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from accounts.audit import SYSTEM
from accounts.models import AuditEvent, User
from agents.definitions.models import Agent
from agents.definitions.services import create_agent
from agents.schedules.models import Schedule, ScheduledRun
from agents.schedules.services import create_schedule, pause_schedule, run_now, tick
from agents.tasks.models import Task
from tests.schedules.conftest import make_due

pytestmark = pytest.mark.django_db
LIST, NEW, PREVIEW = "/schedules/", "/schedules/new/", "/schedules/preview/"
GIVEN = {
    "name": "Weekly report", "agent": "echo", "text": "What did we sell?", "kind": "cron", "cron": "0 8 * * 1",
    "every": "15", "unit": "60", "timezone": "America/Sao_Paulo", "if_missed": "once", "if_overlapping": "skip",
    "priority": "1", "metadata": "{}",
}  # fmt: skip


@pytest.fixture
def page(client: Client, member: User, agent: Agent) -> Client:
    """The member is signed in, and may use an agent."""
    client.force_login(member)
    return client


def _made(owner: User, **fields: Any) -> Schedule:
    given: dict[str, Any] = {"name": "Hourly", "agent": "echo", "input": "hello", "every_seconds": 3600} | fields
    return create_schedule(owner=owner, actor=SYSTEM, **given)


def _text(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200, response.status_code
    return response.content.decode()


def _errors(response: Any) -> list[str]:
    assert response.status_code == 400
    return re.findall(r'id="id_(\w+)_error"', response.content.decode())


def test_without_a_schedule_the_page_says_what_one_is_for(page: Client) -> None:
    text = _text(page, LIST)
    assert "No schedule yet" in text
    assert f'href="{NEW}"' in text


def test_a_schedule_is_made_by_its_form_and_shown_with_its_next_runs(page: Client, member: User) -> None:
    response = page.post(NEW, GIVEN)
    schedule = Schedule.objects.get()
    assert response.headers["Location"] == f"{LIST}{schedule.pk}/"
    assert (schedule.owner, schedule.cron, schedule.every_seconds) == (member, "0 8 * * 1", None)
    assert (schedule.input, schedule.metadata) == ("What did we sell?", {})
    text = _text(page, f"{LIST}{schedule.pk}/")
    assert text.count('<li class="row row-between"><time') == 5
    assert "8 a.m." in text
    assert "It has not run yet" in text
    assert "Weekly report" in _text(page, LIST)


def test_the_page_of_an_agent_leads_to_a_schedule_of_it(page: Client) -> None:
    assert f'href="{NEW}?agent=echo"' in _text(page, "/agents/echo/")
    create_agent(slug="another", name="A first one")
    assert '<option value="echo" selected>' in _text(page, f"{NEW}?agent=echo")


def test_an_interval_in_words_that_people_use(page: Client) -> None:
    page.post(NEW, GIVEN | {"kind": "interval", "text": '{"question": "why?"}', "as_object": "on"})
    schedule = Schedule.objects.get()
    assert (schedule.cron, schedule.every_seconds, schedule.when) == ("", 900, "every 15 minutes")
    assert schedule.input == {"question": "why?"}


def test_moments_are_of_the_schedules_zone(page: Client) -> None:
    page.post(NEW, GIVEN | {"starts_at": "2100-06-01T08:00", "ends_at": "2100-07-01T08:00"})
    schedule = Schedule.objects.get()
    assert schedule.starts_at is not None
    assert schedule.starts_at.isoformat() == "2100-06-01T11:00:00+00:00"
    assert 'value="2100-06-01T08:00"' in _text(page, f"{LIST}{schedule.pk}/edit/")


@pytest.mark.parametrize(
    ("wrong", "fields"),
    [
        ({"name": ""}, ["name"]),
        ({"cron": "soon"}, ["cron"]),
        ({"cron": ""}, ["cron"]),
        ({"kind": "interval", "every": ""}, ["every"]),
        ({"kind": "interval", "every": "3", "unit": "1"}, ["every"]),
        ({"kind": "interval", "every": "99999999999", "unit": "86400"}, ["every"]),
        ({"timezone": "Mars/Olympus"}, ["timezone"]),
        ({"agent": "nobody"}, ["agent"]),
        ({"text": " "}, ["text"]),
        ({"text": "{", "as_object": "on"}, ["text"]),
        ({"text": "[]", "as_object": "on"}, ["text"]),
        ({"text": '{"messages": []}', "as_object": "on"}, ["text"]),
        ({"metadata": "x"}, ["metadata"]),
        ({"metadata": "[1]"}, ["metadata"]),
        ({"queue": "a b"}, ["queue"]),
        ({"starts_at": "soon"}, ["starts_at"]),
        ({"starts_at": "0001-01-01T00:00"}, ["starts_at"]),
        ({"starts_at": "2100-01-02T00:00", "ends_at": "2100-01-01T00:00"}, ["ends_at"]),
        ({"ends_at": "2020-01-01T00:00"}, ["ends_at"]),
        ({"cron": "soon", "name": "", "timezone": "x"}, ["name", "cron", "timezone"]),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(page: Client, wrong: dict[str, str], fields: list[str]) -> None:
    assert _errors(page.post(NEW, GIVEN | wrong)) == fields
    assert Schedule.objects.count() == 0


def test_a_name_that_is_taken_is_said_beside_the_name(page: Client, member: User) -> None:
    _made(member, name="Weekly report")
    assert _errors(page.post(NEW, GIVEN)) == ["name"]


def test_the_preview_shows_the_next_runs_or_what_is_wrong(page: Client) -> None:
    shown = page.post(PREVIEW, GIVEN | {"name": ""}).content.decode()
    assert shown.count("<time") == 5
    assert "-03" in shown
    shown = page.post(PREVIEW, GIVEN | {"cron": "soon"}).content.decode()
    assert "Five fields are expected" in shown
    assert "<time" not in shown
    assert "It would never run." in page.post(PREVIEW, GIVEN | {"ends_at": "2020-01-01T00:00"}).content.decode()
    assert page.post(PREVIEW, {}).status_code == 200
    assert Schedule.objects.count() == 0


def test_without_scripts_a_button_shows_the_same(page: Client) -> None:
    response = page.post(NEW, GIVEN | {"preview": "1"})
    assert response.status_code == 200
    assert response.content.decode().count("<time") == 5
    assert Schedule.objects.count() == 0


def test_a_change_of_the_name_changes_nothing_else(page: Client, member: User) -> None:
    schedule = _made(
        member, cron="30 6 * * *", every_seconds=None, timezone="Europe/Berlin", input={"a": [1]}, priority=2
    )
    due = make_due(schedule, ago=timedelta(hours=-1))
    address = f"{LIST}{schedule.pk}/edit/"
    form = page.get(address).context["form"]
    values = {name: form[name].value() for name in form.fields}
    given = {name: value for name, value in values.items() if value not in (None, False)} | {"name": "Other"}
    response = page.post(address, given)
    assert response.status_code == 302
    changed = Schedule.objects.get()
    assert (changed.name, changed.next_run_at, changed.input, changed.priority) == ("Other", due, {"a": [1]}, 2)
    assert AuditEvent.objects.get(verb="schedule.update").changes == {
        "name": {"before": schedule.name, "after": "Other"}
    }


def test_the_buttons_do_what_they_say(page: Client, member: User) -> None:
    schedule = _made(member)
    address = f"{LIST}{schedule.pk}/"
    page.post(f"{address}pause/")
    assert "Nothing is due while it is paused." in _text(page, address)
    assert "paused" in _text(page, LIST)
    page.post(f"{address}resume/")
    text = page.post(f"{address}run/", follow=True).content.decode()
    assert "A task is submitted." in text
    assert f'href="/tasks/{Task.objects.get().pk}/"' in text
    assert "by hand" in text
    assert "may not overlap" in page.post(f"{address}run/", follow=True).content.decode()
    assert "are forgotten" not in _text(page, f"{address}delete/")
    assert Schedule.objects.count() == 1
    assert page.post(f"{address}delete/").headers["Location"] == LIST
    assert (Schedule.objects.count(), Task.objects.count()) == (0, 1)
    assert page.get(f"{address}pause/").status_code == 405
    verbs = AuditEvent.objects.filter(actor_id=member.pk).order_by("created_at").values_list("verb", flat=True)
    assert [*verbs] == [f"schedule.{verb}" for verb in ("pause", "resume", "run", "delete")]


def test_what_was_refused_is_on_the_page_with_its_reason(page: Client, member: User) -> None:
    schedule = _made(member)
    make_due(schedule)
    Agent.objects.update(is_enabled=False)
    tick()
    text = _text(page, f"{LIST}{schedule.pk}/")
    assert text.count("The agent “echo” is disabled") == 2
    assert "refused" in _text(page, LIST)


def test_the_schedules_of_others_are_not_there(
    page: Client, member: User, operator: User, outsider: User, client: Client
) -> None:
    foreign = _made(operator)
    addresses = [f"{LIST}{foreign.pk}/{more}" for more in ("", "edit/", "delete/")]
    assert [page.get(address).status_code for address in addresses] == [404] * 3
    posts = [f"{LIST}{foreign.pk}/{verb}/" for verb in ("pause", "run", "resume", "delete", "preview")]
    assert [page.post(address).status_code for address in posts] == [404] * 5
    assert "Hourly" not in _text(page, LIST)
    client.logout()
    assert client.get(LIST).status_code == 302


def test_an_operator_sees_and_operates_everyones_and_an_administrator_changes_them(
    client: Client, member: User, operator: User, admin: User, agent: Agent
) -> None:
    schedule = _made(member)
    address = f"{LIST}{schedule.pk}/"
    client.force_login(operator)
    text = _text(client, address)
    assert f"{address}edit/" not in text
    assert f"{address}pause/" in text
    assert "member" in _text(client, LIST)
    assert client.post(f"{address}run/").status_code == 302
    assert Task.objects.get().owner == member
    assert client.get(f"{address}edit/").status_code == 403
    assert client.post(f"{address}delete/").status_code == 403
    client.force_login(admin)
    assert client.get(f"{address}edit/").status_code == 200
    assert client.post(f"{address}delete/").status_code == 302


def test_a_name_cannot_script_the_page(page: Client, member: User) -> None:
    schedule = _made(member, name="<script>alert(1)</script>")
    for address in (LIST, f"{LIST}{schedule.pk}/", f"{LIST}{schedule.pk}/edit/", f"{LIST}{schedule.pk}/delete/"):
        assert "<script>alert" not in _text(page, address)


def test_the_list_can_be_searched(page: Client, member: User) -> None:
    _made(member, name="Weekly")
    _made(member, name="Nightly")
    assert "Nightly" not in _text(page, f"{LIST}?q=week")
    assert "Nothing fits" in _text(page, f"{LIST}?q=nothing")


def test_no_page_takes_many_queries_or_much_room(
    client: Client, member: User, operator: User, agent: Agent, django_assert_max_num_queries: Any
) -> None:
    for number in range(30):
        schedule = _made(member, name=f"Schedule {number}", if_overlapping="allow")
        run_now(schedule=schedule, actor=SYSTEM)
    pause_schedule(schedule=schedule, actor=SYSTEM)
    for _ in range(30):
        run_now(schedule=schedule, actor=SYSTEM)
    assert ScheduledRun.objects.count() == 60
    client.force_login(operator)
    for address in (LIST, f"{LIST}{schedule.pk}/", NEW):
        with django_assert_max_num_queries(12):
            response = client.get(address)
        assert response.status_code == 200
        assert len(response.content) < 150_000
