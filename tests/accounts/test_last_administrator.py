"""Somebody can always give rights, whatever is done, by whichever way, also by two at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from threading import Barrier

import pytest
import yaml
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import QuerySet
from django.test import Client
from django.urls import reverse

from accounts import people, roles
from accounts.audit import SYSTEM
from accounts.exceptions import LastAdministrator
from accounts.guard import keeping_an_administrator
from accounts.models import AuditEvent, PeopleManager, Role, User
from accounts.people import change_person, create_person, delete_person
from accounts.roles import change_role, delete_role, ensure_roles, find_roles, set_roles
from tests.tasks.threads import at_once


def _administrator(name: str, **flags: bool) -> User:
    """By role, not a superuser."""
    ensure_roles()
    return User.objects.create(username=name, email=f"{name}@example.org", **flags)


@pytest.fixture
def only(db: None) -> User:
    """The one administrator there is, by the role of that name."""
    only = _administrator("only", is_staff=True)
    only.groups.set(Role.objects.filter(name="administrator"))
    return only


def _demote(only: User) -> None:
    set_roles(user=only, roles=find_roles(["member"]), by=None, actor=SYSTEM)


def _deactivate(only: User) -> None:
    change_person(user=only, is_active=False, by=only, actor=SYSTEM)


def _delete(only: User) -> None:
    delete_person(user=only, by=None, actor=SYSTEM)


def _weaken_role(only: User) -> None:
    change_role(role=Role.objects.get(name="administrator"), permissions=["accounts.view_user"], by=only, actor=SYSTEM)


def _delete_role(only: User) -> None:
    delete_role(role=Role.objects.get(name="administrator"), by=only, actor=SYSTEM)


DEEDS: list[Callable[[User], None]] = [_demote, _deactivate, _delete, _weaken_role, _delete_role]


@pytest.mark.django_db
@pytest.mark.parametrize("deed", DEEDS)
def test_the_last_administrator_stays(only: User, deed: Callable[[User], None]) -> None:
    before = AuditEvent.objects.count()
    with pytest.raises(LastAdministrator):
        deed(only)
    assert [user.username for user in User.objects.administrators()] == ["only"]
    assert AuditEvent.objects.count() == before, "what was not done is not in the record of what was done"


@pytest.mark.django_db
@pytest.mark.parametrize("deed", DEEDS)
def test_with_another_administrator_it_is_allowed(only: User, deed: Callable[[User], None]) -> None:
    User.objects.create_superuser(username="root")
    deed(User.objects.get(pk=only.pk))
    assert [user.username for user in User.objects.administrators()] == ["root"]


@pytest.mark.django_db
def test_service_accounts_the_inactive_and_half_of_the_rights_do_not_count(only: User) -> None:
    for name, flags in (("robot", {"is_service": True}), ("gone", {"is_active": False})):
        _administrator(name, **flags).groups.set(Role.objects.filter(name="administrator"))
    half = roles.create_role(name="half", permissions=["accounts.change_user"], by=None, actor=SYSTEM)
    _administrator("half").groups.add(half)
    assert [user.username for user in User.objects.administrators()] == ["only"]
    with pytest.raises(LastAdministrator):
        _demote(only)


@pytest.mark.django_db
def test_a_file_cannot_take_the_rights_of_the_last_one(only: User, tmp_path: Path) -> None:
    file = tmp_path / "roles.yaml"
    file.write_text(yaml.safe_dump({"mutirao": 1, "roles": {"administrator": {"permissions": []}}}))
    with pytest.raises(CommandError, match="no administrator"):
        call_command("apply", str(file))
    assert User.objects.administrators().count() == 1


@pytest.mark.django_db
def test_an_installation_without_any_may_stay_so(db: None) -> None:
    ensure_roles()
    with keeping_an_administrator():
        delete_role(role=Role.objects.get(name="administrator"), by=None, actor=SYSTEM)
    assert User.objects.administrators().count() == 0


@pytest.mark.django_db
@pytest.mark.parametrize("field", ["is_active", "is_superuser"])
def test_the_admin_says_why_not(client: Client, field: str) -> None:
    ensure_roles()
    root = User.objects.create_superuser(username="root", password="root-password-1")
    client.force_login(root)
    form = {"username": "root", "is_active": "on", "is_staff": "on", "is_superuser": "on"}
    del form[field]
    response = client.post(reverse("admin:accounts_user_change", args=[root.pk]), form, follow=True)
    assert "no administrator" in response.content.decode()
    assert User.objects.administrators().count() == 1


@pytest.mark.django_db
def test_the_admin_does_not_delete_the_last_one(client: Client) -> None:
    root = User.objects.create_superuser(username="root")
    client.force_login(root)
    response = client.post(reverse("admin:accounts_user_delete", args=[root.pk]), {"post": "yes"}, follow=True)
    assert "no administrator" in response.content.decode()
    assert User.objects.administrators().count() == 1


def _both_leave() -> list[str]:
    """Two administrators deactivate themselves at the same moment; what came of each."""
    names = ("one", "two")
    for name in names:
        _administrator(name).groups.set(Role.objects.filter(name="administrator"))

    def leave(index: int) -> str:
        user = User.objects.get(username=names[index])
        try:
            change_person(user=user, is_active=False, by=user, actor=SYSTEM)
        except LastAdministrator:
            return "refused"
        return "left"

    return at_once(leave, 2)


@pytest.mark.django_db(transaction=True)
def test_of_two_who_leave_at_once_one_stays() -> None:
    assert sorted(_both_leave()) == ["left", "refused"]
    assert User.objects.administrators().count() == 1


@pytest.mark.django_db(transaction=True)
def test_without_the_guard_both_are_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: the test above fails when the safeguard is taken away."""
    monkeypatch.setattr(people, "keeping_an_administrator", nullcontext)
    assert _both_leave() == ["left", "left"]
    assert User.objects.administrators().count() == 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time anyway")
def test_without_the_lock_each_sees_the_other_stay_and_both_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control for the lock: counting alone is not enough."""
    both, counted = Barrier(2), PeopleManager.administrators
    calls = threading.local()

    def count(people: PeopleManager) -> QuerySet[User]:
        calls.times = getattr(calls, "times", 0) + 1
        found = counted(people)
        if calls.times == 2:
            # Both have done it, and neither has committed.
            both.wait(10)
            found = people.filter(pk__in=[*found.values_list("pk", flat=True)])
            both.wait(10)
        return found

    monkeypatch.setattr("accounts.guard._take_turns", lambda: None)
    monkeypatch.setattr(PeopleManager, "administrators", count)
    assert _both_leave() == ["left", "left"]


@pytest.mark.django_db
def test_a_person_can_be_made_beside_the_last_one(only: User) -> None:
    create_person(username="new", email="new@example.org", by=only, actor=SYSTEM)
    assert User.objects.administrators().count() == 1
