"""The operator's page."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from accounts.audit import SYSTEM
from accounts.models import AuditEvent, User
from agents.definitions.services import create_agent
from agents.tasks import queues, services
from agents.tasks.models import Queue

pytestmark = pytest.mark.django_db

PAGE = "/operations/"


def test_it_is_for_operators(client: Client, member: User, operator: User) -> None:
    client.force_login(member)
    assert client.get(PAGE).status_code == 403
    assert PAGE not in client.get("/").content.decode()
    client.force_login(operator)
    assert PAGE in client.get("/").content.decode()
    assert client.get(PAGE).status_code == 200


def test_it_shows_what_waits_in_few_queries(
    client: Client, operator: User, member: User, django_assert_max_num_queries: Any
) -> None:
    agent = create_agent(slug="helper", queue="background")
    for _task in range(30):
        services.submit(owner=member, agent=agent, input="x")
    client.force_login(operator)
    with django_assert_max_num_queries(30):
        text = client.get(PAGE).content.decode()
    assert "no living worker serves its queue" in text
    assert len(text) < 150_000


def test_a_queue_is_paused_and_goes_on(client: Client, operator: User, member: User) -> None:
    client.force_login(operator)
    queues.change(name="background", most_waiting=9, actor=SYSTEM)
    assert client.post("/operations/queues/background/pause/").headers["Location"] == PAGE
    assert Queue.objects.values_list("is_paused", "most_waiting").get() == (True, 9)
    client.post("/operations/queues/background/resume/")
    assert Queue.objects.get().is_paused is False
    assert AuditEvent.objects.filter(verb="queue.change", actor_id=operator.pk).count() == 2
    assert client.post("/operations/queues/background/explode/").status_code == 404
    client.force_login(member)
    assert client.post("/operations/queues/background/pause/").status_code == 403
