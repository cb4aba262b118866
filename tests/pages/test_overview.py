"""The first page."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils.timezone import localtime

from accounts.models import User
from agents.definitions.models import Agent
from agents.tasks.models import Task
from agents.tasks.services import submit
from mutirao.pages.overview import day_of

pytestmark = pytest.mark.django_db


def test_whoever_is_not_signed_in_is_asked_to(client: Client) -> None:
    response = client.get("/")
    assert response.status_code == 302
    assert response.headers["Location"].startswith("/account/login/")


def test_a_member_sees_an_overview_without_others_work(
    client: Client, member: User, django_assert_max_num_queries: Any
) -> None:
    client.force_login(member)
    with django_assert_max_num_queries(15):
        response = client.get("/")
    assert response.status_code == 200
    assert "script-src 'self'" in response.headers["Content-Security-Policy"]
    assert "workers alive" not in response.content.decode()


def test_the_day_is_told_by_hour_and_by_status(agent: Agent, member: User, outsider: User) -> None:
    this_hour = localtime().replace(minute=0, second=0, microsecond=0)
    moments = {
        "now": this_hour, "an hour ago": this_hour - timedelta(seconds=1),
        "23 hours ago": this_hour - timedelta(hours=23),
        "too long ago": this_hour - timedelta(hours=23, seconds=1),
    }  # fmt: skip
    for number, moment in enumerate(moments.values()):
        ended = {"status": "failed", "finished_at": moment, "error_type": "ValueError"} if number % 2 else {}
        task = submit(owner=member, agent=agent, input="hello").task
        spent = {"input_tokens": 10**number, "output_tokens": 1, "cost": Decimal(number)}
        Task.objects.filter(pk=task.pk).update(created_at=moment, **ended, **spent)
    submit(owner=outsider, agent=agent, input="hello")

    day = day_of(Task.objects.visible_to(member))
    assert day.counts == {"queued": 2, "failed": 1}
    assert (day.total, day.tokens, day.cost) == (3, 1 + 10 + 100 + 3, Decimal(3))
    assert [(bar.total, bar.part) for bar in day.hours] == [(1, 0), *[(0, 0)] * 21, (1, 1), (1, 0)]
    assert day.hours[-1].label == f"{this_hour:%H:%M}"
