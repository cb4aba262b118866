"""Ids in bodies are checked like ids in addresses: another's is answered like none, and nothing is written."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from guardian.shortcuts import assign_perm

from accounts.audit import SYSTEM
from accounts.models import User
from agents.definitions.models import Agent
from agents.definitions.services import create_agent
from agents.memory.services import post_message, start_conversation
from agents.schedules.services import create_schedule
from agents.tasks.models import Task
from agents.tasks.services import submit
from tests.conftest import Api

Body = dict[str, Any]
HELLO: Body = {"agent": "mine", "input": "hello"}


class Place:
    """One way to name something in a body: where it is sent, and the body that names it."""

    def __init__(self, kind: str, method: str, address: str, body: Callable[[Any], Body]) -> None:
        self.kind, self.method, self.address, self.body = kind, method, address, body

    def __str__(self) -> str:
        return f"{self.kind} in {self.method} {self.address}"


PLACES = [
    Place("agent", "post", "tasks", lambda slug: HELLO | {"agent": slug}),
    Place("agent", "post", "tasks/bulk", lambda slug: {"tasks": [HELLO, HELLO | {"agent": slug}]}),
    Place("agent", "post", "conversations", lambda slug: {"agent": slug}),
    Place(
        "agent", "post", "schedules", lambda slug: {"name": "Hourly", "input": "x", "cron": "0 * * * *", "agent": slug}
    ),
    Place("agent", "patch", "schedules/{schedule}", lambda slug: {"agent": slug}),
    Place("agent", "post", "webhooks", lambda slug: {"url": "https://8.8.8.8/hook", "agent": slug}),
    Place("conversation", "post", "tasks", lambda pk: HELLO | {"conversation": pk}),
    Place("task", "post", "tasks", lambda pk: HELLO | {"parent": pk}),
    Place("task", "post", "tasks", lambda pk: HELLO | {"depends_on": [pk]}),
    Place("task", "post", "tasks/bulk", lambda pk: {"tasks": [HELLO, HELLO | {"depends_on": [pk]}]}),
    Place("task", "post", "tasks/bulk", lambda pk: {"tasks": [HELLO, HELLO | {"parent": pk}]}),
]


@pytest.fixture
def things(member: User, outsider: User) -> dict[str, Any]:
    """The outsider has an agent of their own; all else is the member's."""
    mine, theirs = create_agent(slug="mine", model="scripted:echo"), create_agent(slug="theirs", model="scripted:echo")
    assign_perm("agents_definitions.use_agent", outsider, mine)
    conversation = start_conversation(owner=member, agent=theirs)
    post_message(conversation=conversation, text="A secret.", owner=member)
    schedule = create_schedule(owner=outsider, actor=SYSTEM, name="Mine", agent="mine", input="x", cron="0 3 * * *")
    return {
        "agent": theirs.slug,
        "conversation": str(conversation.pk),
        "task": str(submit(owner=member, agent=theirs, input="A secret.").task.pk),
        "schedule": str(schedule.pk),
    }


def _missing(kind: str) -> str:
    return "no-such-agent" if kind == "agent" else str(uuid.uuid4())


def _counts() -> dict[str, int]:
    models = [model for model in apps.get_models() if model._meta.app_label.startswith(("agents_", "accounts"))]
    return {model._meta.label: model._default_manager.count() for model in models}


def _without(text: str, *names: str) -> dict[str, Any]:
    for name in names:
        text = text.replace(name, "…")
    found: dict[str, Any] = json.loads(text)
    return {key: value for key, value in found.items() if key != "request_id"}


@pytest.mark.parametrize("place", PLACES, ids=str)
@pytest.mark.django_db
def test_anothers_is_answered_like_none(place: Place, api: Api, outsider: User, things: dict[str, Any]) -> None:
    assert Agent.objects.count() == 2
    client, address = api(outsider), f"/api/v1/{place.address.format(**things)}"
    before = _counts()
    foreign, missing = things[place.kind], _missing(place.kind)
    answers = [getattr(client, place.method)(address, place.body(name)) for name in (foreign, missing)]
    assert [answer.status_code for answer in answers] in ([400, 400], [404, 404])
    bodies = [_without(answer.content.decode(), name) for answer, name in zip(answers, (foreign, missing), strict=True)]
    assert bodies[0] == bodies[1]
    assert _counts() == before


@pytest.mark.django_db
def test_ones_own_is_taken(api: Api, outsider: User, things: dict[str, Any]) -> None:
    """The control: the same bodies with things of one's own write something."""
    client = api(outsider)
    first = client.post("/api/v1/tasks", HELLO).json()["id"]
    conversation = client.post("/api/v1/conversations", {"agent": "mine"}).json()["id"]
    own = {"agent": "mine", "conversation": conversation, "task": first, "schedule": things["schedule"]}
    before = Task.objects.count()
    for place in PLACES:
        answer = getattr(client, place.method)(f"/api/v1/{place.address.format(**own)}", place.body(own[place.kind]))
        assert answer.status_code in (200, 201, 202), (str(place), answer.content)
    assert Task.objects.count() >= before + 7
