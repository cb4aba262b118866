"""A person's data as a file: everything, no secret, nothing of others."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from accounts import audit, personal_data
from accounts.models import ApiKey, AuditEvent, User
from accounts.privacy import holdings
from agents.webhooks.models import Endpoint, TaskSecret
from tests.accounts.canaries import CANARIES, canaries_in


def _parts(content: bytes) -> dict[str, Any]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name).decode() for name in archive.namelist()}


@pytest.mark.django_db
def test_an_export_has_everything_of_the_person_and_nothing_of_others(
    person: User, operator: User, tmp_path: Path
) -> None:
    file = tmp_path / "person.zip"
    call_command("export_person", user=person.username, output=file)
    assert file.stat().st_mode & 0o777 == 0o600
    parts = _parts(file.read_bytes())
    manifest = json.loads(parts.pop("manifest.json"))
    assert {*parts} == {f"{holding.name}.jsonl" for holding in holdings()}
    for name, text in parts.items():
        rows = [json.loads(line) for line in text.splitlines()]
        assert manifest["parts"][name]["rows"] == len(rows) > 0, name
    everything = "\n".join(parts.values())
    assert canaries_in(everything) == CANARIES
    assert "of somebody else" not in everything


@pytest.mark.django_db
def test_an_export_holds_no_secret(person: User, tmp_path: Path) -> None:
    endpoint, key = Endpoint.objects.get(), ApiKey.objects.get(owner=person)
    secrets = [endpoint.secret, TaskSecret.objects.get().secret, key.digest, person.password, "sealed", "s" * 32]
    text = "\n".join(_parts(b"".join(personal_data.export_person(user=person, actor=audit.SYSTEM))).values())
    assert [secret for secret in secrets if secret in text] == []


@pytest.mark.django_db
def test_a_file_that_is_there_is_not_overwritten(member: User, tmp_path: Path) -> None:
    file = tmp_path / "person.zip"
    file.write_text("precious")
    with pytest.raises(CommandError, match="cannot be written"):
        call_command("export_person", user="member", output=file)
    assert file.read_text() == "precious"


@pytest.mark.django_db
def test_my_data_is_mine_once_an_hour_after_the_password(client: Client, member: User) -> None:
    client.force_login(member)
    address = reverse("pages:my-data")
    assert client.get(address).status_code == 405
    assert "/account/reauthenticate/" in client.post(address)["Location"]
    assert AuditEvent.objects.filter(verb="privacy.export").count() == 0
    client.post("/account/reauthenticate/", {"password": "member-password-1"})
    response = client.post(address)
    assert (response.status_code, response["Content-Type"]) == (200, "application/zip")
    assert "member" in _parts(b"".join(response.streaming_content))["profile.jsonl"]  # type: ignore[attr-defined]
    again = client.post(address, follow=True)
    assert "less than an hour ago" in again.content.decode()
    assert AuditEvent.objects.filter(verb="privacy.export", actor_id=member.pk).count() == 1


@pytest.mark.django_db
def test_an_administrator_downloads_the_data_of_a_person(client: Client, admin: User, person: User) -> None:
    client.force_login(admin)
    address = reverse("admin:accounts_user_download", args=[person.pk])
    assert client.get(address).status_code == 302
    for _turn in range(2):
        assert _parts(b"".join(client.post(address).streaming_content))["tasks.jsonl"]  # type: ignore[attr-defined]
    assert AuditEvent.objects.filter(verb="privacy.export", subject_id=person.pk, actor_id=admin.pk).count() == 2
