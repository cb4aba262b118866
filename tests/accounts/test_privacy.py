"""A person is erased so that nothing but what accounting needs is left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.apps import apps
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import NoReverseMatch, reverse
from django_celery_results.models import TaskResult

from accounts import audit, erasing
from accounts.audit import Actor
from accounts.erasing import StillRunning, erase_person
from accounts.exceptions import LastAdministrator
from accounts.models import ApiKey, ApiSession, AuditEvent, User
from accounts.privacy import holdings
from accounts.verifying import verify
from agents.definitions.models import Agent
from agents.memory.models import Conversation, Message
from agents.runtime.models import Checkpoint, CheckpointWrite
from agents.schedules.models import Schedule, ScheduledRun
from agents.tasks import services as tasks
from agents.tasks.data import NOTHING
from agents.tasks.models import Status, Task
from agents.webhooks.models import Delivery, DeliveryAttempt, Endpoint, TaskSecret
from telemetry.models import Span
from tests.accounts.canaries import CANARIES, QUEUE, canaries_in, dump, totals


def _erase(user: User, **options: Any) -> erasing.Erased:
    user.refresh_from_db()
    return erase_person(user=user, actor=audit.SYSTEM, patience=0, **options)


@pytest.mark.django_db
def test_the_canaries_are_really_planted(person: User) -> None:
    assert canaries_in(dump()) == CANARIES


@pytest.mark.django_db
def test_nothing_of_an_erased_person_is_left_but_what_accounting_needs(person: User, operator: User) -> None:
    before, others = totals(), Task.objects.filter(owner=operator).count()
    erased = _erase(person)
    assert canaries_in(dump()) == []
    assert totals() == before
    assert sum(total["tokens"] or 0 for total in before) > 0
    assert Task.objects.filter(owner=operator).count() == others == 1
    person.refresh_from_db()
    assert (person.username, person.is_active, person.has_usable_password()) == (erased.name, False, False)
    assert person.erased_at is not None
    assert erased.events > 5
    gone = (Conversation, Message, Schedule, ScheduledRun, Endpoint, Delivery, DeliveryAttempt, TaskSecret, Span)
    gone += (UserSession, ApiSession, Authenticator, Checkpoint, CheckpointWrite, TaskResult)  # type: ignore[assignment]
    assert [model.objects.count() for model in gone] == [0] * len(gone)
    assert not person.groups.exists()
    assert {task.status for task in Task.objects.filter(owner=person)} <= {*Status.values} - {"queued", "running"}
    assert all(key.revoked_at and not key.digest for key in ApiKey.objects.filter(owner=person))


@pytest.mark.django_db
def test_the_record_of_deeds_still_verifies_and_says_who_erased(person: User, admin: User) -> None:
    erase_person(user=person, actor=Actor(admin.pk, "admin"), patience=0)
    found = verify()
    assert found.is_whole
    assert found.shredded > 5
    deeds = AuditEvent.objects.filter(verb="privacy.erase", subject_id=person.pk)
    assert {deed.actor_name for deed in deeds} == {"admin"}
    assert sum(deed.changes["shredded"] for deed in deeds) == found.shredded


@pytest.mark.django_db
def test_no_page_of_the_admin_shows_an_erased_person(person: User, admin: User, client: Client) -> None:
    _erase(person)
    client.force_login(admin)
    pages = 0
    for model in apps.get_models():
        try:
            address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        except NoReverseMatch:  # a model without a page
            continue
        addresses = [address, *(f"{address}{row.pk}/change/" for row in model._default_manager.order_by("-pk")[:3])]
        for each in addresses:
            response = client.get(each, follow=True)
            assert response.status_code == 200, each
            assert canaries_in(response.content.decode()) == [], each
            pages += 1
    assert pages > 25


@pytest.mark.django_db
def test_erasing_again_changes_nothing(person: User) -> None:
    first = _erase(person)
    verify()
    before = dump()
    second = _erase(person)
    assert (second.name, second.events) == (first.name, 0)
    assert dump() == before


STEPS = [
    *(f"holding {number}" for number in range(0, 16, 3)), "things", "tried", "anonymise", "about",
]  # fmt: skip


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.django_db
def test_an_erasure_that_was_cut_off_is_finished_by_beginning_again(
    person: User, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = totals()
    with monkeypatch.context() as patch:
        _fail_at(step, patch)
        with pytest.raises(RuntimeError, match="cut off"):
            _erase(person)
    assert canaries_in(dump())
    _erase(person)
    assert canaries_in(dump()) == []
    assert totals() == before
    assert verify().is_whole


def _fail_at(step: str, patch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: Any, **_options: Any) -> Any:
        raise RuntimeError("cut off")

    kind, _space, number = step.partition(" ")
    if kind != "holding":
        names = {
            "things": "_forget_things",
            "tried": "_shred_tried_names",
            "anonymise": "_anonymise",
            "about": "_shred_about",
        }
        patch.setattr(erasing, names[kind], fail)
        return
    known = holdings()
    place = min(int(number), len(known) - 1)
    broken = replace(known[place], erase=fail)
    patch.setattr(erasing, "holdings", lambda: [*known[:place], broken, *known[place + 1 :]])


@pytest.mark.django_db
def test_a_running_task_is_asked_to_stop_and_the_rest_waits(member: User, agent: Agent) -> None:
    task = tasks.submit(owner=member, agent=agent, input="private").task
    claim = tasks.claim(queues=[QUEUE], worker="worker-1")
    assert claim is not None
    with pytest.raises(StillRunning):
        _erase(member)
    task.refresh_from_db()
    assert (task.status, task.cancel_requested_at is not None, task.input) == ("running", True, "private")
    member.refresh_from_db()
    assert (member.is_active, member.erased_at) == (False, None)
    tasks.finish_cancelled(claim=claim, usage=NOTHING)
    _erase(member)
    task.refresh_from_db()
    assert (task.status, task.input) == ("cancelled", "")


@pytest.mark.django_db
def test_the_last_administrator_cannot_be_erased(admin: User) -> None:
    with pytest.raises(LastAdministrator):
        _erase(admin)
    admin.refresh_from_db()
    assert (admin.is_active, AuditEvent.objects.count()) == (True, 0)
    User.objects.create_superuser(username="second", password="second-password-1")
    assert _erase(admin).name.startswith("erased-")


@pytest.mark.django_db
def test_the_command_asks_for_the_name(
    person: User, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = person.username
    monkeypatch.setattr("builtins.input", lambda _question: "y")
    with pytest.raises(CommandError, match="Nothing was erased"):
        call_command("erase_person", user=name)
    person.refresh_from_db()
    assert person.is_active
    monkeypatch.setattr("builtins.input", lambda _question: name)
    call_command("erase_person", user=name, wait=0)
    assert "erased-" in capsys.readouterr().out
    call_command("erase_person", user=str(person.pk), yes=True, wait=0)
    with pytest.raises(CommandError, match="no user named"):
        call_command("erase_person", user=name, yes=True)


@pytest.fixture
def in_admin(client: Client, admin: User) -> Callable[[User, dict[str, str]], Any]:
    client.force_login(admin)
    return lambda user, given: client.post(reverse("admin:accounts_user_data", args=[user.pk]), given)


@pytest.mark.django_db
def test_an_administrator_erases_by_typing_the_name(
    in_admin: Callable[[User, dict[str, str]], Any], client: Client, person: User
) -> None:
    name = person.username
    address = reverse("admin:accounts_user_data", args=[person.pk])
    assert address in client.get(reverse("admin:accounts_user_change", args=[person.pk])).content.decode()
    assert client.get(address).status_code == 200
    assert "not the name" in in_admin(person, {"name": "canary"}).content.decode()
    assert User.objects.filter(username=name, is_active=True).exists()
    assert in_admin(person, {"name": name}).status_code == 302
    assert not User.objects.filter(username=name).exists()
    assert canaries_in(dump()) == []
