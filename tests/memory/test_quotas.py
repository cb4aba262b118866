"""Messages spend like any task: posting, editing, asking again, and interrupting what still runs."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from accounts import ledger
from accounts.audit import SYSTEM
from accounts.limits import create_quota
from accounts.models import Quota, QuotaPeriod, Reservation
from agents.memory.models import Conversation, Message
from agents.memory.services import edit_message, post_message, regenerate
from agents.tasks.exceptions import NoQuotaLeft
from agents.tasks.models import Task
from agents.tasks.services import claim, succeed
from tests.memory.conftest import QUEUE
from tests.tasks.threads import at_once

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _at_once(settings: Any) -> None:
    settings.TASK_SETTINGS_CACHE_SECONDS = 0
    ledger.forget()


def quota(unit: str, amount: str, period: str = "day") -> Quota:
    return create_quota(subject="user:member", unit=unit, period=period, amount=Decimal(amount), actor=SYSTEM)


def post(conversation: Conversation, text: str = "hello", **options: Any) -> Message:
    return post_message(conversation=conversation, text=text, owner=conversation.owner, **options).message


def finish_next() -> None:
    claimed = claim(queues=[QUEUE], worker="tests")
    assert claimed is not None
    succeed(claim=claimed, result={"text": "done"})


def test_every_way_to_ask_is_counted(conversation: Conversation) -> None:
    quota("requests", "3")
    message = post(conversation)
    finish_next()
    regenerate(message=message, owner=conversation.owner)
    finish_next()
    edit_message(message=message, text="other", owner=conversation.owner)
    finish_next()
    for ask in (
        lambda: post(conversation),
        lambda: regenerate(message=message, owner=conversation.owner),
        lambda: edit_message(message=message, text="more", owner=conversation.owner),
    ):
        with pytest.raises(NoQuotaLeft):
            ask()
    message.refresh_from_db()
    assert (message.content, Message.objects.count(), Task.objects.count()) == ("other", 2, 3)


def test_an_interrupting_message_takes_the_place_of_what_it_ends(conversation: Conversation) -> None:
    """Both are written at the end of the one transaction: there is room for one unfinished task."""
    quota("unfinished", "1", "")
    first = post(conversation).task
    second = post(conversation, "wait", if_busy="interrupt").task
    assert first is not None
    assert second is not None
    first.refresh_from_db()
    assert (first.status, second.status) == ("cancelled", "queued")
    assert Reservation.objects.get().task_id == second.pk
    assert int(QuotaPeriod.objects.get().reserved) == 1


def test_a_refused_message_leaves_nothing(conversation: Conversation) -> None:
    quota("requests", "0")
    with pytest.raises(NoQuotaLeft):
        post(conversation)
    conversation.refresh_from_db()
    assert (Message.objects.count(), Task.objects.count(), conversation.title) == (0, 0, "")


@pytest.mark.django_db(transaction=True)
def test_messages_that_interrupt_each_other_and_answers_do_not_wait_for_ever(conversation: Conversation) -> None:
    quota("unfinished", "50", "")
    quota("cost", "1000")

    def work(number: int) -> int:
        for round_ in range(4):
            if number % 2:
                post(conversation, f"{number} {round_}", if_busy="interrupt", limits={"cost": 1})
            elif (claimed := claim(queues=[QUEUE], worker="tests")) is not None:
                succeed(claim=claimed, result={"text": "done"})
        return number

    assert at_once(work, 4) == [0, 1, 2, 3]
    open_tasks = Task.objects.filter(finished_at=None).count()
    assert Task.objects.count() == 8
    assert Reservation.objects.filter(period__quota__unit="unfinished").count() == open_tasks
