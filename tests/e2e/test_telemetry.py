"""One story over all processes, and figures that add up: a whole platform, watched from outside."""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mutirao.embedded import free_port
from tests.pairs import metrics_of, second_pair, total
from tests.site import Site, running
from tests.telemetry.ingest import ingest

TASKS = "/api/v1/tasks"
TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"
FULL_SIZE = os.environ.get("MUTIRAO_FULL_SIZE") == "1"
# The figures are ten times these; `MUTIRAO_FULL_SIZE=1` sends those.
REQUESTS, SUBMITTED = (1_000, 200) if FULL_SIZE else (100, 20)


def _send(site: Site, count: int, statuses: list[int], make: Any) -> None:
    connection = site.connect()
    for number in range(count):
        response = site.send(connection, *make(number))
        response.read()
        statuses.append(response.status)
    connection.close()


@pytest.mark.timeout(600)
@pytest.mark.queueing
def test_the_metrics_of_two_webs_and_two_workers_are_exactly_what_was_sent(own_site: Site) -> None:
    with second_pair(own_site) as other:
        before = after = metrics_of(own_site)
        statuses: list[int] = []

        def reads(_number: int) -> tuple[Any, ...]:
            return ("GET", "/api/v1/me")

        def submits(number: int) -> tuple[Any, ...]:
            return ("POST", TASKS, {"agent": "one-node", "input": {"value": number}})

        plan = [(site, count // 4, make) for site in (own_site, other) for _ in range(2)
                for count, make in ((REQUESTS - SUBMITTED, reads), (SUBMITTED, submits))]  # fmt: skip
        threads = [threading.Thread(target=_send, args=(site, count, statuses, make)) for site, count, make in plan]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert Counter(statuses) == {200: REQUESTS - SUBMITTED, 202: SUBMITTED}

        def grown(name: str, *values: str) -> int:
            return total(after, name, *values) - total(before, name, *values)

        def all_done() -> bool:
            nonlocal after
            after = metrics_of(other)
            return grown("mutirao_tasks_finished_total") == SUBMITTED

        own_site.wait(all_done, within=120)
        routes = ("api/v1/me", "api/v1/tasks")
        assert sum(grown("mutirao_requests_total", route) for route in routes) == REQUESTS
        assert sum(grown("mutirao_request_seconds_count", route) for route in routes) == REQUESTS
        assert grown("mutirao_requests_total", "POST", "202") == SUBMITTED
        assert grown("mutirao_tasks_submitted_total", "one-node") == SUBMITTED
        assert grown("mutirao_tasks_started_total", "one-node") == SUBMITTED
        assert grown("mutirao_tasks_finished_total", "one-node", "succeeded") == SUBMITTED
        assert grown("mutirao_attempt_seconds_count", "one-node", "succeeded") == SUBMITTED
        assert total(after, "mutirao_attempts_running") == 0
        assert total(after, "mutirao_queue_depth") == 0
        assert total(after, "mutirao_worker_up") == 2
        # Whichever process is asked, the answer is the same.
        assert total(metrics_of(own_site), "mutirao_tasks_finished_total") == total(
            after, "mutirao_tasks_finished_total"
        )
    # More than one process has counted.
    assert len([*(own_site.home / "run" / "metrics").glob("counter_*.db")]) >= 4


def _json_lines(site: Site) -> list[dict[str, Any]]:
    found = []
    for line in site.lines:
        _, _, text = line.partition("| ")
        if text.startswith("{"):
            found.append(json.loads(text))
    return found


def _spans(site: Site, trace_id: str) -> list[dict[str, Any]]:
    code = (
        "import json; from telemetry.models import Span; "
        f"print(json.dumps([*Span.objects.filter(trace_id='{trace_id}').order_by('started_at', 'id')"
        ".values('kind', 'name', 'status', 'span_id', 'parent_id', 'attributes')]))"
    )
    ran = site.manage("shell", "--no-imports", "-c", code)
    assert ran.returncode == 0, ran.stderr
    return list(json.loads(ran.stdout.strip().splitlines()[-1]))


@pytest.mark.queueing
def test_one_chat_message_is_one_story_from_the_callers_trace_to_the_model(own_site: Site) -> None:
    conversation = own_site.request("POST", "/api/v1/conversations", {"agent": "echo"})[1]
    headers = {"traceparent": f"00-{TRACE}-{CALLER}-01", "X_Request_ID": "a-request-of-this-test", "Prefer": "wait=30"}
    path = f"/api/v1/conversations/{conversation['id']}/messages"
    status, posted = own_site.request("POST", path, {"text": "bom dia"}, **headers)
    task = posted["task"]
    assert (status, task["status"]) == (200, "succeeded")

    spans = own_site.wait(lambda: (found := _spans(own_site, TRACE)) and len(found) >= 4 and found)
    by_kind = {span["kind"]: span for span in spans}
    assert [span["kind"] for span in spans] == ["request", "task", "step", "model"]
    assert by_kind["request"]["parent_id"] == CALLER
    assert by_kind["task"]["parent_id"] == by_kind["request"]["span_id"]
    assert by_kind["step"]["parent_id"] == by_kind["task"]["span_id"]
    assert by_kind["model"]["parent_id"] == by_kind["step"]["span_id"]

    lines = [line for line in _json_lines(own_site) if line.get("trace_id") == TRACE]
    assert [line["event"] for line in lines if line["event"] != "request_answered"] == [
        "attempt_started", "attempt_ended",
    ]  # fmt: skip
    assert {line["request_id"] for line in lines} == {"a-request-of-this-test"}
    assert {line["task_id"] for line in lines if line["event"].startswith("attempt")} == {task["id"]}
    me = own_site.request("GET", "/api/v1/me")[1]["id"]
    assert {line["user_id"] for line in lines} == {me}
    answered = next(line for line in lines if line["event"] == "request_answered")
    assert (answered["status"], answered["route"]) == (200, "api/v1/conversations/<uuid:pk>/messages")

    figures = metrics_of(own_site)
    assert total(figures, "mutirao_tasks_finished_total", "echo", "succeeded") == 1
    assert total(figures, "mutirao_model_calls_total", "scripted", "echo", "succeeded") == 1
    assert total(figures, "mutirao_model_tokens_total", "output") == 2


@pytest.mark.queueing
def test_a_killed_worker_leaves_two_attempts_in_one_story(own_site: Site) -> None:
    headers = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
    body = {"agent": "traveller", "input": {"name": "story", "steps": []}}
    status, task = own_site.request("POST", TASKS, body, **headers)
    assert status == 202
    diary = own_site.home / "journey-story.txt"
    own_site.wait(lambda: diary.exists() and diary.read_text().splitlines()[-1] == "middle")
    own_site.child("worker").kill()
    own_site.wait(lambda: diary.read_text().splitlines().count("middle") == 2, within=60)
    (own_site.home / "gate-story").touch()

    def attempts() -> list[dict[str, Any]]:
        return [span for span in _spans(own_site, TRACE) if span["kind"] == "task"]

    found = own_site.wait(lambda: len(tried := attempts()) == 2 and tried, within=60)
    assert [(span["attributes"]["attempt"], span["status"]) for span in found] == [(1, "error"), (2, "ok")]
    assert found[0]["attributes"]["error"] == "WorkerLost"
    request = next(span for span in _spans(own_site, TRACE) if span["kind"] == "request")
    assert {span["parent_id"] for span in found} == {request["span_id"]}
    begun = [line for line in _json_lines(own_site) if line["event"] == "attempt_started"]
    assert [(line["attempt"], line["task_id"], line["trace_id"]) for line in begun] == [
        (1, task["id"], TRACE), (2, task["id"], TRACE),
    ]  # fmt: skip
    figures = metrics_of(own_site)
    assert total(figures, "mutirao_leases_lost_total", "sweeper") == 1
    assert total(figures, "mutirao_tasks_started_total", "traveller") == 2
    assert total(figures, "mutirao_tasks_finished_total", "traveller", "succeeded") == 1
    # The dead worker's gauge went with it.
    assert total(figures, "mutirao_attempts_running") == 0


# Ten secrets as they stand in real texts; what is between the marks may be nowhere outside the platform.
CANARIES = [f"canary{number}x7Qm2Zr9" for number in range(10)]
SAID = "\n".join(
    form.format(secret)
    for form, secret in zip(
        [
            "api_key={}",
            "Authorization: Bearer {}",
            "postgres://user:{}@db.example/x",
            '{{"password": "{}"}}',
            "mut_ab12cd34_{}",
            "sk-{}",
            "eyJhbGciOiJIUzI1NiJ9.{}.signature",
            "{{'credentials': '{}'}}",
            "the value itself: {}",
            "ghp_{}",
        ],
        CANARIES,
        strict=True,
    )
)


@contextmanager
def _watched(tmp_path: Path, **environ: str) -> Iterator[Site]:
    more = {
        "MUTIRAO_APPS": "tests.parts,tests.telemetry.leaky", "MUTIRAO_ALLOW_SCRIPTED_MODELS": "1",
        "OPENAI_API_KEY": CANARIES[8], "LANGSMITH_TRACING": "true", "LANGSMITH_API_KEY": "lsv2_pt_of_this_test_0000",
    }  # fmt: skip
    with running(tmp_path, **more, **environ) as site:
        site.make_key()
        yield site


def _say(site: Site, text: str, **options: Any) -> dict[str, Any]:
    conversation = site.request("POST", "/api/v1/conversations", {"agent": "leaky"})[1]
    headers = {"traceparent": f"00-{TRACE}-{CALLER}-01", "X_Request_ID": "a-request-of-this-test", "Prefer": "wait=60"}
    path = f"/api/v1/conversations/{conversation['id']}/messages"
    status, posted = site.request("POST", path, {"text": text, **options}, **headers)
    assert status == 200, posted
    task: dict[str, Any] = posted["task"]
    return task


def test_sentry_and_langsmith_carry_the_ids_of_the_story_and_none_of_ten_secrets(tmp_path: Path) -> None:
    with (
        ingest() as sentry,
        ingest() as langsmith,
        _watched(tmp_path, SENTRY_DSN=sentry.dsn, LANGSMITH_ENDPOINT=langsmith.url) as site,
    ):
        task = _say(site, f"please fail\n{SAID}", max_attempts=2)
        assert task["status"] == "failed"
        me = site.request("GET", "/api/v1/me")[1]["id"]
        ids = {
            "request_id": "a-request-of-this-test", "task_id": task["id"], "trace_id": TRACE,
            "user_id": me, "agent": "leaky",
        }  # fmt: skip
        site.wait(sentry.events)
        # Two attempts, and in each the graph, the node and the model.
        site.wait(lambda: sum("end_time" in run for run in langsmith.runs().values()) >= 6)
        spans = _spans(site, TRACE)

    events, runs = sentry.events(), langsmith.runs()
    # Tried twice, reported once.
    assert len(events) == 1
    assert {name: events[0]["tags"][name] for name in ids} == ids
    assert events[0]["exception"]["values"][-1]["type"] == "RuntimeError"
    assert [span["attributes"]["attempt"] for span in spans if span["kind"] == "task"] == [1, 2]
    for run in runs.values():
        assert {name: run["extra"]["metadata"][name] for name in ids} == ids
    roots = [run for run in runs.values() if not run.get("parent_run_id")]
    assert sorted(run["extra"]["metadata"]["attempt"] for run in roots) == ["1", "2"]
    assert {run["run_type"] for run in runs.values()} == {"chain", "llm"}
    leaking = [line for line in _json_lines(site) if line["event"] == "leaking"]
    assert [{name: line[name] for name in ids} for line in leaking] == [ids, ids]
    # What was masked was there.
    for text in (sentry.everything, langsmith.everything, json.dumps(leaking)):
        assert "[masked]" in text
        assert "please fail" in text
    said = {"sentry": sentry.everything, "langsmith": langsmith.everything, "logs": "\n".join(site.lines)}
    assert {name: [each for each in CANARIES if each in text] for name, text in said.items()} == {
        "sentry": [], "langsmith": [], "logs": [],
    }  # fmt: skip


def test_sentry_and_langsmith_that_are_away_change_nothing(tmp_path: Path) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    with _watched(tmp_path, SENTRY_DSN=f"http://public@{nobody}/7", LANGSMITH_ENDPOINT=f"http://{nobody}") as site:
        assert _say(site, "bom dia")["status"] == "succeeded"
        assert _say(site, "please fail", max_attempts=1)["error"] == {"type": "RuntimeError", "message": "please fail"}
        findings = json.loads(site.manage("doctor", "--json").stdout)["findings"]
        unreachable = {found["subject"]: found["level"] for found in findings if found["level"] != "ok"}
        assert {"sentry": "warning", "langsmith": "warning"}.items() <= unreachable.items()
        assert site.stop() == 0
