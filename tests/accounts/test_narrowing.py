"""A key for some agents: nothing of another agent is there for it, at any address, in any list and by any body.

The keys are the administrator's, who may see and do everything: only the narrowing stands between.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.db.models import Model
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.test import APIClient

from accounts.audit import SYSTEM
from accounts.issuing import IssuedKey, issue_api_key
from accounts.models import ApiKey, User
from agents.definitions import cache
from agents.definitions.models import Agent
from agents.definitions.services import create_agent
from agents.memory.models import Conversation, Message
from agents.memory.services import post_message, start_conversation
from agents.schedules.models import Schedule, ScheduledRun
from agents.schedules.services import create_schedule, run_now
from agents.tasks.models import Task
from agents.tasks.services import submit
from agents.tools.models import Approval, ToolCall
from agents.webhooks.models import Delivery, Endpoint
from agents.webhooks.signing import new_secret
from tests.api.conftest import approval_of
from tests.api.test_matrix import MATRIX

pytestmark = pytest.mark.django_db
CANARY = "canary-7f3a"
RECEIVER = f"https://8.8.8.8/{CANARY}"
BODIES = {(method, address): body for method, address, body, *_ in MATRIX}
KEPT: tuple[type[Model], ...] = (
    Task, Conversation, Message, Schedule, ScheduledRun, Approval, ToolCall, Endpoint, Delivery, ApiKey,
)  # fmt: skip
Request = Callable[..., Any]


@dataclass
class World:
    """One of everything, of one agent."""

    agent: Agent
    task: Task
    conversation: Conversation
    message: Message
    schedule: Schedule
    approval: Approval
    endpoint: Endpoint
    delivery: Delivery
    test: Delivery

    def ids(self) -> list[uuid.UUID]:
        """Whatever may stand in an address."""
        rows = (
            self.task, self.conversation, self.message, self.schedule, self.approval, self.endpoint, self.delivery,
            self.test, self.approval.tool_call,
        )  # fmt: skip
        return [row.pk for row in rows]


def make_world(owner: User, slug: str) -> World:
    """With an agent of this name."""
    agent = create_agent(slug=slug, model="scripted:echo")
    conversation = start_conversation(owner=owner, agent=agent, title=f"{CANARY} of {slug}")
    message = post_message(conversation=conversation, text=f"{CANARY} of {slug}", owner=owner).message
    task = submit(owner=owner, agent=agent, input=f"{CANARY} of {slug}", serial_key=f"{owner.pk}:of-{slug}").task
    schedule = create_schedule(
        owner=owner, actor=SYSTEM, name=f"{CANARY} of {slug}", agent=slug, input="hello", cron="0 3 * * *"
    )
    run_now(schedule=schedule, actor=SYSTEM)
    endpoint = Endpoint.objects.create(owner=owner, url=RECEIVER, secret=new_secret(), agent=agent)
    usual = {"owner": owner, "endpoint": endpoint, "url": RECEIVER, "host": "8.8.8.8", "body": CANARY}
    delivery = Delivery.objects.create(**usual, task=task, event="task.finished")
    test = Delivery.objects.create(**usual, event="webhook.test")
    return World(agent, task, conversation, message, schedule, approval_of(task), endpoint, delivery, test)


@pytest.fixture
def other(admin: User) -> Iterator[World]:
    cache.forget()
    yield make_world(admin, "other")
    cache.forget()


@pytest.fixture
def own(admin: User, other: World) -> World:
    return make_world(admin, "echo")


@pytest.fixture
def wide(admin: User) -> IssuedKey:
    """A key of the same person that is for all agents."""
    return issue_api_key(owner=admin, name=f"{CANARY} wide", actor=SYSTEM)


@pytest.fixture
def narrow(admin: User, own: World) -> IssuedKey:
    return issue_api_key(owner=admin, name="narrow", agents=["echo"], actor=SYSTEM)


def asking(issued: IssuedKey) -> Request:
    """Asks the API with this key."""
    client = APIClient()
    client.credentials(HTTP_X_API_KEY=issued.key)
    return lambda method, address, body=None: getattr(client, method)(f"/api/v1/{address}", body)


def _patterns(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for pattern in patterns:
        address = f"{prefix}{pattern.pattern}"
        if isinstance(pattern, URLResolver):
            yield from _patterns(pattern.url_patterns, address)
        else:
            yield address, pattern.callback


def routes() -> list[tuple[str, str]]:
    """Every method and address of the API that asks who one is."""
    found = []
    for address, view in _patterns(get_resolver().url_patterns):
        if address.startswith("api/v1/") and view.cls.authentication_classes:
            names = ("get", "post", "put", "patch", "delete")
            found += [(method, address.removeprefix("api/v1/")) for method in names if hasattr(view.cls, method)]
    return found


def paths_to(address: str, world: World, keys: list[uuid.UUID]) -> list[str]:
    """The address with everything that this world, and these keys, could put into it."""
    if "<uuid:message>" in address:
        address = address.replace("<uuid:message>", str(world.message.pk))
        return [address.replace("<uuid:pk>", str(world.conversation.pk))]
    if "<uuid:pk>" in address:
        return [address.replace("<uuid:pk>", str(each)) for each in [*world.ids(), *keys]]
    return [address.replace("<str:slug>", world.agent.slug).replace("<str:name>", "interactive")]


def state() -> dict[type[Model], list[Any]]:
    """Everything that is there, but when a key was last used."""
    rows = {model: [*model._default_manager.order_by("pk").values()] for model in KEPT}
    for row in rows[ApiKey]:
        row["last_used_at"] = row["last_used_from"] = None
    return rows


def test_the_routes_are_all_of_them() -> None:
    assert len(routes()) > 45
    assert {("get", "tasks/<uuid:pk>/events"), ("post", "tasks/bulk"), ("delete", "api-keys/<uuid:pk>")} <= {*routes()}


def test_nothing_of_another_agent_is_at_any_address(
    own: World, other: World, narrow: IssuedKey, wide: IssuedKey
) -> None:
    ask, before, tried = asking(narrow), state(), 0
    for method, address in routes():
        if "<" not in address:
            continue
        for path in paths_to(address, other, [wide.row.pk]):
            answer = ask(method, path, BODIES.get((method, address)))
            assert answer.status_code in (403, 404), (method, path, answer.status_code)
            assert CANARY not in answer.content.decode()
            tried += 1
    assert tried > 200
    assert state() == before


def test_a_foreign_thing_answers_like_a_missing_one(own: World, other: World, narrow: IssuedKey) -> None:
    ask = asking(narrow)
    for kind, row in (("tasks", other.task), ("conversations", other.conversation), ("schedules", other.schedule)):
        foreign, missing = (ask("get", f"{kind}/{pk}").json() for pk in (row.pk, uuid.uuid4()))
        del foreign["request_id"], missing["request_id"]
        assert foreign == missing


def test_no_list_has_anything_of_another_agent(own: World, other: World, narrow: IssuedKey, wide: IssuedKey) -> None:
    foreign = {str(pk) for pk in [*other.ids(), other.agent.pk, wide.row.pk]}
    ask, seen = asking(narrow), 0
    for method, address in routes():
        if method != "get" or "<" in address:
            continue
        answer = ask("get", address)
        text = answer.content.decode()
        assert answer.status_code in (200, 403), address
        assert {pk for pk in foreign if pk in text} == set(), address
        assert f"{CANARY} of other" not in text, address
        seen += any(str(pk) in text for pk in own.ids())
    assert seen >= 6, "its own agent's things are there"


def test_whoever_asks_by_name_finds_nothing_either(own: World, other: World, narrow: IssuedKey) -> None:
    ask = asking(narrow)
    for query in (
        "tasks?agent=other", f"tasks?search={other.task.pk}", f"tasks?conversation={other.conversation.pk}",
        "conversations?agent=other", "schedules?agent=other", f"approvals?task={other.task.pk}",
        f"webhooks/deliveries?task={other.task.pk}", f"webhooks/deliveries?endpoint={other.endpoint.pk}",
    ):  # fmt: skip
        answer = ask("get", query)
        assert (answer.status_code, answer.json()["results"]) == (200, []), query


def test_with_a_key_for_all_agents_the_same_addresses_open(own: World, other: World, wide: IssuedKey) -> None:
    """The control: the ids are right, and only the narrowing kept them away."""
    ask = asking(wide)
    for path in (
        f"tasks/{other.task.pk}", f"tasks/{other.task.pk}/tool-calls", f"conversations/{other.conversation.pk}",
        f"conversations/{other.conversation.pk}/messages", f"schedules/{other.schedule.pk}",
        f"schedules/{other.schedule.pk}/runs", f"webhooks/{other.endpoint.pk}",
        f"webhooks/deliveries/{other.delivery.pk}", f"webhooks/deliveries/{other.test.pk}", "agents/other",
        f"api-keys/{wide.row.pk}",
    ):  # fmt: skip
        assert ask("get", path).status_code == 200, path
    assert str(other.approval.pk) in ask("get", "approvals").content.decode()
    assert ask("get", "operations").status_code == 200


def _bodies(world: World) -> list[tuple[str, str, Any, int]]:
    """Method, address, body, and the status that the body gets with the key for the agent “echo”."""
    task = {"agent": "echo", "input": "hello"}
    schedule = {"name": "New", "agent": world.agent.slug, "input": "hello", "cron": "0 * * * *"}
    return [
        ("post", "tasks", task | {"agent": world.agent.slug}, 400),
        ("post", "tasks", task | {"conversation": str(world.conversation.pk)}, 400),
        ("post", "tasks", task | {"agent": world.agent.slug, "conversation": str(world.conversation.pk)}, 400),
        ("post", "tasks", task | {"parent": str(world.task.pk)}, 400),
        ("post", "tasks", task | {"depends_on": [str(world.task.pk)]}, 400),
        ("post", "tasks", task | {"serial_key": f"of-{world.agent.slug}", "if_busy": "interrupt"}, 409),
        ("post", "tasks", task | {"serial_key": f"of-{world.agent.slug}", "if_busy": "rollback"}, 409),
        ("post", "tasks/bulk", {"tasks": [task, task | {"agent": world.agent.slug}]}, 400),
        ("post", "tasks/bulk", {"tasks": [task, task | {"parent": str(world.task.pk)}]}, 400),
        ("post", "conversations", {"agent": world.agent.slug}, 400),
        ("post", "schedules", schedule, 400),
        ("post", "webhooks", {"url": "https://8.8.8.8/x", "agent": world.agent.slug}, 400),
        ("post", "webhooks", {"url": "https://8.8.8.8/x"}, 400),
        ("post", "webhooks/task-secret", {}, 403),
        ("post", "api-keys", {"name": "child"}, 403),
        ("post", "api-keys", {"name": "child", "agents": [world.agent.slug]}, 400),
        ("post", "api-keys", {"name": "child", "agents": ["echo", world.agent.slug]}, 400),
    ]


def test_no_body_names_anything_of_another_agent(own: World, other: World, narrow: IssuedKey) -> None:
    ask, before = asking(narrow), state()
    for method, address, body, status in _bodies(other):
        answer = ask(method, address, body)
        assert answer.status_code == status, (address, body, answer.content)
    for address, body in (
        (f"schedules/{own.schedule.pk}", {"agent": "other"}),
        (f"webhooks/{own.endpoint.pk}", {"agent": "other"}),
        (f"webhooks/{own.endpoint.pk}", {"agent": None}),
    ):
        assert ask("patch", address, body).status_code == 400, body
    assert state() == before


def test_a_foreign_name_in_a_body_answers_like_one_that_is_not_there(
    own: World, other: World, narrow: IssuedKey
) -> None:
    ask, missing = asking(narrow), str(uuid.uuid4())
    task = {"agent": "echo", "input": "hello"}
    for body, there, not_there in (
        ({"agent": "other"}, "other", "nothing"),
        ({"conversation": str(other.conversation.pk)}, str(other.conversation.pk), missing),
        ({"parent": str(other.task.pk)}, str(other.task.pk), missing),
        ({"depends_on": [str(other.task.pk)]}, str(other.task.pk), missing),
    ):
        name = next(iter(body))
        value: Any = [not_there] if name == "depends_on" else not_there
        foreign, absent = (ask("post", "tasks", task | given).json() for given in (body, {name: value}))
        del foreign["request_id"], absent["request_id"]
        assert str(foreign).replace(there, "X") == str(absent).replace(not_there, "X")


def test_what_it_is_for_goes_on_as_ever(own: World, other: World, narrow: IssuedKey) -> None:
    """The control of the other side: a key that could do nothing would pass everything above."""
    ask = asking(narrow)
    task = {"agent": "echo", "input": "hello"}
    for method, address, body, status in (
        ("get", f"tasks/{own.task.pk}", None, 200),
        ("post", "tasks", task | {"depends_on": [str(own.task.pk)], "serial_key": "mine"}, 202),
        ("post", "tasks", task | {"conversation": str(own.conversation.pk)}, 202),
        ("post", f"conversations/{own.conversation.pk}/messages", {"text": "more"}, 202),
        ("post", "conversations", {"agent": "echo"}, 201),
        ("patch", f"schedules/{own.schedule.pk}", {"name": "Renamed", "agent": "echo"}, 200),
        ("post", "webhooks", {"url": "https://8.8.8.8/x", "agent": "echo"}, 201),
        ("patch", f"webhooks/{own.endpoint.pk}", {"description": "orders"}, 200),
        ("get", f"webhooks/deliveries/{own.delivery.pk}", None, 200),
        ("post", f"approvals/{own.approval.pk}/decide", {"decision": "refuse"}, 200),
        ("post", "api-keys", {"name": "child", "agents": ["echo"]}, 201),
        ("get", f"api-keys/{narrow.row.pk}", None, 200),
    ):
        answer = ask(method, address, body)
        assert answer.status_code == status, (address, answer.content)
    assert ask("get", "me").json()["credential"]["agents"] == ["echo"]
    assert [each["slug"] for each in ask("get", "agents").json()["results"]] == ["echo"]


def test_a_key_reaches_neither_its_wider_maker_nor_its_wider_sister(admin: User, own: World, wide: IssuedKey) -> None:
    usual: dict[str, Any] = {"owner": admin, "actor": SYSTEM, "within": wide.row}
    child = issue_api_key(name="child", agents=["echo"], **usual)
    sister = issue_api_key(name="sister", agents=["echo", "other"], **usual)
    ask = asking(child)
    for row in (wide.row, sister.row):
        for method, path in (("get", ""), ("delete", ""), ("post", "/rotate")):
            assert ask(method, f"api-keys/{row.pk}{path}", {}).status_code == 404
    assert [each["id"] for each in ask("get", "api-keys").json()["results"]] == [str(child.row.pk)]
    assert ask("delete", f"api-keys/{child.row.pk}").status_code == 204
    assert ask("get", "me").status_code == 401


def test_an_agent_that_is_gone_leaves_the_key_with_nothing(own: World, other: World, narrow: IssuedKey) -> None:
    ApiKey.objects.filter(pk=narrow.row.pk).update(agents=["gone"])
    ask = asking(narrow)
    assert ask("get", "agents").json()["results"] == []
    assert ask("get", "tasks").json()["results"] == []


def test_a_view_that_does_not_say_that_it_holds_the_narrowing_is_closed(own: World, narrow: IssuedKey) -> None:
    """So a new address is closed to such keys until somebody has thought about it."""
    ask = asking(narrow)
    for address in ("operations", "queues", "queues/interactive"):
        assert ask("get", address).status_code == 403
