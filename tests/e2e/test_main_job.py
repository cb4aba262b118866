"""The main job from outside: key, submit, stream, wait, resume, repeat; on a whole platform."""

from __future__ import annotations

import json
import random
import subprocess
import threading
from pathlib import Path

import pytest

from tests.site import Site

TASKS = "/api/v1/tasks"
ECHO = {"agent": "echo", "input": "uma mão lava a outra e as duas lavam o rosto"}


def test_a_key_from_the_command_submits_streams_and_reads_the_result(site: Site) -> None:
    status, task = site.request("POST", TASKS, ECHO)
    assert status == 202
    events = [*site.events(task["id"])]
    assert [number for number, _, _ in events[:-1]] == [*range(1, len(events))]
    assert events[-1][1] == "done"
    assert [data["status"] for _, kind, data in events if kind == "status"] == ["queued", "running", "succeeded"]
    said = "".join(data["text"] for _, kind, data in events if kind == "message")
    found = site.request("GET", f"{TASKS}/{task['id']}")[1]
    assert found["status"] == "succeeded"
    assert found["result"]["text"] == said
    assert ECHO["input"] in said


def test_curl_does_it_as_the_readme_says(site: Site) -> None:
    base = f"http://127.0.0.1:{site.port}"
    bearer = ["-H", f"Authorization: Bearer {site.key}"]
    body = ["-H", "Content-Type: application/json", "--data", json.dumps(ECHO)]
    answer = subprocess.run(
        ["curl", "-sS", "-i", f"{base}{TASKS}", *bearer, *body], capture_output=True, text=True, check=True
    ).stdout
    head, _, text = answer.replace("\r\n", "\n").partition("\n\n")
    assert head.startswith("HTTP/1.1 202")
    task = json.loads(text)
    assert f"location: {TASKS}/{task['id']}" in head.lower()
    stream = subprocess.run(
        ["curl", "-sS", "-N", "--max-time", "30", f"{base}{TASKS}/{task['id']}/events", *bearer],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "event: done" in stream
    waited = subprocess.run(
        ["curl", "-sS", f"{base}{TASKS}", *bearer, *body, "-H", "Prefer: wait=30"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert json.loads(waited)["status"] == "succeeded"
    by_header = subprocess.run(
        ["curl", "-sS", f"{base}/api/v1/me", "-H", f"X-Api-Key: {site.key}"], capture_output=True, text=True, check=True
    ).stdout
    assert json.loads(by_header)["username"] == "admin"


def test_prefer_wait_gives_the_result_in_one_call(site: Site) -> None:
    status, task = site.request("POST", TASKS, ECHO, Prefer="wait=30")
    assert (status, task["status"]) == (200, "succeeded")
    assert ECHO["input"] in task["result"]["text"]


def test_a_stream_that_is_cut_again_and_again_yields_every_event_once(site: Site) -> None:
    task = site.request("POST", TASKS, {**ECHO, "agent": "slow"})[1]
    seen: list[tuple[int, str]] = []
    cuts = random.Random(3)
    while not seen or seen[-1][1] != "done":
        after = max((number for number, _ in seen), default=0)
        seen += [(number, kind) for number, kind, _ in site.events(task["id"], after=after, most=cuts.randint(1, 3))]
    whole = [(number, kind) for number, kind, _ in site.events(task["id"])]
    assert len(whole) > 8
    assert seen == whole


def test_an_idempotency_key_names_one_task(site: Site) -> None:
    answers: list[tuple[int, dict[str, str]]] = []

    def submit() -> None:
        answers.append(site.request("POST", TASKS, ECHO, Idempotency_Key="the-same-key"))

    threads = [threading.Thread(target=submit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({task["id"] for _, task in answers}) == 1
    assert len(answers) == 8
    status, problem = site.request("POST", TASKS, {**ECHO, "input": "other"}, Idempotency_Key="the-same-key")
    assert status == 409
    assert problem["request_id"]


def test_run_agent_prints_the_answer(site: Site) -> None:
    done = site.manage("run_agent", "echo", "bom dia")
    assert done.returncode == 0, done.stderr
    assert "bom dia" in done.stdout
    lines = site.manage("run_agent", "echo", "bom dia", "--json").stdout.splitlines()
    events = [json.loads(line) for line in lines]
    assert [event["number"] for event in events] == [*range(1, len(events) + 1)]
    assert events[-1]["data"]["status"] == "succeeded"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("run_agent", "nobody", "hello"), "There is no agent “nobody” that you may use."),
        (("run_agent", "echo", "hello", "--user", "nobody"), "There is no active user named 'nobody'"),
        (("run_agent", "echo", "{", "--object"), "The text is not JSON"),
        (("create_api_key", "--user", "nobody", "--name", "k"), "nobody"),
    ],
)
def test_a_command_that_cannot_do_it_says_so_in_one_sentence(
    site: Site, arguments: tuple[str, ...], sentence: str
) -> None:
    failed = site.manage(*arguments)
    assert failed.returncode == 1
    assert sentence in failed.stderr
    assert "Traceback" not in failed.stderr


def test_the_doctor_finds_a_running_platform_well(site: Site) -> None:
    seen = site.manage("doctor", "--json")
    findings = json.loads(seen.stdout)["findings"]
    assert seen.returncode == 0, seen.stdout
    assert {finding["subject"] for finding in findings} >= {"database", "redis", "broker", "workers", "tasks", "agents"}
    assert [finding for finding in findings if finding["level"] == "critical"] == []


def test_the_doctor_finds_a_platform_that_is_not_there_ill(site: Site, tmp_path: Path) -> None:
    alone = Site(tmp_path, {"REDIS_URL": "redis://127.0.0.1:1/0", "SECRET_KEY": "s" * 40, "JWT_SIGNING_KEY": "j" * 40})
    seen = alone.manage("doctor", "--json")
    findings = json.loads(seen.stdout)["findings"]
    assert seen.returncode == 1
    critical = {finding["subject"] for finding in findings if finding["level"] == "critical"}
    assert {"redis", "broker", "database"} <= critical


@pytest.mark.local_model
def test_the_local_model_answers_piece_by_piece(site: Site) -> None:
    site.manage("run_agent", "assistant", "Say hello.", timeout=120)
    began = site.request("POST", TASKS, {"agent": "assistant", "input": "Tell me about the sea."})[1]
    events = [*site.events(began["id"])]
    pieces = [data["text"] for _, kind, data in events if kind == "message"]
    found = site.request("GET", f"{TASKS}/{began['id']}")[1]
    assert found["status"] == "succeeded", found
    assert len(pieces) > 5
    assert found["usage"]["output_tokens"] > 5


@pytest.mark.local_model
def test_an_agent_with_two_tools_calls_them(site: Site) -> None:
    answered = site.request("POST", TASKS, {"agent": "clerk", "input": "What is 12 * 34?"}, Prefer="wait=60")[1]
    events = [*site.events(answered["id"])]
    assert answered["status"] == "succeeded", answered
    calls = [data for _, kind, data in events if kind == "tool_call"]
    results = [data for _, kind, data in events if kind == "tool_result"]
    assert [call["name"] for call in calls][:1] == ["calculate"]
    assert "408" in str(results[0]["content"])
