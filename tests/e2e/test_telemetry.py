"""One story over all processes, and figures that add up: a whole platform, watched from outside."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from mutirao.embedded import free_port
from tests.benchmarks.counting import count
from tests.e2e.conftest import ENVIRON, IMPATIENT, back_end
from tests.pairs import metrics_of, second_pair, total
from tests.site import Site, running
from tests.telemetry.ingest import Ingest, ingest

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"


@pytest.mark.once
@pytest.mark.queueing
def test_the_metrics_of_two_webs_and_two_workers_are_exactly_what_was_sent(own_site: Site) -> None:
    with second_pair(own_site) as other:
        # `make bench` sends ten times as much.
        counts = count(own_site, other, requests=100, submitted=20)
    assert [each for each in counts if each.counted != each.done] == []
    # More than one process has counted.
    assert len([*(own_site.home / "run" / "metrics").glob("counter_*.db")]) >= 4


def _json_lines(site: Site) -> list[dict[str, Any]]:
    found = []
    for line in site.lines:
        name, _, text = line.partition("| ")
        if text.startswith("{"):
            found.append({"from": name.strip(), **json.loads(text)})
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


PASSWORD = "the-password-of-this-test-1"
SAID_IN_CHAT = "Onde está a minha encomenda?"
REQUEST_ID = "a-request-of-this-test"
STORY = f"""
import json
from agents.tasks.models import Task
from telemetry.models import Span
task = Task.objects.get(trace_id="{TRACE}")
spans = Span.objects.filter(trace_id="{TRACE}").order_by("started_at", "id")
print(json.dumps({{
    "task": {{"task_id": str(task.pk), "trace_id": task.trace_id, "request_id": task.request_id,
             "user_id": str(task.owner_id), "agent": task.agent_version.agent.slug, "status": task.status}},
    "attempts": [[each.fence, each.outcome, each.error_type] for each in task.attempts.order_by("fence")],
    "spans": [*spans.values("kind", "name", "status", "span_id", "parent_id", "attributes")],
    "of_the_task": spans.filter(task_id=task.pk).count(),
}}))
"""


def _story(site: Site) -> dict[str, Any]:
    """What the database has of it."""
    ran = site.manage("shell", "--no-imports", "-c", STORY)
    assert ran.returncode == 0, ran.stderr
    return dict(json.loads(ran.stdout.strip().splitlines()[-1]))


@contextmanager
def _storyteller(tmp_path: Path, sentry: Ingest, langsmith: Ingest) -> Iterator[Site]:
    """A platform with LangSmith and Sentry switched on by their variables, and an agent whose run has a middle."""
    more = {
        "MUTIRAO_APPS": "tests.telemetry.story", "MUTIRAO_ADMIN_PASSWORD": PASSWORD, "SENTRY_DSN": sentry.dsn,
        "LANGSMITH_TRACING": "true", "LANGSMITH_API_KEY": "lsv2_pt_of_this_test_0000",
        "LANGSMITH_ENDPOINT": langsmith.url,
    }  # fmt: skip
    with back_end() as given, running(tmp_path, **given, **ENVIRON | IMPATIENT | more) as site:
        site.make_key()
        yield site


@contextmanager
def _signed_in(site: Site) -> Iterator[httpx.Client]:
    """Somebody with a browser, who has signed in by the form."""
    with httpx.Client(base_url=f"http://127.0.0.1:{site.port}", follow_redirects=True, timeout=30) as client:
        client.get("/account/login/")
        form = {"login": "admin", "password": PASSWORD, "csrfmiddlewaretoken": client.cookies["csrftoken"]}
        assert client.post("/account/login/", data=form).url.path == "/"
        yield client


def _chat(client: httpx.Client) -> None:
    """Says it by the form of the chat page, with what a proxy before the platform would add."""
    form = {"agent": "storyteller", "text": SAID_IN_CHAT, "csrfmiddlewaretoken": client.cookies["csrftoken"]}
    headers = {"traceparent": f"00-{TRACE}-{CALLER}-01", "X-Request-ID": REQUEST_ID}
    sent = client.post("/chat/", data=form, headers=headers, follow_redirects=False)
    assert sent.status_code == 302, sent.text


def _roots(langsmith: Ingest) -> dict[str, dict[str, Any]]:
    """Attempt → what LangSmith has of it."""
    runs = langsmith.runs().values()
    return {run["extra"]["metadata"]["attempt"]: run for run in runs if run and not run.get("parent_run_id")}


@pytest.mark.once
@pytest.mark.queueing
def test_a_chat_message_whose_worker_is_killed_is_one_story_everywhere(tmp_path: Path) -> None:
    with (
        ingest() as sentry,
        ingest() as langsmith,
        _storyteller(tmp_path, sentry, langsmith) as site,
        _signed_in(site) as client,
    ):
        _chat(client)
        (task,) = site.request("GET", "/api/v1/tasks")[1]["results"]
        page, in_admin = f"/tasks/{task['id']}/", f"/admin/agents_tasks/task/{task['id']}/change/"
        # Spans are written about once a second, and LangSmith is told by a thread of its own.
        site.wait(lambda: "wf-piece-model" in client.get(page).text and "1" in _roots(langsmith))
        site.wait(lambda: _saying(site, "in_the_middle"))
        site.child("worker").send_signal(signal.SIGKILL)
        site.wait(lambda: len(_saying(site, "in_the_middle")) == 2, within=60)
        (site.home / "gate-story").touch()
        site.wait(lambda: _saying(site, "attempt_ended") and sentry.events())
        site.wait(lambda: "end_time" in _roots(langsmith).get("2", {}))
        site.wait(lambda: client.get(page).text.count("wf-piece-step") == 3)
        pages = [client.get(page), client.get(in_admin)]
        figures = metrics_of(site)
        story = _story(site)
        task = site.request("GET", f"/api/v1/tasks/{task['id']}")[1]
        me = site.request("GET", "/api/v1/me")[1]["id"]

    ids = {name: value for name, value in story["task"].items() if name != "status"}
    assert ids == {
        "task_id": task["id"], "trace_id": TRACE, "request_id": REQUEST_ID, "user_id": me, "agent": "storyteller",
    }  # fmt: skip
    assert (story["task"]["status"], task["status"]) == ("succeeded", "succeeded")
    assert task["result"]["text"] == SAID_IN_CHAT
    assert story["attempts"] == [[1, "crashed", "WorkerLost"], [2, "succeeded", ""]]
    _spans_are_one_tree(story)
    _lines_are_of(site, ids)
    _figures_add_up(figures)
    _told_outside(ids, sentry, langsmith)
    for each in pages:
        _page_shows_two_attempts(each)


def _saying(site: Site, event: str) -> list[dict[str, Any]]:
    """The log lines of this event."""
    return [line for line in _json_lines(site) if line["event"] == event]


def _kinds(story: dict[str, Any]) -> list[str]:
    return [span["kind"] for span in story["spans"]]


def _spans_are_one_tree(story: dict[str, Any]) -> None:
    """The caller's span, the request, two attempts below it, and in each what it did."""
    spans = {kind: [span for span in story["spans"] if span["kind"] == kind] for kind in _kinds(story)}
    (request,), attempts = spans["request"], spans["task"]
    assert request["parent_id"] == CALLER
    assert [(span["attributes"]["attempt"], span["status"]) for span in attempts] == [(1, "error"), (2, "ok")]
    assert attempts[0]["attributes"]["error"] == "WorkerLost"
    assert {span["parent_id"] for span in attempts} == {request["span_id"]}
    steps = [(span["name"], span["parent_id"]) for span in spans["step"]]
    first, second = (span["span_id"] for span in attempts)
    # What was complete before the kill is not done again; what was in the air left with its worker.
    assert steps == [("ask", first), ("wait", second), ("conclude", second)]
    assert [span["parent_id"] for span in spans["model"]] == [spans["step"][0]["span_id"]]
    assert story["of_the_task"] == len(story["spans"]) - 1


def _lines_are_of(site: Site, ids: dict[str, str]) -> None:
    """Every line of this story, of web and worker, has its ids."""
    named = ("trace_id", "request_id", "user_id")
    lines = [line for line in _json_lines(site) if line.get("trace_id") == TRACE]
    assert [{name: line[name] for name in named} for line in lines] == [{name: ids[name] for name in named}] * len(
        lines
    )
    of_web = [line for line in lines if line["from"] == "web"]
    assert [(line["event"], line["route"], line["status"]) for line in of_web] == [("request_answered", "chat/", 302)]
    of_worker = [line for line in lines if line["from"] == "worker"]
    assert [line["event"] for line in of_worker] == [
        "attempt_started", "in_the_middle", "attempt_started", "in_the_middle", "attempt_ended",
    ]  # fmt: skip
    assert {(line["task_id"], line["agent"]) for line in of_worker} == {(ids["task_id"], ids["agent"])}
    assert [line["attempt"] for line in of_worker if line["event"] == "attempt_started"] == [1, 2]


def _figures_add_up(figures: dict[tuple[str, ...], float]) -> None:
    """Metrics carry no ids; their labels say which agent, and how it ended."""
    assert total(figures, "mutirao_requests_total", "POST", "chat/", "302") == 1
    assert total(figures, "mutirao_tasks_submitted_total", "storyteller") == 1
    assert total(figures, "mutirao_tasks_started_total", "storyteller") == 2
    assert total(figures, "mutirao_leases_lost_total", "sweeper") == 1
    assert total(figures, "mutirao_tasks_finished_total", "storyteller", "succeeded") == 1
    assert total(figures, "mutirao_tasks_finished_total") == 1
    assert total(figures, "mutirao_model_calls_total", "scripted", "echo", "succeeded") == 1
    # The dead worker's gauge went with it.
    assert total(figures, "mutirao_attempts_running") == 0


def _told_outside(ids: dict[str, str], sentry: Ingest, langsmith: Ingest) -> None:
    """LangSmith has both attempts, the second one to its end; Sentry what went wrong on the way."""
    (event,) = sentry.events()
    assert event["exception"]["values"][-1]["type"] == "Unreadable"
    assert {name: event["tags"][name] for name in ids} == ids
    roots = _roots(langsmith)
    assert [(attempt, "end_time" in run) for attempt, run in sorted(roots.items())] == [("1", False), ("2", True)]
    for run in langsmith.runs().values():
        assert {name: run["extra"]["metadata"][name] for name in ids} == ids


def _page_shows_two_attempts(page: httpx.Response) -> None:
    """One waterfall with both, and why there are two."""
    assert page.status_code == 200
    assert page.text.count("wf-piece-task") == 2
    assert page.text.count("wf-piece-error") == 1
    assert "WorkerLost" in page.text
    assert REQUEST_ID in page.text
    assert TRACE in page.text


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


@pytest.mark.once
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


@pytest.mark.once
def test_sentry_and_langsmith_that_are_away_change_nothing(tmp_path: Path) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    with _watched(tmp_path, SENTRY_DSN=f"http://public@{nobody}/7", LANGSMITH_ENDPOINT=f"http://{nobody}") as site:
        assert _say(site, "bom dia")["status"] == "succeeded"
        assert _say(site, "please fail", max_attempts=1)["error"] == {"type": "RuntimeError", "message": "please fail"}
        findings = json.loads(site.manage("doctor", "--json").stdout)["findings"]
        unreachable = {found["subject"]: found["level"] for found in findings if found["level"] != "ok"}
        assert {"sentry": "warning", "langsmith": "warning"}.items() <= unreachable.items()
        assert site.stop() == 0
