"""Tasks in a real browser: the story that unfolds, cancel, retry."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from accounts.models import User
from agents.tasks import services as tasks
from agents.tasks.models import Task
from tests.pages.browser.conftest import Visitor
from tests.pages.conftest import Made

pytestmark = [pytest.mark.browser, pytest.mark.every_database]


def test_a_task_is_cancelled_and_a_failed_one_retried(visit: Callable[..., Visitor], member: User, made: Made) -> None:
    queued, failed = made(member), made(member, "failed")
    person = visit()
    person.sign_in("member")
    assert person.sees("Your work of the last 24 hours")
    person.go(f"/tasks/{queued.pk}/")
    person.press("Cancel")
    person.press("Yes, cancel it")
    assert person.sees("The task is cancelled, or stops at its next step.")
    assert Task.objects.get(pk=queued.pk).status == "cancelled"
    person.go(f"/tasks/{failed.pk}/")
    assert person.sees("It broke for a reason.")
    person.press("Retry")
    person.press("Yes, retry it")
    assert person.sees("This is the new task.")
    again = Task.objects.get(retry_of=failed)
    assert person.page.url.endswith(f"/tasks/{again.pk}/")
    assert person.complaints == []


def test_a_page_follows_its_task_and_stops_asking_when_it_has_ended(
    visit: Callable[..., Visitor], member: User, made: Made
) -> None:
    queued = made(member)
    person = visit()
    person.sign_in("member")
    assert person.sees("Your work of the last 24 hours")
    person.go(f"/tasks/{queued.pk}/")
    asked: list[str] = []
    person.page.on("request", lambda request: asked.append(request.url))
    claim = tasks.claim(queues=[queued.queue], worker="test")
    assert claim is not None
    tasks.succeed(claim=claim, result={"text": "There it is."})
    assert person.sees("There it is.")
    person.page.wait_for_function("!document.querySelector('#story[hx-get]')")
    # Nothing on the page asks any more.
    assert person.page.locator("[hx-trigger]").count() == 0
    assert len([url for url in asked if "/live/" in url]) >= 1
