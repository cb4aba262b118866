"""What somebody wanted to do and may not is in the record, and cannot fill it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import DatabaseError
from django.test import Client

from accounts import audit, denials
from accounts.models import AuditEvent, User
from accounts.services import change_profile
from agents.definitions.services import create_agent, publish_version, update_agent
from agents.tasks import queues, slots
from tests.conftest import Api

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _forgetful() -> Iterator[None]:
    denials.told.forget()
    yield
    denials.told.forget()


def _denied() -> list[tuple[str, Any]]:
    events = AuditEvent.objects.filter(verb="access.denied", outcome="denied").order_by("created_at", "id")
    return [(event.actor_name, event.changes) for event in events]


def test_a_refusal_of_the_api_is_recorded_without_the_query(api: Api, member: User) -> None:
    response = api(member).get("/api/v1/operations?secret=1", headers={"X-Request-ID": "request-12345"})
    assert response.status_code == 403
    assert _denied() == [("member", {"method": "GET", "route": "/api/v1/operations"})]
    event = AuditEvent.objects.get(verb="access.denied")
    assert (event.actor_id, event.request_id, event.address) == (member.pk, "request-12345", "127.0.0.1")


@pytest.mark.parametrize("address", ["/operations/", "/admin/accounts/user/"])
def test_a_refusal_of_a_page_is_recorded(client: Client, outsider: User, operator: User, address: str) -> None:
    user = operator if address.startswith("/admin/") else outsider
    client.force_login(user)
    response = client.get(address)
    assert response.status_code == 403
    assert [(name, changes["method"]) for name, changes in _denied()] == [(user.username, "GET")]


def test_who_knocks_all_day_is_recorded_once_a_minute(
    api: Api, member: User, outsider: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("foundation.seldom.time.monotonic", lambda: now[0])
    for _turn in range(5):
        assert api(member).get("/api/v1/operations").status_code == 403
    assert len(_denied()) == 1
    api(outsider).get("/api/v1/operations")
    api(member).get("/api/v1/queues")
    assert len(_denied()) == 3
    now[0] += 60
    api(member).get("/api/v1/operations")
    assert len(_denied()) == 4


def test_who_is_not_signed_in_is_not_recorded_nor_what_is_missing(client: Client, api: Api, member: User) -> None:
    assert client.get("/api/v1/operations").status_code == 401
    assert api(member).get("/api/v1/agents/nothing").status_code == 404
    assert api(member).get("/api/v1/agents").status_code == 200
    assert _denied() == []


def test_a_database_that_refuses_changes_no_answer(api: Api, member: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_event: Any) -> None:
        raise DatabaseError("locked")

    monkeypatch.setattr(audit, "record", refuse)
    assert api(member).get("/api/v1/operations").status_code == 403


def test_a_difference_has_before_and_after_and_no_secret() -> None:
    before = {"name": "a", "password": "old", "same": 1, "gone": True, "text": "key sk-abcdefgh12345678"}
    after = {"name": "b", "password": "new", "same": 1.0, "added": [1], "text": ""}
    assert audit.difference(before, after) == {
        "name": {"before": "a", "after": "b"},
        "password": {"before": "[masked]", "after": "[masked]"},
        "gone": {"before": True, "after": None},
        "text": {"before": "key [masked]", "after": ""},
        "added": {"before": None, "after": [1]},
    }


def _last_changes(verb: str) -> Any:
    return AuditEvent.objects.filter(verb=verb).latest("created_at").changes


def test_changes_of_every_kind_tell_before_and_after(member: User) -> None:
    change_profile(user=member, values={"first_name": "Ana"}, actor=audit.SYSTEM)
    assert _last_changes("user.change") == {"first_name": {"before": "", "after": "Ana"}}
    agent = create_agent(slug="helper", model="scripted:echo")
    assert _last_changes("agent.create")["model"] == {"before": None, "after": "scripted:echo"}
    update_agent(agent=agent, name="Helper")
    assert _last_changes("agent.update") == {"name": {"before": "helper", "after": "Helper"}}
    publish_version(agent=agent, system_prompt="Help.")
    assert _last_changes("agent.publish") == {"system_prompt": {"before": "", "after": "Help."}}
    queues.change(name="slow", most_waiting=5, actor=audit.SYSTEM)
    queues.change(name="slow", most_waiting=5, is_paused=True, actor=audit.SYSTEM)
    assert _last_changes("queue.change") == {"is_paused": {"before": False, "after": True}}
    slots.set_limit(most_running=2, actor=audit.SYSTEM, agent=agent)
    limit = slots.set_limit(most_running=3, actor=audit.SYSTEM, agent=agent)
    assert _last_changes("limit.set") == {"most_running": {"before": 2, "after": 3}}
    slots.remove_limit(limit=limit, actor=audit.SYSTEM)
    assert _last_changes("limit.remove") == {"most_running": {"before": 3, "after": None}}


def test_the_admin_tells_before_and_after_and_never_a_password(client: Client, admin: User, member: User) -> None:
    client.force_login(admin)
    address = f"/admin/accounts/user/{member.pk}/change/"
    form = client.get(address).context["adminform"].form
    values = {name: form[name].value() for name in form.fields if name != "password"}
    given = {name: value for name, value in values.items() if value not in (None, False)}
    moments = {f"{name}_{part}": "" for name in ("last_login", "date_joined") for part in (0, 1)}
    moments |= {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}
    response = client.post(address, given | moments | {"first_name": "Ana", "groups": []})
    assert response.status_code == 302
    changes = _last_changes("user.change")
    assert changes["first_name"] == {"before": "", "after": "Ana"}
    assert "password" not in changes
    assert _last_changes("user.roles") == {"roles": {"before": ["member"], "after": []}}
