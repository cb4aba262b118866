"""Holes that were found in platforms like this one, tried here. Those that a whole file is about are named there
(docs/threat-model.md has the table).
"""

from __future__ import annotations

import re
import uuid

import pytest
from allauth.account.utils import user_pk_to_url_str
from django.contrib.auth import get_user_model
from django.core import mail
from django.test import Client
from rest_framework.test import APIClient

from accounts import keys
from accounts.audit import SYSTEM
from accounts.exceptions import InvalidKey
from accounts.issuing import issue_api_key
from accounts.models import ApiKey, User
from agents.definitions.services import create_agent
from tests.conftest import Api

RESET = "/account/password/reset/"


def _bearing(key: str) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {key}")
    return client


@pytest.mark.django_db
@pytest.mark.parametrize("scope", ["keys:write", "tasks:write", "webhooks:write"])
def test_a_key_gives_nobody_more_than_they_may(member: User, scope: str) -> None:
    """LiteLLM, CVE-2026-47101: a key made with routes that its maker may not use opened them."""
    client = _bearing(issue_api_key(owner=member, name="wide", scopes=[scope], actor=SYSTEM).key)
    for address in ("operations", "queues", "queues/interactive"):
        assert client.get(f"/api/v1/{address}").status_code in (401, 403), address


@pytest.mark.django_db
def test_a_key_of_a_key_does_no_more_than_it(member: User) -> None:
    """The same, one step later."""
    client = _bearing(issue_api_key(owner=member, name="narrow", scopes=["keys:write"], actor=SYSTEM).key)
    for scopes in ([], ["tasks:write"], ["keys:write", "tasks:write"]):
        answer = client.post("/api/v1/api-keys", {"name": f"{scopes}", "scopes": scopes})
        assert answer.status_code == 403, scopes
    assert ApiKey.objects.count() == 1


@pytest.mark.django_db
def test_keys_that_begin_alike_are_not_mistaken_for_each_other(member: User, outsider: User) -> None:
    """LiteLLM, GHSA-jjhc-v7c2-5hh6: what was remembered of a token was found by its first characters."""
    keys.forget()
    issued = issue_api_key(owner=member, name="one", actor=SYSTEM)
    assert keys.authenticate(issued.key).owner == member
    for other in (issued.key[:-1] + ("0" if issued.key[-1] != "0" else "1"), issued.key[:40], issued.key + "0"):
        with pytest.raises(InvalidKey):
            keys.authenticate(other)


@pytest.mark.django_db
@pytest.mark.parametrize("text", ["mut_' OR 1=1 --_x", "mut_%_x", "mut_a';DROP TABLE accounts_apikey;--_x", "mut_\\_x"])
def test_a_key_is_no_sql(member: User, text: str) -> None:
    """LiteLLM, CVE-2026-42208: the text of a key became a part of a statement."""
    issue_api_key(owner=member, name="one", actor=SYSTEM)
    assert _bearing(text).get("/api/v1/me").status_code == 401
    assert ApiKey.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("token", ["", "null", "None", "set-password", "0-0", "x" * 500])
def test_a_password_is_reset_by_the_link_of_the_mail_alone(member: User, token: str) -> None:
    """Flowise, GHSA-f6hc-c5jr-878p: an empty token was as good as the right one."""
    client = Client()
    address = f"{RESET}key/{user_pk_to_url_str(member)}-{token}/"
    new = {"password1": "a-new-password-7", "password2": "a-new-password-7"}
    for _step in range(2):
        client.post(address, new, follow=True)
    member.refresh_from_db()
    assert member.check_password("member-password-1")


@pytest.mark.django_db
def test_asking_for_a_reset_tells_nobody_the_way_in(member: User) -> None:
    """Flowise, CVE-2025-58434: the answer held the token. And whether there is such an account is not to be seen."""
    User.objects.filter(pk=member.pk).update(email="member@example.com")
    answers = [Client().post(RESET, {"email": email}, follow=True) for email in ("member@example.com", "x@example.com")]
    (sent,) = [each for each in mail.outbox if "member@example.com" in each.to]
    link = re.search(r"/key/([^/\s]+)/", str(sent.body))
    assert link is not None
    pages = [re.sub(r'"[A-Za-z0-9]{64}"', "", answer.content.decode()) for answer in answers]  # less CSRF tokens
    assert pages[0].replace("member@example.com", "") == pages[1].replace("x@example.com", "")
    assert link[1] not in answers[0].content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["/api/v1/me", "/api/v1/auth/token", "/", "/admin/", "/account/login/", "/metrics"])
def test_no_page_of_another_site_is_answered(member: User, address: str) -> None:
    """Langflow, CVE-2025-34291, and Dify, CVE-2025-63386: every origin was allowed, with cookies."""
    client = Client()
    client.force_login(member)
    for method in ("get", "options"):
        headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
        answer = getattr(client, method)(address, headers=headers)
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")]


@pytest.mark.django_db
def test_a_thing_is_found_by_one_name_with_one_check(api: Api, outsider: User, member: User) -> None:
    """Langflow, CVE-2026-55255: by its id a flow was found without asking whose it is; by its name it was not."""
    agent = create_agent(slug="theirs", model="scripted:echo")
    for name in (str(agent.pk), agent.pk.hex, "theirs", "THEIRS", " theirs"):
        answer = api(outsider).post("/api/v1/tasks", {"agent": name, "input": "x"})
        assert answer.status_code == 400, name
    assert api(member).post("/api/v1/tasks", {"agent": "theirs", "input": "x"}).status_code == 202


@pytest.mark.django_db
def test_nobody_is_told_who_else_there_is(api: Api, outsider: User, member: User, admin: User) -> None:
    """Langfuse, CVE-2025-64504: members of others were listed to whoever asked for them."""
    client = api(outsider)
    answers = [client.get(f"/api/v1/{address}") for address in ("users", f"users/{member.pk}", f"users/{uuid.uuid4()}")]
    assert all(answer.status_code in (403, 404) for answer in answers)
    assert all(member.username not in answer.content.decode() for answer in answers)


@pytest.mark.django_db
@pytest.mark.parametrize("field", ["is_superuser", "is_staff", "roles", "groups", "permissions", "user_permissions"])
def test_nobody_raises_themselves_by_a_field(api: Api, member: User, field: str) -> None:
    """LiteLLM, CVE-2026-47102: whoever could change themselves could change their role."""
    before = (member.is_superuser, member.is_staff, {*member.get_all_permissions()})
    values = {"roles": ["administrator"], "groups": ["administrator"], "permissions": ["accounts.change_user"]}
    for method, address in (("patch", "me"), ("patch", f"users/{member.pk}"), ("post", "users"), ("put", "me")):
        getattr(api(member), method)(f"/api/v1/{address}", {field: values.get(field, True), "username": "new"})
    client = Client()
    client.force_login(member)
    client.post("/settings/", {"first_name": "Ana", "language": "", "theme": "", "email": "", field: "on"})
    again = get_user_model().objects.get(pk=member.pk)
    assert (again.is_superuser, again.is_staff, {*again.get_all_permissions()}) == before
    assert not User.objects.filter(username="new").exists()
