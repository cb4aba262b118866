"""The audit log over the API: who may read it, how it is narrowed, and the file of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.core.management import call_command
from rest_framework.test import APIClient

from accounts import audit, verifying
from accounts.audit import SYSTEM
from accounts.issuing import issue_api_key
from accounts.models import AuditEvent, User
from tests.conftest import Api

LIST, EXPORT, MINE = "/api/v1/audit", "/api/v1/audit/export", "/api/v1/me/export"


def _record(actor: User, subject: User, **options: Any) -> AuditEvent:
    who = audit.Actor(actor.pk, actor.username, "192.0.2.7", "request-1234")
    usual: dict[str, Any] = {"verb": "user.change", "actor": who, "subject": subject}
    return audit.record(**(usual | options))


@pytest.mark.parametrize(("role", "status"), [("outsider", 403), ("member", 403), ("operator", 403), ("admin", 200)])
@pytest.mark.parametrize("address", [LIST, EXPORT])
@pytest.mark.django_db
def test_whoever_may_view_audit_events_reads_them(
    request: pytest.FixtureRequest, api: Api, role: str, status: int, address: str
) -> None:
    assert api(request.getfixturevalue(role)).get(address).status_code == status
    assert APIClient().get(address).status_code == 401


@pytest.mark.parametrize(
    ("scopes", "statuses"),
    [(["tasks:read"], (403, 403, 403)), (["audit:read"], (200, 200, 403)), (["me:export"], (403, 403, 200))],
)
@pytest.mark.django_db
def test_a_key_needs_the_scope(admin: User, scopes: list[str], statuses: tuple[int, ...]) -> None:
    client = APIClient()
    key = issue_api_key(owner=admin, name="auditor", actor=SYSTEM, scopes=scopes).key
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {key}")
    assert tuple(client.get(address).status_code for address in (LIST, EXPORT, MINE)) == statuses


@pytest.mark.django_db
def test_an_event_is_shown_in_words_and_without_its_salt(api: Api, admin: User, member: User) -> None:
    event = _record(admin, member, changes=audit.difference({"email": "a"}, {"email": "b"}))
    verifying.verify()
    shown = api(admin).get(LIST).json()["results"][0]
    assert (shown["id"], shown["deed"], shown["actor_name"]) == (str(event.pk), "changed a user", "admin")
    assert shown["changes"] == {"email": {"before": "a", "after": "b"}}
    assert (shown["position"], len(shown["hash"])) == (1, 64)
    assert not {"salt", "digests"} & shown.keys()


@pytest.mark.django_db
def test_a_list_is_narrowed(api: Api, admin: User, member: User, outsider: User) -> None:
    changed = _record(admin, member)
    tried = audit.record(verb="auth.sign_in", actor=audit.Actor(name="nobody"), outcome="denied")
    denied = _record(outsider, member, verb="access.denied", outcome="denied")
    client = api(admin)

    def found(query: str) -> set[str]:
        return {row["id"] for row in client.get(f"{LIST}?{query}").json()["results"]}

    ids = {event: str(event.pk) for event in (changed, tried, denied)}
    assert found("verb=user.change") == {ids[changed]}
    assert found("verb=user.change&verb=auth.sign_in") == {ids[changed], ids[tried]}
    assert found("outcome=denied") == {ids[tried], ids[denied]}
    assert found(f"actor={outsider.pk}") == {ids[denied]}
    assert found(f"subject={member.pk}") == {ids[changed], ids[denied]}
    assert found("search=nobody") == {ids[tried]}
    assert found("search=member") == {ids[changed], ids[denied]}
    assert found("search=request-1234") == {ids[changed], ids[denied]}
    assert found(f"search={tried.pk}") == {ids[tried]}
    assert found("search=nothing") == set()
    moment = denied.created_at.isoformat().replace("+", "%2B")
    assert found(f"since={moment}") == {ids[denied]}
    assert found(f"until={moment}") == {ids[changed], ids[tried]}


@pytest.mark.parametrize("query", ["verb=nothing", "outcome=nothing", "actor=x", "since=x", "cursor=x"])
@pytest.mark.django_db
def test_what_cannot_be_understood_is_refused(api: Api, admin: User, query: str) -> None:
    assert api(admin).get(f"{LIST}?{query}").status_code == 400


@pytest.mark.django_db
def test_pages_are_read_by_cursor_with_few_questions(
    api: Api, admin: User, member: User, django_assert_max_num_queries: Any
) -> None:
    for _number in range(5):
        _record(admin, member)
    client = api(admin)
    with django_assert_max_num_queries(2):
        first = client.get(f"{LIST}?page_size=2").json()
    second = client.get(first["next"]).json()
    assert len({row["id"] for row in first["results"] + second["results"]}) == 4


def _body(response: Any) -> bytes:
    return b"".join(response.streaming_content)


@pytest.mark.django_db
def test_a_download_verifies_and_is_recorded(api: Api, admin: User, member: User, tmp_path: Path) -> None:
    for _number in range(3):
        _record(admin, member)
    response = api(admin).get(f"{EXPORT}?verb=user.change")
    assert (response["Content-Type"], response["Cache-Control"]) == ("application/x-ndjson", "no-store")
    file = tmp_path / "audit.jsonl"
    file.write_bytes(_body(response))
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [row.get("verb") for row in rows] == ["user.change"] * 3 + [None]
    call_command("verify_audit", export=file)
    event = AuditEvent.objects.get(verb="audit.export")
    assert (event.actor_id, event.changes["filters"]) == (admin.pk, {"verb": ["user.change"]})


@pytest.mark.django_db
def test_a_download_can_be_a_table(api: Api, admin: User, member: User) -> None:
    _record(admin, member)
    lines = _body(api(admin).get(f"{EXPORT}?as=csv&verb=user.change")).decode().splitlines()
    assert (len(lines), "changed a user" in lines[1]) == (2, True)
    assert api(admin).get(f"{EXPORT}?as=xml").status_code == 400


@pytest.mark.django_db(transaction=True)
def test_a_real_server_streams_downloads(admin: User, member: User, client_of: Any) -> None:
    for _number in range(3):
        _record(admin, member)
    client: httpx.Client = client_of(admin)
    lines = client.get(f"{EXPORT}?verb=user.change").text.splitlines()
    assert [json.loads(line).get("position") for line in lines] == [1, 2, 3, None]
    answer = client.get(MINE)
    assert (answer.status_code, answer.content[:2]) == (200, b"PK")
    assert client.get(MINE).status_code == 429
