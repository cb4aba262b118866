"""What the doctor says of those who watch, and of what is late."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils.timezone import now

from accounts.models import User
from agents.definitions.models import Agent, AgentVersion
from agents.tasks import storage
from agents.tasks.models import Task
from agents.tasks.services import submit
from agents.worker.models import WorkerProcess
from mutirao import checks, diagnosis, measures
from mutirao import diagnosis_telemetry as watching
from mutirao.embedded import free_port
from mutirao.findings import Finding, Level
from tests.telemetry.ingest import ingest


def _only(found: Iterator[Finding]) -> Finding:
    [finding] = found
    assert finding.advice or finding.level is Level.OK
    return finding


def test_what_is_off_is_well_and_said(settings: Any) -> None:
    settings.SENTRY_DSN, settings.LANGSMITH_TRACING = "", False
    assert _only(watching.sentry()).level is Level.OK
    assert _only(watching.langsmith()).level is Level.OK


def test_what_is_on_and_away_is_a_warning_that_shows_no_key(settings: Any) -> None:
    settings.SENTRY_DSN = f"http://the-key@127.0.0.1:{free_port()}/7"
    settings.LANGSMITH_TRACING, settings.LANGSMITH_ENDPOINT = True, f"http://127.0.0.1:{free_port()}"
    for finding in (_only(watching.sentry()), _only(watching.langsmith())):
        assert finding.level is Level.WARNING
        assert "the-key" not in f"{finding.sentence}{finding.advice}"


@pytest.mark.parametrize("endpoint", ["file:///etc", "nonsense", ""])
def test_an_endpoint_that_is_none_is_a_warning(settings: Any, endpoint: str) -> None:
    settings.LANGSMITH_TRACING, settings.LANGSMITH_ENDPOINT = True, endpoint
    assert _only(watching.langsmith()).level is Level.WARNING


def test_what_is_on_and_there_is_well(settings: Any) -> None:
    with ingest() as server:
        settings.SENTRY_DSN = server.dsn
        settings.LANGSMITH_TRACING, settings.LANGSMITH_ENDPOINT = True, server.url
        assert _only(watching.sentry()).level is Level.OK
        assert _only(watching.langsmith()).level is Level.OK


def test_the_folder_of_the_metrics(settings: Any, tmp_path: Path) -> None:
    settings.METRICS_DIR = tmp_path
    assert _only(watching.metrics()).level is Level.OK
    for number in range(watching.MANY_METRIC_FILES + 1):
        (tmp_path / f"counter_{number}.db").touch()
    assert _only(watching.metrics()).level is Level.WARNING
    settings.METRICS_DIR = None
    assert _only(watching.metrics()).level is Level.WARNING


@pytest.mark.parametrize(
    ("seconds", "level"), [(0.1, Level.OK), (-5, Level.WARNING), (5, Level.WARNING), (60, Level.CRITICAL)]
)
def test_clocks_that_disagree(monkeypatch: pytest.MonkeyPatch, seconds: float, level: Level) -> None:
    class Elsewhere:
        vendor = "postgresql"

    monkeypatch.setattr(watching, "connection", Elsewhere())
    monkeypatch.setattr(storage, "read_clock", lambda: now() + timedelta(seconds=seconds))
    assert _only(watching.clocks()).level is level


@pytest.fixture
def late(member: User) -> Task:
    """A task that has waited for half an hour."""
    agent = Agent.objects.create(slug="echo", name="Echo")
    agent.current_version = AgentVersion.objects.create(agent=agent, number=1, digest="d" * 64, model="scripted:echo")
    agent.save()
    task = submit(owner=member, agent=agent, input="oi").task
    Task.objects.filter(pk=task.pk).update(created_at=now() - timedelta(minutes=30))
    return task


def test_a_queue_that_is_very_late_is_critical_and_says_how_late(late: Task) -> None:
    finding = _only(diagnosis._tasks())
    assert finding.level is Level.CRITICAL
    assert "the oldest for 1800 s" in finding.sentence


def test_a_worker_that_has_vanished_is_named(db: None) -> None:
    WorkerProcess.objects.create(name="gone-1", pid=1, threads=4, polled_at=now() - timedelta(minutes=5))
    WorkerProcess.objects.create(name="here-2", pid=2, threads=4, polled_at=now())
    alive, vanished = diagnosis._workers()
    assert (alive.level, vanished.level) == (Level.OK, Level.WARNING)
    assert "gone-1" in vanished.sentence
    assert "here-2" not in vanished.sentence


def test_the_whole_system_is_asked_one_query_for_each_question(late: Task, django_assert_num_queries: Any) -> None:
    Task.objects.filter(pk=late.pk).update(queue="a-queue")
    WorkerProcess.objects.create(name="here", pid=2, threads=4, polled_at=now())
    for ask in (measures.queues, measures.leases, measures.workers):
        with django_assert_num_queries(1):
            [*ask()]
    found = {sample.name: (sample.labels, sample.value) for family in measures.queues() for sample in family.samples}
    assert found["mutirao_queue_depth"] == ({"queue": "a-queue"}, 1)
    assert 1795 < found["mutirao_queue_oldest_age_seconds"][1] < 1860
    Task.objects.filter(pk=late.pk).update(not_before=now() + timedelta(hours=1))
    found = {sample.name: (sample.labels, sample.value) for family in measures.queues() for sample in family.samples}
    assert (found["mutirao_queue_depth"][1], found["mutirao_queue_later"][1]) == (0, 1)
    assert found["mutirao_queue_oldest_age_seconds"][1] == 0


@pytest.mark.parametrize(
    ("changes", "number"),
    [
        ({"METRICS_ALLOW": ["10.0.0.0/8", "not-a-network"]}, "mutirao.E012"),
        ({"SENTRY_PROBLEM": "BadDsn"}, "mutirao.E010"),
        ({"LANGSMITH_TRACING": True, "LANGSMITH_HAS_KEY": False}, "mutirao.E011"),
    ],
)
def test_a_setting_that_cannot_be_understood_is_a_named_error(
    settings: Any, changes: dict[str, Any], number: str
) -> None:
    assert checks.telemetry(None) == []
    for name, value in changes.items():
        setattr(settings, name, value)
    assert [error.id for error in checks.telemetry(None)] == [number]
