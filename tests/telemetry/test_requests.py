"""What every request leaves behind, and what none may."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families
from rest_framework.test import APIClient

from accounts.models import User
from accounts.views import Me
from agents.definitions.models import Agent, AgentVersion
from agents.tasks.models import Task
from foundation import threads
from foundation.asgi import Handler
from telemetry import health, metrics, spans
from telemetry.context import ids, user_id_of
from telemetry.models import Span
from telemetry.spans import flush_spans, request_span_id
from telemetry.traceparent import TraceParent, parse
from tests.conftest import Api

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEADER = f"00-{TRACE}-{CALLER}-01"


@pytest.fixture(autouse=True)
def _nothing_pending() -> Iterator[None]:
    spans._pending.clear()
    yield
    spans._pending.clear()


@pytest.fixture
def agent(db: None) -> Agent:
    """An agent that nobody runs."""
    made = Agent.objects.create(slug="echo", name="Echo")
    made.current_version = AgentVersion.objects.create(agent=made, number=1, digest="d" * 64, model="scripted:echo")
    made.save()
    return made


def _count(name: str, **labels: str) -> float:
    text = Client().get("/metrics").content.decode()
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (HEADER, TraceParent(TRACE, CALLER, is_sampled=True)),
        (f" 00-{TRACE}-{CALLER}-00 ", TraceParent(TRACE, CALLER, is_sampled=False)),
        (f"cc-{TRACE}-{CALLER}-01-what-comes-later", TraceParent(TRACE, CALLER, is_sampled=True)),
        (f"00-{TRACE}-{CALLER}-01-more", None),
        (f"ff-{TRACE}-{CALLER}-01", None),
        (f"00-{'0' * 32}-{CALLER}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-{CALLER}-01", None),
        ("", None),
        ("00-", None),
    ],
)
def test_a_traceparent_is_read_as_w3c_says(header: str, found: TraceParent | None) -> None:
    assert parse(header) == found


@pytest.mark.django_db
class TestSpans:
    def test_a_submission_continues_its_callers_trace_and_its_task_belongs_to_it(
        self, api: Api, admin: User, agent: Agent
    ) -> None:
        response = api(admin).post(
            "/api/v1/tasks", {"agent": "echo", "input": "oi"},
            headers={"traceparent": HEADER, "X-Request-ID": "a-request-of-this-test"},
        )  # fmt: skip
        assert response.status_code == 202
        flush_spans()
        kept = Span.objects.get()
        assert (kept.kind, kept.name, kept.status) == ("request", "POST /api/v1/tasks", "ok")
        assert (kept.trace_id, kept.parent_id) == (TRACE, CALLER)
        assert kept.span_id == request_span_id(TRACE, "a-request-of-this-test")
        assert kept.attributes == {"status": 202, "request_id": "a-request-of-this-test"}
        task = Task.objects.get()
        assert (task.trace_id, task.request_id) == (TRACE, "a-request-of-this-test")

    def test_what_only_reads_or_is_refused_leaves_no_span(self, api: Api, admin: User) -> None:
        assert api(admin).get("/api/v1/me").status_code == 200
        assert APIClient().post("/api/v1/tasks", {}, headers={"traceparent": HEADER}).status_code == 401
        assert APIClient().get("/api/v1/me", headers={"traceparent": HEADER}).status_code == 401
        assert Client().get("/healthz", headers={"traceparent": HEADER}).status_code == 200
        assert flush_spans() == 0

    def test_a_reading_that_its_caller_records_is_kept(self, api: Api, admin: User) -> None:
        assert api(admin).get("/api/v1/me", headers={"traceparent": HEADER}).status_code == 200
        assert flush_spans() == 1


def _scope(path: str) -> dict[str, Any]:
    return {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "path": path,
        "query_string": b"", "headers": [(b"host", b"127.0.0.1")], "client": ("127.0.0.1", 1), "server": ("h", 1),
    }  # fmt: skip


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("path", "status", "most"), [("/healthz", 200, 0), ("/api/v1/me", 401, 1)])
async def test_telling_the_story_visits_no_thread(
    monkeypatch: pytest.MonkeyPatch, path: str, status: int, most: int
) -> None:
    """A visit for each layer was half of the hot path's time; an API view makes one, for itself."""
    visits: list[object] = []
    submit = threads.RequestThread.submit

    def counted(self: threads.RequestThread, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        visits.append(fn)
        return submit(self, fn, *args, **kwargs)

    monkeypatch.setattr(threads.RequestThread, "submit", counted)
    arrived = iter([{"type": "http.request", "body": b"", "more_body": False}])
    sent: list[Any] = []

    async def receive() -> Any:
        if (message := next(arrived, None)) is not None:
            return message
        return await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    await Handler()(_scope(path), receive, send)
    assert sent[0]["status"] == status
    assert len(visits) <= most


@pytest.mark.django_db
def test_requests_are_counted_by_pattern_and_strangers_cannot_make_up_labels(api: Api, admin: User) -> None:
    before = _count("mutirao_requests_total", route="api/v1/me", status="200")
    api(admin).get("/api/v1/me")
    assert _count("mutirao_requests_total", route="api/v1/me", status="200") == before + 1
    unknown = _count("mutirao_requests_total", route="unknown", method="OTHER")
    Client().generic("BREW", "/a-pot-of-tea")
    Client().generic("BREW", "/api/v1/a-pot-of-tea")
    assert _count("mutirao_requests_total", route="unknown", method="OTHER") == unknown + 1
    assert "a-pot-of-tea" not in Client().get("/metrics").content.decode()


@pytest.mark.django_db
class TestWhoMayReadMetrics:
    @pytest.mark.parametrize(
        ("address", "headers", "status"),
        [
            ("127.0.0.1", {}, 200),
            ("::1", {}, 200),
            ("::ffff:127.0.0.1", {}, 200),
            ("10.1.2.3", {}, 200),
            ("192.0.2.7", {}, 200),
            ("192.0.2.8", {}, 403),
            ("not an address", {}, 403),
            ("192.0.2.8", {"Authorization": "Bearer the-token"}, 200),
            ("192.0.2.8", {"Authorization": "Bearer another"}, 403),
            ("192.0.2.8", {"Authorization": "Basic the-token"}, 403),
            # It came through a proxy that nobody has told us of: everybody would look local.
            ("127.0.0.1", {"X-Forwarded-For": "192.0.2.8"}, 403),
            ("127.0.0.1", {"Forwarded": "for=192.0.2.8"}, 403),
        ],
    )
    def test_this_machine_named_networks_and_the_token(
        self, settings: Any, address: str, headers: dict[str, str], status: int
    ) -> None:
        settings.METRICS_ALLOW, settings.METRICS_TOKEN = ["10.0.0.0/8", "192.0.2.7"], "the-token"
        response = Client(REMOTE_ADDR=address).get("/metrics", headers=headers)
        assert response.status_code == status
        assert (b"mutirao_" in response.content) is (status == 200)

    def test_without_a_token_no_bearer_is_right(self, settings: Any) -> None:
        settings.METRICS_TOKEN = ""
        for given in ("Bearer ", "Bearer", "Bearer x"):
            response = Client(REMOTE_ADDR="192.0.2.8").get("/metrics", headers={"Authorization": given})
            assert response.status_code == 403

    @pytest.mark.parametrize(
        ("forwarded", "status"),
        [("127.0.0.1, 192.0.2.8", 403), ("192.0.2.8, 10.1.2.3", 200), ("junk", 403), ("", 200)],
    )
    def test_behind_a_proxy_what_the_proxy_has_seen_counts(self, settings: Any, forwarded: str, status: int) -> None:
        settings.METRICS_ALLOW, settings.TRUSTED_PROXIES = ["10.0.0.0/8"], 1
        headers = {"X-Forwarded-For": forwarded} if forwarded else {}
        assert Client().get("/metrics", headers=headers).status_code == status


@pytest.mark.django_db
def test_metrics_go_on_when_the_database_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> list[Any]:
        raise OperationalError

    monkeypatch.setitem(metrics._system, "queues", refuse)
    assert _count("mutirao_system_answered", about="queues") == 0
    assert _count("mutirao_system_answered", about="leases") == 1


@pytest.mark.django_db
def test_readyz_does_not_tell_strangers_where_the_database_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> str:
        raise OperationalError("connection to db.internal failed for user mutirao")

    monkeypatch.setitem(health._checks, "database", refuse)
    response = Client().get("/readyz")
    assert response.status_code == 503
    assert response.json()["failures"]["database"] == "It does not answer; the log of this process says why."
    assert "db.internal" not in response.content.decode()


@pytest.mark.django_db
def test_the_user_is_on_every_line_once_they_are_known(api: Api, admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, str]] = []
    original = Me.get

    def get(self: Me, request: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append(ids())
        return original(self, request, *args, **kwargs)

    monkeypatch.setattr(Me, "get", get)
    api(admin).get("/api/v1/me", headers={"X-Request-ID": "a-request-of-this-test", "traceparent": HEADER})
    assert seen == [{"request_id": "a-request-of-this-test", "trace_id": TRACE, "user_id": str(admin.pk)}]


@pytest.mark.django_db
def test_the_user_of_a_page_is_known_without_asking_the_database(admin: User) -> None:
    browser = Client()
    browser.force_login(admin)
    response = browser.get("/admin/login/", follow=False)
    assert user_id_of(response.wsgi_request) in ("", str(admin.pk))
    page = browser.get("/admin/")
    assert user_id_of(page.wsgi_request) == str(admin.pk)
