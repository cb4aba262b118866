"""Rotating a key: the new one takes the name, the old one goes on for as long as was said."""

from __future__ import annotations

from datetime import timedelta
from threading import Barrier, Thread
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from accounts import keys
from accounts.audit import SYSTEM
from accounts.exceptions import InvalidKey, KeyEnded, ScopeTooWide
from accounts.issuing import IssuedKey, issue_api_key, revoke_api_key, rotate_api_key
from accounts.keys import authenticate
from accounts.models import ApiKey, AuditEvent, User
from tests.accounts.conftest import Client, Issue

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


def opens(key: str) -> bool:
    keys.forget()
    try:
        authenticate(key)
    except InvalidKey:
        return False
    return True


def test_the_new_key_has_the_name_and_the_scopes_and_both_open_for_a_while(issue: Issue) -> None:
    old = issue(scopes=["tasks:read"])
    new = rotate_api_key(api_key=old.row, actor=SYSTEM, overlap=HOUR)
    assert (new.row.name, new.row.scopes, new.row.expires_at) == ("tests", ["tasks:read"], None)
    assert (opens(old.key), opens(new.key)) == (True, True)
    old.row.refresh_from_db()
    assert old.row.replaced_by == new.row
    assert old.row.expires_at is not None
    assert HOUR - timedelta(minutes=1) < old.row.expires_at - timezone.now() <= HOUR
    event = AuditEvent.objects.get(verb="api_key.rotate")
    assert event.changes == {"new_key": new.row.prefix, "overlap_seconds": 3600}


def test_without_an_overlap_the_old_key_ends_at_once(issue: Issue) -> None:
    old = issue()
    new = rotate_api_key(api_key=old.row, actor=SYSTEM)
    assert (opens(old.key), opens(new.key)) == (False, True)


def test_an_overlap_never_lengthens_the_old_key_and_the_new_one_lives_as_long_as_it_was_made_to(issue: Issue) -> None:
    soon = timezone.now() + timedelta(minutes=5)
    old = issue(expires_at=soon)
    new = rotate_api_key(api_key=old.row, actor=SYSTEM, overlap=HOUR)
    old.row.refresh_from_db()
    assert old.row.expires_at == soon
    assert new.row.expires_at is not None
    assert timedelta(minutes=4) < new.row.expires_at - timezone.now() <= timedelta(minutes=5)


def test_a_key_is_rotated_once_and_never_after_its_end(issue: Issue) -> None:
    old = issue()
    rotate_api_key(api_key=old.row, actor=SYSTEM, overlap=HOUR)
    revoked = issue(name="revoked")
    revoke_api_key(api_key=revoked.row, actor=SYSTEM)
    for ended in (old, revoked):
        with pytest.raises(KeyEnded):
            rotate_api_key(api_key=ended.row, actor=SYSTEM)
    assert ApiKey.objects.count() == 3


def test_a_rotated_key_leaves_its_name_to_its_successor_alone(issue: Issue) -> None:
    rotate_api_key(api_key=issue().row, actor=SYSTEM, overlap=HOUR)
    with pytest.raises(Exception, match="already has a key named"):
        issue()
    rotate_api_key(api_key=ApiKey.objects.get(replaced_by=None), actor=SYSTEM, overlap=HOUR)
    assert ApiKey.objects.filter(name="tests", revoked_at=None).count() == 3


def test_a_key_cannot_rotate_one_that_reaches_further_and_the_new_one_never_outlives_it(issue: Issue) -> None:
    end = timezone.now() + HOUR
    narrow = issue(name="narrow", scopes=["keys:write"], expires_at=end)
    with pytest.raises(ScopeTooWide):
        rotate_api_key(api_key=issue().row, actor=SYSTEM, within=narrow.row)
    new = rotate_api_key(api_key=narrow.row, actor=SYSTEM, within=narrow.row, overlap=HOUR)
    assert new.row.expires_at is not None
    assert new.row.expires_at <= end


@pytest.mark.django_db(transaction=True)
def test_of_simultaneous_rotations_one_succeeds(member: User) -> None:
    old = issue_api_key(owner=member, name="tests", actor=SYSTEM)
    barrier, made, refused = Barrier(4), list[IssuedKey](), list[Exception]()

    def rotate() -> None:
        barrier.wait()
        try:
            made.append(rotate_api_key(api_key=old.row, actor=SYSTEM, overlap=HOUR))
        except KeyEnded as error:
            refused.append(error)
        finally:
            connection.close()

    threads = [Thread(target=rotate) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(made), len(refused), ApiKey.objects.count()) == (1, 3, 2)


def test_the_api_rotates_and_shows_the_new_key_once(issue: Issue, bearing: Client) -> None:
    old = issue()
    address = f"/api/v1/api-keys/{old.row.pk}/rotate"
    answer = bearing(old.key).post(address, {"overlap_seconds": 3600})
    assert (answer.status_code, answer["Cache-Control"]) == (201, "no-store")
    new: dict[str, Any] = answer.json()
    assert (opens(old.key), opens(new["key"])) == (True, True)
    shown = bearing(new["key"]).get(f"/api/v1/api-keys/{new['id']}")
    assert "key" not in shown.json()
    again = bearing(new["key"]).post(address, {})
    assert (again.status_code, again.json()["type"]) == (409, "urn:mutirao:key-ended")
    assert bearing(new["key"]).post(address, {"overlap_seconds": 604_801}).status_code == 400


def test_whose_key_it_is_not_cannot_rotate_it(issue: Issue, outsider: User, admin: User, bearing: Client) -> None:
    old = issue()
    address = f"/api/v1/api-keys/{old.row.pk}/rotate"
    assert bearing().post(address, {}).status_code == 401
    for other in (outsider, admin):
        key = issue_api_key(owner=other, name="own", actor=SYSTEM).key
        assert bearing(key).post(address, {}).status_code == 404
    reader = issue(name="reader", scopes=["keys:read"]).key
    assert bearing(reader).post(address, {}).status_code == 403
    assert opens(old.key)
