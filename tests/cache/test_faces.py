"""The cache as people see it: API and admin."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEvent, User
from agents.cache import tags
from agents.cache.models import CacheEntry, CacheEpoch, Calibration, EntryTag, Trial
from agents.definitions.models import Agent
from agents.definitions.services import create_agent, publish_version
from tests.conftest import Api

pytestmark = pytest.mark.django_db
ENTRIES = "/api/v1/cache/entries"


def _entry(owner: User, *, tag: str = "", agent_id: uuid.UUID | None = None, version_id: Any = None) -> CacheEntry:
    now = timezone.now()
    entry = CacheEntry.objects.create(
        scope="s", exact=uuid.uuid4().hex, agent_id=agent_id or uuid.uuid4(),
        agent_version_id=version_id or uuid.uuid4(), owner_id=owner.pk, asked_by_id=owner.pk, target="scripted:echo",
        question="When do you open?",
        dialogue=[{"role": "user", "content": "When do you open?"}],
        answer={"message": {"content": "At nine.", "whole": True}, "pieces": []},
        stale_at=now + timedelta(hours=1), expires_at=now + timedelta(days=1),
    )  # fmt: skip
    if tag:
        EntryTag.objects.create(entry=entry, tag=tag)
    return entry


def test_everybody_sees_their_own_answers_and_whoever_may_sees_all(
    api: Api, member: User, operator: User, admin: User
) -> None:
    mine, theirs = _entry(member), _entry(admin)
    found = api(member).get(ENTRIES).json()["results"]
    assert [each["id"] for each in found] == [str(mine.pk)]
    assert "answer" not in found[0]
    assert api(member).get(f"{ENTRIES}/{theirs.pk}").status_code == 404
    assert api(member).get(f"{ENTRIES}/{mine.pk}").json()["answer"]["message"]["content"] == "At nine."
    assert {each["id"] for each in api(admin).get(ENTRIES).json()["results"]} == {str(mine.pk), str(theirs.pk)}


def test_ones_own_answer_can_be_removed(api: Api, member: User, admin: User) -> None:
    mine, theirs = _entry(member), _entry(admin)
    assert api(member).delete(f"{ENTRIES}/{mine.pk}").status_code == 204
    assert api(member).delete(f"{ENTRIES}/{theirs.pk}").status_code == 404
    assert {*CacheEntry.objects.filter(evicted_at=None).values_list("pk", flat=True)} == {theirs.pk}
    assert AuditEvent.objects.filter(verb="cache.evict").count() == 1


def test_many_are_removed_by_tag_agent_or_knowledge(api: Api, admin: User, member: User) -> None:
    agent = Agent.objects.create(slug="opening", name="Opening")
    _entry(member, tag="prices")
    _entry(member, agent_id=agent.pk)
    _entry(member, tag=tags.of_knowledge("handbook"))
    kept = _entry(member)
    _entry(admin)
    for body in ({"tag": "prices"}, {"agent": "opening"}, {"person": "admin"}, {"knowledge": "handbook"}):
        answer = api(admin).post("/api/v1/cache/evictions", body, format="json")
        assert (answer.status_code, answer.json()) == (200, {"evicted": 1}), body
    assert [*CacheEntry.objects.live().values_list("pk", flat=True)] == [kept.pk]
    for wrong in ({}, {"tag": "a", "agent": "b"}):
        assert api(admin).post("/api/v1/cache/evictions", wrong, format="json").status_code == 400
    for nobody in ("agent", "person"):
        assert api(admin).post("/api/v1/cache/evictions", {nobody: "nobody"}, format="json").status_code == 404
    assert api(member).post("/api/v1/cache/evictions", {"tag": "a"}, format="json").status_code == 403


def test_those_of_one_version_are_removed_alone(api: Api, admin: User, member: User) -> None:
    agent = create_agent(slug="opening")
    first, second = agent.current_version, publish_version(agent=agent, system_prompt="Be brief.")
    assert first is not None
    entries = [_entry(member, agent_id=agent.pk, version_id=each.pk) for each in (first, second)]
    body = {"agent": "opening", "version": 1}
    assert api(admin).post("/api/v1/cache/evictions", body, format="json").json() == {"evicted": 1}
    assert CacheEntry.objects.live().get() == entries[1]
    assert AuditEvent.objects.get(verb="cache.evict").changes["version"] == "1"
    for wrong, status in (({**body, "version": 9}, 404), ({"version": 1}, 400), ({**body, "version": 0}, 400)):
        assert api(admin).post("/api/v1/cache/evictions", wrong, format="json").status_code == status


def test_saying_that_knowledge_has_changed_takes_its_own_right(api: Api, member: User) -> None:
    member.user_permissions.add(Permission.objects.get(codename="change_cacheentry"))
    body = {"knowledge": "handbook"}
    assert api(member).post("/api/v1/cache/evictions", body, format="json").status_code == 403
    member.user_permissions.add(Permission.objects.get(codename="change_cacheepoch"))
    person = User.objects.get(pk=member.pk)
    assert api(person).post("/api/v1/cache/evictions", body, format="json").status_code == 200


def test_statistics_and_calibrations_are_for_whoever_may_see_them(api: Api, admin: User, member: User) -> None:
    row = Calibration.objects.create(agent_id=uuid.uuid4(), verifier="v", error_target=0.01, threshold=0.9, is_off=True)
    found = api(admin).get("/api/v1/cache/statistics?days=7").json()
    assert (found["live_entries"], found["hit_rate"]) == (0, 0.0)
    listed = api(admin).get("/api/v1/cache/calibrations").json()["results"]
    assert [(each["id"], each["is_off"]) for each in listed] == [(str(row.pk), True)]
    for address in ("statistics", "calibrations"):
        assert api(member).get(f"/api/v1/cache/{address}").status_code == 403
    assert api(member).post(f"/api/v1/cache/calibrations/{row.pk}/start").status_code == 403


def test_the_admin_shows_and_evicts(client: Client, admin: User, member: User) -> None:
    entry = _entry(member, tag="prices")
    row = Calibration.objects.create(agent_id=uuid.uuid4(), verifier="v", error_target=0.01, threshold=0.9)
    Trial.objects.create(
        calibration=row, entry_id=entry.pk, score=0.93, was_served=True, is_right=False, source="feedback"
    )
    client.force_login(admin)
    assert b"When do you open?" in client.get("/admin/agents_cache/cacheentry/").content
    page = client.get(f"/admin/agents_cache/cacheentry/{entry.pk}/change/").content
    assert b"At nine." in page
    assert b"prices" in page
    assert b"0.930" in page
    assert client.get("/admin/agents_cache/calibration/").status_code == 200
    assert client.get(f"/admin/agents_cache/calibration/{row.pk}/change/").status_code == 200
    chosen = {"action": "evict_entries", "_selected_action": [str(entry.pk)], "confirmed": "yes"}
    assert client.post("/admin/agents_cache/cacheentry/", chosen).status_code == 302
    entry.refresh_from_db()
    assert entry.evicted_because == CacheEntry.Evicted.OPERATOR


def test_why_a_tier_is_off_stands_in_the_admin_in_the_readers_language(client: Client, admin: User) -> None:
    row = Calibration.objects.create(
        agent_id=uuid.uuid4(), verifier="v", error_target=0.01, threshold=0.9, is_off=True, trials=9, errors=5
    )
    client.force_login(admin)
    address = f"/admin/agents_cache/calibration/{row.pk}/change/"
    assert "turned off. 5 of 9 answers that were asked again were wrong" in client.get(address).content.decode()
    client.cookies["django_language"] = "pt-br"
    assert "5 de 9" in client.get(address).content.decode()


def test_an_operator_says_in_the_admin_that_knowledge_has_changed(client: Client, admin: User, member: User) -> None:
    first, second = (_entry(member, tag=tags.of_knowledge("handbook")) for _ in range(2))
    address = "/admin/agents_cache/cacheepoch/"
    CacheEntry.objects.filter(pk=second.pk).update(evicted_at=timezone.now(), evicted_because="tag")
    client.force_login(admin)
    assert client.post(f"{address}add/", {"name": "handbook"}).status_code == 302
    first.refresh_from_db()
    assert first.evicted_because == CacheEntry.Evicted.EPOCH
    CacheEntry.objects.filter(pk=second.pk).update(evicted_at=None, evicted_because="")
    chosen = {"action": "say_changed", "_selected_action": ["handbook"]}
    assert "Has this knowledge changed?" in client.post(address, chosen).content.decode()
    assert client.post(address, {**chosen, "confirmed": "yes"}).status_code == 302
    second.refresh_from_db()
    assert second.evicted_because == CacheEntry.Evicted.EPOCH
    assert CacheEpoch.objects.get().number == 2
    assert AuditEvent.objects.filter(verb="cache.epoch").count() == 2
    auditor = User.objects.create_user("auditor", password="auditor-password-1", is_staff=True)
    auditor.user_permissions.add(Permission.objects.get(codename="view_cacheepoch"))
    client.force_login(auditor)
    assert client.get(address).status_code == 200
    assert client.get(f"{address}add/").status_code == 403
