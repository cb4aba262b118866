"""API keys: what opens, what does not, what is kept of them, and for how long a look-up is remembered."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from accounts import keys
from accounts.audit import SYSTEM
from accounts.exceptions import InvalidKey, NameTaken, ScopeTooWide, UnknownScope
from accounts.models import ApiKey, AuditEvent, User
from accounts.services import authenticate_key, issue_api_key, revoke_api_key
from tests.accounts.conftest import Issue

pytestmark = pytest.mark.django_db


def is_refused(text: str) -> bool:
    try:
        authenticate_key(text)
    except InvalidKey:
        return True
    return False


def pass_time(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """For look-ups that are remembered."""
    now = time.monotonic()
    monkeypatch.setattr("accounts.keys.time.monotonic", lambda: now + seconds)


def test_a_key_opens_as_its_owner(issue: Issue, member: User) -> None:
    issued = issue()
    mark, prefix, secret = issued.key.split("_")
    assert (mark, prefix, len(secret)) == ("mut", issued.row.prefix, 64)
    found = authenticate_key(issued.key)
    assert (found.pk, found.owner) == (issued.row.pk, member)


def test_what_is_not_a_key_of_ours_is_refused(issue: Issue) -> None:
    issued, other = issue(), issue(name="other")
    _mark, prefix, secret = issued.key.split("_")
    other_secret = other.key.split("_")[2]
    wrong = {
        "nothing": "",
        "the mark alone": "mut_",
        "no secret": f"mut_{prefix}",
        "an empty secret": f"mut_{prefix}_",
        "a wrong secret": f"mut_{prefix}_{'0' * 64}",
        "another key's secret": f"mut_{prefix}_{other_secret}",
        "another mark": f"tum_{prefix}_{secret}",
        "an unknown prefix": f"mut_{'0' * 10}_{secret}",
        "the stored digest": f"mut_{prefix}_{issued.row.digest}",
        "capitals": issued.key.upper(),
        "more at the end": f"{issued.key}0",
        "less at the end": issued.key[:-1],
        "letters that are not ASCII": f"mut_{prefix}_é",
        "a NUL": f"mut_\x00{prefix}_{secret}",
        "a line break": f"mut_{prefix}\n_{secret}",
        "very much": f"mut_{prefix}_{'0' * 100_000}",
    }
    assert {name for name, text in wrong.items() if not is_refused(text)} == set()
    assert not is_refused(issued.key)


def test_a_revoked_key_opens_nothing(issue: Issue) -> None:
    issued = issue()
    assert not is_refused(issued.key)
    assert revoke_api_key(api_key=issued.row, actor=SYSTEM) is True
    assert is_refused(issued.key)
    assert revoke_api_key(api_key=issued.row, actor=SYSTEM) is False
    assert AuditEvent.objects.filter(verb="api_key.revoke").count() == 1


def test_an_expired_key_opens_nothing_even_when_it_is_remembered(issue: Issue) -> None:
    issued = issue(expires_at=timezone.now() + timedelta(hours=1))
    assert not is_refused(issued.key)
    (remembered,) = keys._remembered.values()
    remembered[1].expires_at = timezone.now() - timedelta(seconds=1)
    ApiKey.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert is_refused(issued.key)
    keys.forget()
    assert is_refused(issued.key)


def test_the_key_of_an_inactive_person_opens_nothing(issue: Issue, member: User) -> None:
    issued = issue()
    User.objects.filter(pk=member.pk).update(is_active=False)
    assert is_refused(issued.key)


def test_only_a_keyed_digest_is_kept(issue: Issue, settings: Any) -> None:
    issued = issue()
    secret = issued.key.split("_")[2]
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM accounts_apikey")
        kept = str(cursor.fetchall())
    assert secret not in kept
    assert issued.row.digest in kept
    assert issued.row.digest == keys.digest_of(secret)
    settings.SECRET_KEY = "another installation"
    assert issued.row.digest != keys.digest_of(secret)
    assert is_refused(issued.key)


def test_what_is_remembered_is_no_secret_either(issue: Issue) -> None:
    issued = issue()
    authenticate_key(issued.key)
    assert issued.key.split("_")[2] not in str(keys._remembered)


def test_another_process_notices_a_revocation_within_the_stated_seconds(
    issue: Issue, monkeypatch: pytest.MonkeyPatch
) -> None:
    issued = issue()
    authenticate_key(issued.key)
    # Another process revokes it: nobody clears this one's memory.
    ApiKey.objects.update(revoked_at=timezone.now())
    assert keys.REMEMBERED_SECONDS <= 5
    assert not is_refused(issued.key)
    pass_time(monkeypatch, keys.REMEMBERED_SECONDS)
    assert is_refused(issued.key)


def test_another_process_notices_an_inactive_owner_within_the_stated_seconds(
    issue: Issue, member: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    issued = issue()
    authenticate_key(issued.key)
    User.objects.filter(pk=member.pk).update(is_active=False)
    pass_time(monkeypatch, keys.REMEMBERED_SECONDS)
    assert is_refused(issued.key)


def test_a_remembered_look_up_asks_the_database_nothing(issue: Issue, django_assert_num_queries: Any) -> None:
    issued = issue()
    authenticate_key(issued.key)
    with django_assert_num_queries(0):
        authenticate_key(issued.key)


def test_a_refusal_is_not_remembered(issue: Issue) -> None:
    issued = issue()
    ApiKey.objects.update(revoked_at=timezone.now())
    assert is_refused(issued.key)
    assert keys._remembered == {}


def test_the_memory_has_a_bound(issue: Issue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "MOST_REMEMBERED", 2)
    for number in range(5):
        authenticate_key(issue(name=f"tests {number}").key)
        assert len(keys._remembered) <= 2


def test_the_last_use_is_noted_at_most_once_a_minute(
    issue: Issue, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    issued = issue()
    assert issued.row.last_used_at is None
    authenticate_key(issued.key)
    first = ApiKey.objects.get().last_used_at
    assert first is not None
    keys.forget()
    # A use that is no news is a look-up and no write.
    with django_assert_num_queries(1):
        authenticate_key(issued.key)
    assert ApiKey.objects.get().last_used_at == first
    earlier = timezone.now() - keys.USED_EVERY - timedelta(seconds=1)
    ApiKey.objects.update(last_used_at=earlier)
    keys.forget()
    authenticate_key(issued.key)
    noted = ApiKey.objects.get().last_used_at
    assert noted is not None
    assert noted > earlier


def test_scopes_are_known_sorted_and_once(issue: Issue) -> None:
    assert issue(scopes=["tasks:write", "agents:read", "tasks:write"]).row.scopes == ["agents:read", "tasks:write"]
    with pytest.raises(UnknownScope, match="tasks:everything"):
        issue(name="other", scopes=["tasks:everything"])
    assert ApiKey.objects.count() == 1


def test_a_live_name_is_taken_and_a_revoked_one_is_free(issue: Issue, outsider: User) -> None:
    first = issue()
    with pytest.raises(NameTaken):
        issue()
    issue(owner=outsider)
    revoke_api_key(api_key=first.row, actor=SYSTEM)
    assert issue().row.pk != first.row.pk
    assert AuditEvent.objects.filter(verb="api_key.issue").count() == 3


@pytest.mark.parametrize(
    ("of_key", "asked", "allowed"),
    [
        ([], [], True),
        ([], ["tasks:read"], True),
        (["keys:write", "tasks:read"], ["tasks:read"], True),
        (["keys:write", "tasks:read"], ["keys:write", "tasks:read"], True),
        (["keys:write"], [], False),
        (["keys:write"], ["tasks:read"], False),
        (["keys:write", "tasks:read"], ["tasks:read", "tasks:write"], False),
    ],
)
def test_a_key_makes_no_key_that_can_do_more(
    issue: Issue, of_key: list[str], asked: list[str], *, allowed: bool
) -> None:
    maker = issue(name="maker", scopes=of_key).row
    if allowed:
        assert issue(within=maker, scopes=asked).row.scopes == sorted(asked)
        return
    with pytest.raises(ScopeTooWide):
        issue(within=maker, scopes=asked)
    assert ApiKey.objects.count() == 1


def test_a_key_makes_no_key_that_lives_longer(issue: Issue, member: User) -> None:
    end = timezone.now() + timedelta(days=1)
    maker = issue(name="maker", expires_at=end).row
    for expires_at in (None, end + timedelta(seconds=1)):
        with pytest.raises(ScopeTooWide):
            issue_api_key(owner=member, name="longer", actor=SYSTEM, within=maker, expires_at=expires_at)
    assert issue(within=maker, expires_at=end).row.expires_at == end
