"""API keys: what opens, what does not, what is kept of them, and that nothing ended is remembered as open."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from accounts import keys
from accounts.audit import SYSTEM
from accounts.exceptions import InvalidKey, NameTaken, ScopeTooWide, UnknownScope
from accounts.issuing import IssuedKey, issue_api_key, revoke_api_key
from accounts.keys import authenticate
from accounts.models import ApiKey, AuditEvent, User
from tests.accounts.conftest import Issue

pytestmark = pytest.mark.django_db


def is_refused(text: str) -> bool:
    try:
        authenticate(text)
    except InvalidKey:
        return True
    return False


def test_a_key_opens_as_its_owner(issue: Issue, member: User) -> None:
    issued = issue()
    mark, prefix, secret = issued.key.split("_")
    assert (mark, prefix, len(secret)) == ("mut", issued.row.prefix, 64)
    found = authenticate(issued.key)
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
    authenticate(issued.key)
    assert issued.key.split("_")[2] not in str(keys._remembered)


@contextmanager
def another_process() -> Iterator[None]:
    """What this process remembers is put away meanwhile, and is not told of anything."""
    own = dict(keys._remembered)
    keys.forget()
    yield
    keys._remembered.clear()
    keys._remembered.update(own)


@contextmanager
def credulous() -> Iterator[None]:
    """The safeguard is taken away: what is remembered is believed, as it used to be for seconds."""
    kept = {prefix: known[0] for prefix, known in keys._remembered.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "_read", lambda prefix: kept[prefix])
        yield


def _revoke(issued: IssuedKey) -> None:
    revoke_api_key(api_key=issued.row, actor=SYSTEM)


def _shorten(issued: IssuedKey) -> None:
    ApiKey.objects.filter(pk=issued.row.pk).update(expires_at=timezone.now() - timedelta(seconds=1))


def _deactivate(issued: IssuedKey) -> None:
    User.objects.filter(pk=issued.row.owner_id).update(is_active=False)


def _erase(issued: IssuedKey) -> None:
    User.objects.filter(pk=issued.row.owner_id).update(is_active=False, erased_at=timezone.now())


def _delete(issued: IssuedKey) -> None:
    User.objects.filter(pk=issued.row.owner_id).delete()


def _keep_away(issued: IssuedKey) -> None:
    ApiKey.objects.filter(pk=issued.row.pk).update(addresses=["203.0.113.0/24"])


ENDS = [_revoke, _shorten, _deactivate, _erase, _delete, _keep_away]


@pytest.mark.parametrize("end", ENDS)
def test_what_another_process_ends_opens_nothing_on_the_next_request(
    issue: Issue, end: Callable[[IssuedKey], None]
) -> None:
    issued = issue()
    assert not is_refused(issued.key)
    assert not is_refused(issued.key)
    assert issued.row.prefix in keys._remembered
    with another_process():
        end(issued)
    with credulous():
        assert not is_refused(issued.key), "the control: a process that believed its memory would let it in"
    assert is_refused(issued.key)


def test_what_another_process_narrows_is_narrow_on_the_next_request(issue: Issue) -> None:
    issued = issue()
    assert authenticate(issued.key).scopes == []
    with another_process():
        ApiKey.objects.update(scopes=["tasks:read"], agents=["echo"])
    found = authenticate(issued.key)
    assert (found.scopes, found.agents) == (["tasks:read"], ["echo"])


def test_rights_that_were_taken_from_the_owner_are_gone_on_the_next_request(issue: Issue, operator: User) -> None:
    issued = issue(owner=operator)
    assert authenticate(issued.key).owner.has_perm("agents_tasks.view_task")
    operator.groups.clear()
    assert not authenticate(issued.key).owner.has_perm("agents_tasks.view_task")


def test_a_look_up_is_one_statement_and_no_two_requests_share_a_person(
    issue: Issue, django_assert_num_queries: Any
) -> None:
    issued = issue()
    authenticate(issued.key)
    authenticate(issued.key)
    with django_assert_num_queries(1):
        found = authenticate(issued.key)
    again = authenticate(issued.key)
    assert (found, found.owner) == (again, again.owner)
    assert found is not again
    assert found.owner is not again.owner


def test_a_wrong_secret_of_a_known_key_is_refused_after_the_right_one(issue: Issue) -> None:
    issued = issue()
    authenticate(issued.key)
    assert is_refused(issued.key[:-1] + ("0" if issued.key[-1] != "0" else "1"))


def test_the_secret_is_compared_in_constant_time_also_for_an_unknown_prefix(
    issue: Issue, monkeypatch: pytest.MonkeyPatch
) -> None:
    issued, compared = issue(), list[str]()
    real = hmac.compare_digest

    def compare(one: str, two: str) -> bool:
        compared.append(one)
        return real(one, two)

    monkeypatch.setattr("accounts.keys.hmac.compare_digest", compare)
    authenticate(issued.key)
    assert is_refused(f"mut_{'0' * 10}_{'0' * 64}")
    assert [len(one) for one in compared] == [64, 64]


def test_the_memory_has_a_bound(issue: Issue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "MOST_REMEMBERED", 2)
    for number in range(5):
        authenticate(issue(name=f"tests {number}").key)
        assert len(keys._remembered) <= 2


def test_the_last_use_is_noted_at_most_once_a_minute(issue: Issue, django_assert_num_queries: Any) -> None:
    issued = issue()
    assert issued.row.last_used_at is None
    authenticate(issued.key, address="203.0.113.7")
    assert ApiKey.objects.get().last_used_from == "203.0.113.7"
    first = ApiKey.objects.get().last_used_at
    assert first is not None
    authenticate(issued.key)
    # A use that is no news is a look-up and no write.
    with django_assert_num_queries(1):
        authenticate(issued.key)
    assert ApiKey.objects.get().last_used_at == first
    earlier = timezone.now() - keys.USED_EVERY - timedelta(seconds=1)
    ApiKey.objects.update(last_used_at=earlier)
    keys.forget()
    authenticate(issued.key)
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
