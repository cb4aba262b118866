"""Sessions of the API: what ends them holds from the next request on, and a refresh token is traded once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from threading import Barrier, Thread
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.db import connection
from django.test import Client as Browser
from django.test import RequestFactory
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient
from rest_framework_simplejwt.tokens import RefreshToken

from accounts import sessions, tokens
from accounts.exceptions import SessionOver
from accounts.models import ApiSession, AuditEvent, User
from accounts.pruning import ended_api_sessions
from accounts.tokens import InvalidRefreshToken

pytestmark = pytest.mark.django_db
TOKEN = "/api/v1/auth/token"
PASSWORD = "member-password-1"


def sign_in(username: str = "member", password: str = PASSWORD, **more: Any) -> dict[str, str]:
    answer = APIClient().post(TOKEN, {"username": username, "password": password}, **more)
    assert answer.status_code == 200
    pair: dict[str, str] = answer.json()
    return pair


def opens(pair: dict[str, str]) -> bool:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {pair['access']}")
    status = client.get("/api/v1/me").status_code
    assert status in (200, 401)
    return status == 200


def refresh(pair: dict[str, str]) -> Any:
    return APIClient().post(f"{TOKEN}/refresh", {"refresh": pair["refresh"]})


def told(verb: str, outcome: str = "done") -> int:
    return AuditEvent.objects.filter(verb=verb, outcome=outcome).count()


def test_signing_in_begins_a_session_that_every_token_belongs_to(member: User) -> None:
    pair = sign_in(headers={"user-agent": "robot/1"})
    session = ApiSession.objects.get()
    assert (session.user, session.address, session.user_agent) == (member, "127.0.0.1", "robot/1")
    again = refresh(pair).json()
    assert opens(pair)
    assert opens(again)
    prolonged = ApiSession.objects.get()
    assert prolonged.refreshed_at > session.refreshed_at
    assert prolonged.expires_at > session.expires_at


def test_a_token_is_checked_with_one_query(member: User, django_assert_num_queries: Any) -> None:
    access = sign_in()["access"]
    with django_assert_num_queries(1):
        assert sessions.of_token(tokens.read_access(access)).user == member


def _sign_out(pair: dict[str, str], _user: User) -> None:
    assert APIClient().post(f"{TOKEN}/revoke", {"refresh": pair["refresh"]}).status_code == 204


def _change_password(_pair: dict[str, str], user: User) -> None:
    browser = Browser()
    browser.force_login(user)
    new = {"oldpassword": PASSWORD, "password1": "another-password-2", "password2": "another-password-2"}
    browser.post("/account/password/change/", new)


def _administrator_changes_password(_pair: dict[str, str], user: User) -> None:
    chief = User.objects.create_superuser("chief", password="chief-password-1")
    browser = Browser()
    browser.force_login(chief)
    new = {"password1": "another-password-2", "password2": "another-password-2", "usable_password": "true"}
    browser.post(f"/admin/accounts/user/{user.pk}/password/", new)


def _command_changes_password(_pair: dict[str, str], user: User) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("getpass.getpass", lambda *_a, **_k: "another-password-2")
        call_command("changepassword", user.username)


def _deactivate(_pair: dict[str, str], user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


def _make_service(_pair: dict[str, str], user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_service=True)


def _erase(_pair: dict[str, str], user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False, erased_at=timezone.now())


def _delete(_pair: dict[str, str], user: User) -> None:
    User.objects.filter(pk=user.pk).delete()


def _expire(_pair: dict[str, str], _user: User) -> None:
    ApiSession.objects.update(expires_at=timezone.now() - timedelta(seconds=1))


def _prune(_pair: dict[str, str], _user: User) -> None:
    ApiSession.objects.all().delete()


ENDS: list[Callable[[dict[str, str], User], None]] = [
    _sign_out, _change_password, _administrator_changes_password, _command_changes_password, _deactivate,
    _make_service, _erase, _delete, _expire, _prune,
]  # fmt: skip


@pytest.mark.parametrize("end", ENDS)
def test_what_ends_a_session_holds_on_the_next_request_for_both_tokens(
    member: User, end: Callable[[dict[str, str], User], None]
) -> None:
    pair = sign_in()
    assert opens(pair)
    end(pair, member)
    assert not opens(pair)
    answer = refresh(pair)
    assert (answer.status_code, answer.json()["type"]) == (401, "urn:mutirao:invalid-token")


def test_what_did_not_end_goes_on(member: User, outsider: User) -> None:
    """The control: another session of the same person, and somebody else's."""
    pair, other, stranger = sign_in(), sign_in(), sign_in("outsider", "outsider-password-1")
    _sign_out(pair, member)
    assert (opens(pair), opens(other), opens(stranger)) == (False, True, True)
    assert refresh(other).status_code == 200


def test_a_changed_password_ends_the_rows_too(member: User) -> None:
    for end in (_change_password, _administrator_changes_password):
        User.objects.filter(pk=member.pk).update(password=member.password)
        sign_in()
        end({}, member)
        assert not ApiSession.objects.filter(ended_at=None).exists()


def test_signing_out_is_written_down_once_and_works_with_a_used_token(member: User) -> None:
    pair = sign_in()
    newer = refresh(pair).json()
    _sign_out(pair, member)
    _sign_out(newer, member)
    assert not opens(newer)
    event = AuditEvent.objects.get(verb="auth.sign_out")
    assert (event.actor_id, event.subject_id) == (member.pk, member.pk)


def test_tokens_without_a_session_are_refused(member: User) -> None:
    old = RefreshToken.for_user(member)
    pair = {"access": str(old.access_token), "refresh": str(old)}
    assert not opens(pair)
    assert refresh(pair).status_code == 401
    assert APIClient().post(f"{TOKEN}/revoke", {"refresh": pair["refresh"]}).status_code == 401


def test_the_session_of_somebody_else_opens_nothing(member: User, outsider: User) -> None:
    sign_in()
    forged = RefreshToken.for_user(outsider)
    forged["sid"] = str(ApiSession.objects.get().pk)
    assert not opens({"access": str(forged.access_token)})


def test_a_used_token_that_comes_again_is_refused_and_told_once_and_the_session_lives(member: User) -> None:
    pair = sign_in()
    newer = refresh(pair).json()
    assert [refresh(pair).status_code for _ in range(3)] == [401] * 3
    assert told("auth.token_reuse", "denied") == 1
    assert opens(newer)
    assert refresh(newer).status_code == 200


def test_a_session_that_ends_while_it_is_refreshed_is_not_prolonged(member: User) -> None:
    pair = sign_in()
    session = ApiSession.objects.get()
    ApiSession.objects.update(ended_at=timezone.now())
    with pytest.raises(SessionOver):
        sessions.prolong(session)
    assert refresh(pair).status_code == 401


@pytest.mark.django_db(transaction=True)
def test_of_sixteen_parallel_refreshes_one_succeeds(member: User) -> None:
    pair = sign_in()
    barrier, made, refused = Barrier(16), list[Any](), list[Any]()

    def trade() -> None:
        barrier.wait()
        try:
            made.append(tokens.refresh_tokens(refresh=pair["refresh"], request=RequestFactory().post("/")))
        except InvalidRefreshToken as error:
            refused.append(error)
        finally:
            connection.close()

    threads = [Thread(target=trade) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(made), len(refused)) == (1, 15)
    assert opens({"access": made[0].access})
    assert told("auth.token_reuse", "denied") == 1
    assert told("auth.sign_in") == 1


def test_what_is_over_is_pruned_and_what_is_open_is_not(member: User) -> None:
    sign_in()
    sign_in()
    sign_in()
    ended, expired, _still_open = ApiSession.objects.order_by("created_at")
    long_ago = timezone.now() - timedelta(days=40)
    ApiSession.objects.filter(pk=ended.pk).update(ended_at=long_ago)
    ApiSession.objects.filter(pk=expired.pk).update(expires_at=long_ago)
    found = set(ended_api_sessions(timezone.now() - timedelta(days=30)))
    assert found == {ended, expired}


def test_one_sees_and_ends_ones_own_sessions(client: Browser, member: User, outsider: User) -> None:
    pair, other = sign_in(headers={"user-agent": "robot/<1>"}), sign_in("outsider", "outsider-password-1")
    client.force_login(member)
    page = client.get(reverse("pages:api-sessions")).content.decode()
    assert (page.count("robot/&lt;1&gt;"), page.count("/end/")) == (1, 1)
    assert "1 program" in client.get("/settings/").content.decode()
    theirs = ApiSession.objects.get(user=outsider)
    assert client.post(reverse("pages:api-session-end", args=[theirs.pk])).status_code == 404
    own = ApiSession.objects.get(user=member)
    assert client.get(reverse("pages:api-session-end", args=[own.pk])).status_code == 405
    assert client.post(reverse("pages:api-session-end", args=[own.pk])).status_code == 302
    assert (opens(pair), opens(other)) == (False, True)
    assert "No program is signed in" in client.get(reverse("pages:api-sessions")).content.decode()
    assert told("api_session.end") == 1


def test_the_admin_shows_sessions_and_ends_them_for_whoever_may(
    client: Browser, admin: User, operator: User, member: User
) -> None:
    pair = sign_in()
    session = ApiSession.objects.get()
    changelist = reverse("admin:accounts_apisession_changelist")
    chosen = {"action": "end_sessions", "_selected_action": [str(session.pk)], "confirmed": "yes"}
    viewer = User.objects.create_user("viewer", password="viewer-password-1", is_staff=True)
    role = Group.objects.create(name="viewer")
    role.permissions.set(Permission.objects.filter(codename="view_apisession"))
    viewer.groups.add(role)
    client.force_login(viewer)
    assert "member" in client.get(changelist).content.decode()
    client.post(changelist, chosen)
    assert opens(pair)
    client.force_login(operator)
    assert client.get(changelist).status_code == 403
    client.force_login(admin)
    asked = {name: value for name, value in chosen.items() if name != "confirmed"}
    assert "End these sessions?" in client.post(changelist, asked).content.decode()
    assert opens(pair)
    client.post(changelist, chosen)
    assert not opens(pair)
    event = AuditEvent.objects.get(verb="api_session.end")
    assert (event.actor_id, event.subject_id) == (admin.pk, member.pk)
