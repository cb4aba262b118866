"""The list of tasks and the story of one."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.timezone import now

from accounts.models import AuditEvent, User
from agents.gateway.models import ModelCall
from agents.tasks.models import Task
from agents.tasks.services import submit
from tests.pages.conftest import Made

pytestmark = pytest.mark.django_db
LIST = "/tasks/"


def _page(task: Task, *more: str) -> str:
    return f"{LIST}{task.pk}/" + "".join(f"{part}/" for part in more)


def _text(client: Client, address: str, **asked: str) -> str:
    response = client.get(address, asked)
    assert response.status_code == 200, response.status_code
    return response.content.decode()


def test_a_member_sees_their_own_tasks_and_an_operator_everyones(
    client: Client, member: User, outsider: User, operator: User, made: Made
) -> None:
    own, foreign = made(member), made(outsider)
    client.force_login(member)
    shown = _text(client, LIST)
    assert str(own.pk) in shown
    assert str(foreign.pk) not in shown
    client.force_login(operator)
    shown = _text(client, LIST)
    assert str(own.pk) in shown
    assert str(foreign.pk) in shown


def test_the_list_is_narrowed_by_status_agent_and_id(client: Client, member: User, made: Made) -> None:
    tasks = {status: made(member, status) for status in ("queued", "failed", "succeeded")}
    client.force_login(member)
    shown = _text(client, LIST, status="failed")
    assert [status for status, task in tasks.items() if str(task.pk) in shown] == ["failed"]
    shown = _text(client, LIST, q=str(tasks["queued"].pk))
    assert [status for status, task in tasks.items() if str(task.pk) in shown] == ["queued"]
    assert all(str(task.pk) in _text(client, LIST, agent="echo") for task in tasks.values())
    assert "Nothing fits" in _text(client, LIST, q="no such thing")
    assert str(tasks["failed"].pk) in _text(client, LIST, status="nonsense", before="nonsense")


def test_the_list_is_read_page_by_page_and_every_task_comes_once(
    client: Client, member: User, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mutirao.pages.task_search.page_of.__kwdefaults__", {"before": "", "size": 2})
    tasks = [made(member) for _ in range(5)]
    client.force_login(member)
    seen: list[str] = []
    address: Any = LIST
    while address:
        context = client.get(address).context
        seen += [str(task.pk) for task in context["page"].rows]
        address = context["older"]
    assert seen == [str(task.pk) for task in reversed(tasks)]


def test_a_foreign_task_is_like_one_that_is_not_there(client: Client, member: User, outsider: User, made: Made) -> None:
    foreign = made(outsider)
    client.force_login(member)
    for address in (_page(foreign), _page(foreign, "live"), _page(foreign, "cancel"), _page(foreign, "retry")):
        assert client.get(address).status_code == 404
    assert client.post(_page(foreign, "cancel")).status_code == 404
    foreign.refresh_from_db()
    assert foreign.status == "queued"


def test_the_story_is_told_from_input_to_attempts(client: Client, member: User, operator: User, made: Made) -> None:
    done, failed = made(member, "succeeded", "olá"), made(member, "failed")
    client.force_login(member)
    shown = _text(client, _page(done))
    assert "olá" in shown
    assert "It &lt;b&gt;worked&lt;/b&gt;." in shown
    assert "Where the time went" in shown
    shown = _text(client, _page(failed))
    assert "It broke for a reason." in shown
    assert "secret place" not in shown
    client.force_login(operator)
    assert "secret place" in _text(client, _page(failed))


def test_whoever_asked_sees_who_answered_and_nothing_of_other_questions(
    client: Client, member: User, made: Made
) -> None:
    task = made(member, "succeeded")
    usual = {
        "task_id": task.pk, "owner_id": member.pk, "provider": "p", "model": "m", "started_at": now(), "latency_ms": 1,
        "outcome": "succeeded", "cache_evidence": {"score": 0.97, "threshold": 0.93, "only_in_one": "elsewhere"},
    }  # fmt: skip
    ModelCall.objects.create(
        **usual, tier="semantic", cache_why="hit", cost=0, similarity=0.981, age_seconds=200, saved_ms=812,
        saved_cost=Decimal("0.0004"),
    )  # fmt: skip
    ModelCall.objects.create(**usual, cache_why="near_miss", similarity=0.9)
    client.force_login(member)
    shown = _text(client, _page(task))
    assert "cache: a request with the same meaning" in shown
    assert "Similarity 0.981 · score 0.970 · answer is 3 min old · saved US$ 0.0004 and 812 ms" in shown
    assert "Something near was asked, but not near enough." in shown
    assert "price not known" in shown
    assert "elsewhere" not in shown


def test_a_page_asks_again_only_while_something_can_come(client: Client, member: User, made: Made) -> None:
    running, done = made(member, "running"), made(member, "succeeded")
    client.force_login(member)
    shown = client.get(_page(running))
    assert "hx-trigger" in shown.content.decode()
    assert client.get(_page(running, "live"), {"seen": shown.context["stamp"]}).status_code == 204
    assert client.get(_page(running, "live"), {"seen": "0-0-"}).status_code == 200
    assert "hx-trigger" not in _text(client, _page(done))
    assert "hx-trigger" not in _text(client, _page(done, "live"), seen="0-0-")


def test_cancelling_and_retrying_ask_first_and_leave_an_audit_entry(client: Client, member: User, made: Made) -> None:
    queued, failed = made(member), made(member, "failed")
    client.force_login(member)
    assert "Cancel this task?" in _text(client, _page(queued, "cancel"))
    queued.refresh_from_db()
    assert queued.status == "queued"
    response = client.post(_page(queued, "cancel"))
    assert response.headers["Location"] == _page(queued)
    queued.refresh_from_db()
    assert queued.status == "cancelled"
    response = client.post(_page(failed, "retry"))
    again = Task.objects.get(retry_of=failed)
    assert response.headers["Location"] == _page(again)
    verbs = AuditEvent.objects.filter(actor_id=member.pk).values_list("verb", flat=True)
    assert sorted(verbs) == ["task.cancel", "task.retry"]


def test_what_has_ended_cannot_be_cancelled_and_the_page_says_so(client: Client, member: User, made: Made) -> None:
    done = made(member, "succeeded")
    client.force_login(member)
    response = client.post(_page(done, "cancel"), follow=True)
    assert "The task has already ended." in response.content.decode()
    assert client.get(_page(done, "explode")).status_code == 404


def test_seeing_a_task_is_not_the_right_to_change_it(client: Client, member: User, made: Made) -> None:
    from django.contrib.auth.models import Permission

    watcher = User.objects.create_user("watcher")
    watcher.user_permissions.add(Permission.objects.get(codename="view_task"))
    task = made(member)
    client.force_login(watcher)
    assert client.get(_page(task)).status_code == 200
    assert client.post(_page(task, "cancel")).status_code == 403


def test_no_page_takes_many_queries_or_much_room(
    client: Client, operator: User, member: User, made: Made, django_assert_max_num_queries: Any
) -> None:
    for status in ("queued", "running", "succeeded", "failed", "cancelled") * 7:
        made(member, status)
    client.force_login(operator)
    for address in (reverse("pages:overview"), LIST, _page(made(member, "failed")), "/agents/", "/agents/echo/"):
        with django_assert_max_num_queries(20):
            response = client.get(address)
        assert response.status_code == 200
        assert len(response.content) < 150_000


def test_a_task_is_tried_again_with_another_input(client: Client, member: User, made: Made) -> None:
    failed = made(member, "failed")
    client.force_login(member)
    assert "Hello" in _text(client, _page(failed, "retry")) or str(failed.input) in _text(
        client, _page(failed, "retry")
    )
    refused = client.post(_page(failed, "retry"), {"input": "  "})
    assert refused.status_code == 200
    assert not Task.objects.filter(retry_of=failed).exists()
    client.post(_page(failed, "retry"), {"input": "Something else"})
    again = Task.objects.get(retry_of=failed)
    assert again.input == "Something else"
    assert str(again.pk) in _text(client, _page(failed)), "the old one leads to the new one"
    Task.objects.filter(pk=failed.pk).update(input={"a": 1})
    assert "This is not JSON" in client.post(_page(failed, "retry"), {"input": "{"}).content.decode()
    client.post(_page(failed, "retry"), {"input": '{"a": 2}'})
    assert Task.objects.filter(retry_of=failed, input={"a": 2}).count() == 1


def test_what_a_task_has_to_do_with_others_is_shown(client: Client, member: User, made: Made) -> None:
    first = made(member)
    agent = first.agent_version.agent
    after = submit(owner=member, agent=agent, input="x", depends_on=[first.pk]).task
    child = submit(owner=member, agent=agent, input="x", parent=first).task
    client.force_login(member)
    text = _text(client, _page(first))
    assert "is waited for by" in text
    assert str(after.pk) in text
    assert str(child.pk) in text
    assert "waits for" in _text(client, _page(after))
    assert "part of" in _text(client, _page(child))
