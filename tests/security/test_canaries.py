"""Secrets stay where they belong: not in the database in clear, nor in anything that the platform shows or writes."""

from __future__ import annotations

import base64
import re
import secrets
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret

from accounts.audit import SYSTEM
from accounts.issuing import issue_api_key
from accounts.models import User
from agents.webhooks.models import Endpoint
from agents.webhooks.services import Wishes, register_endpoint, rotate_task_secret
from tests.accounts.canaries import every_value
from tests.site import Site, running

pytestmark = pytest.mark.once

AGENT = "tests.security.confessor"
CHANGELIST = re.compile(r'href="(/admin/[a-z_]+/[a-z_]+/)"')
ROW = re.compile(r'href="(/admin/[a-z_]+/[a-z_]+/[^"/?]+/change/)')


def _forms(secret: str) -> set[bytes]:
    """How a secret may stand somewhere without being hidden."""
    raw = secret.encode()
    return {raw, raw.hex().encode(), base64.b64encode(raw), base64.urlsafe_b64encode(raw).rstrip(b"=")}


@pytest.mark.django_db
def test_a_dump_after_a_hundred_keys_and_twenty_secrets_holds_none_of_them(member: User) -> None:
    issued = [issue_api_key(owner=member, name=f"key {n}", actor=SYSTEM).key for n in range(100)]
    told = [
        register_endpoint(owner=member, wishes=Wishes(f"https://8.8.8.8/{n}"), actor=SYSTEM).secret for n in range(18)
    ]
    told.append(rotate_task_secret(owner=member, actor=SYSTEM).secret)
    told.append(generate_totp_secret())
    TOTP.activate(member, told[-1])
    hidden = [key.rsplit("_", 1)[1] for key in issued] + [secret.removeprefix("whsec_") for secret in told]
    assert len(set(hidden)) == 120
    dump = b"\n".join(every_value())
    # What may be found is: the dump is one.
    assert all(key.split("_")[1].encode() in dump for key in issued)
    assert Endpoint.objects.count() == 18
    assert [secret for secret in hidden if any(form in dump for form in _forms(secret))] == []


def _signed_in(site: Site, password: str) -> httpx.Client:
    """A browser's worth of cookies, as the user `admin`."""
    client = httpx.Client(base_url=f"http://127.0.0.1:{site.port}", follow_redirects=True, timeout=60)
    page = client.get("/account/login/").text
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert token is not None
    form = {"csrfmiddlewaretoken": token[1], "login": "admin", "password": password}
    assert client.post("/account/login/", data=form).url.path == "/"
    return client


def _admin_pages(client: httpx.Client) -> Iterator[tuple[str, str]]:
    """Every list of the admin, and the page of the first row of each."""
    for address in sorted(set(CHANGELIST.findall(client.get("/admin/").text))):
        shown = client.get(address)
        assert shown.status_code == 200, address
        yield address, shown.text
        if row := ROW.search(shown.text):
            page = client.get(row[1])
            assert page.status_code == 200, row[1]
            yield row[1], page.text


def _kept(home: Path) -> Mapping[str, str]:
    lines = (home / "environment").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def test_nothing_that_the_platform_shows_or_writes_holds_a_planted_secret(tmp_path: Path) -> None:
    planted = {name: f"canary{secrets.token_hex(12)}" for name in ("OPENAI_API_KEY", "MUTIRAO_METRICS_TOKEN")}
    password = f"canary-{secrets.token_hex(8)}"
    environ = {"MUTIRAO_APPS": AGENT, "MUTIRAO_ADMIN_PASSWORD": password, **planted}
    with running(tmp_path, **environ) as site:
        key = site.make_key()
        pair = site.request("POST", "/api/v1/auth/token", {"username": "admin", "password": password})[1]
        hook = site.request("POST", "/api/v1/webhooks", {"url": "https://8.8.8.8/hook"})[1]["secret"]
        kept = _kept(tmp_path)
        canaries = planted | {
            "password": password,
            "API key": key.rsplit("_", 1)[1],
            "access token": pair["access"].rsplit(".", 1)[1],
            "refresh token": pair["refresh"].rsplit(".", 1)[1],
            "webhook secret": hook.removeprefix("whsec_"),
            **{name: kept[name].strip("'\"") for name in ("SECRET_KEY", "JWT_SIGNING_KEY", "MUTIRAO_ENCRYPTION_KEYS")},
        }
        body = {"agent": "confessor", "input": {"text": f"Bearer {pair['access']} {key} {hook}"}, "max_attempts": 1}
        status, task = site.request("POST", "/api/v1/tasks", body, Prefer="wait=60")
        assert (status, task["status"], task["error"]["type"]) == (200, "failed", "RuntimeError")
        shown = {
            f"API {path}": str(site.request("GET", f"/api/v1/{path}")[1]) for path in ("me", "api-keys", "webhooks")
        }
        # What a person says to an agent is theirs, and shown to them; what the platform says of it is what counts.
        shown["error"] = str(site.request("GET", f"/api/v1/tasks/{task['id']}")[1]["error"])
        with closing(_signed_in(site, password)) as client:
            pages = dict(_admin_pages(client))
        exported = tmp_path / "export.yaml"
        assert site.manage("export", str(exported)).returncode == 0
        doctor = site.manage("doctor", "--json").stdout
    assert len(canaries) == 10
    assert len(pages) >= 25
    shown |= {"export": exported.read_text(), "doctor": doctor, "log": "\n".join(site.lines)}
    shown |= {address: _without_input(text) for address, text in pages.items()}
    with closing(sqlite3.connect(tmp_path / "mutirao.sqlite3")) as rows:
        for table in ("django_celery_results_taskresult", "telemetry_span", "agents_tasks_attempt"):
            shown[table] = str(rows.execute(f"SELECT * FROM {table}").fetchall())  # noqa: S608
            assert len(shown[table]) > 10, table
    assert "RuntimeError" in shown["agents_tasks_attempt"]
    assert {where: found for where, text in shown.items() if (found := _found(canaries, text))} == {}


def _found(canaries: Mapping[str, str], text: str) -> list[str]:
    return [name for name, secret in canaries.items() if secret in text]


def _without_input(page: str) -> str:
    """The page without what the person said."""
    return re.sub(r"Bearer eyJ[^\n<]*", "", page)
