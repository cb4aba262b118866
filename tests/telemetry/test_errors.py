"""What is reported, what is not, and what a report may hold."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from agents.gateway.exceptions import ModelUnavailable, TokenLimitReached
from agents.runtime.exceptions import StepLimitReached, UnusableInput
from agents.tasks.exceptions import InvalidInput
from telemetry import errors, farewell, jobs
from telemetry.masking import MASK


def _hint(error: BaseException) -> Any:
    return {"exc_info": (type(error), error, None)}


@pytest.mark.parametrize("error", [TokenLimitReached(), StepLimitReached(), UnusableInput(), InvalidInput()])
def test_a_refusal_is_nobodys_to_repair(error: Exception) -> None:
    assert errors.is_expected(error)
    assert errors.before_send({"message": "x"}, _hint(error)) is None


@pytest.mark.parametrize("error", [RuntimeError("x"), ModelUnavailable()])
def test_a_failure_is_reported(error: Exception) -> None:
    assert not errors.is_expected(error)
    assert errors.before_send({"message": "x"}, _hint(error)) is not None


def test_a_report_carries_the_ids_and_no_secret_anywhere() -> None:
    structlog.contextvars.clear_contextvars()
    event: Any = {
        "event_id": "e" * 32,
        "tags": {"of": "sentry"},
        "request": {
            "url": "http://host/api", "method": "POST", "query_string": "token=abc", "headers": {"Cookie": "s"},
            "data": {"password": "hunter22"}, "cookies": {"a": "b"},
        },
        "extra": {"deep": [{"api_key": "abc"}]},
        "exception": {"values": [{"type": "ValueError", "value": "password=hunter22"}]},
    }  # fmt: skip
    with structlog.contextvars.bound_contextvars(request_id="r", task_id="t", trace_id="w", agent="echo", other="no"):
        sent: Any = errors.before_send(event, {})
    assert sent["tags"] == {"of": "sentry", "request_id": "r", "task_id": "t", "trace_id": "w", "agent": "echo"}
    assert sent["request"] == {"url": "http://host/api", "method": "POST"}
    assert sent["extra"] == {"deep": [{"api_key": MASK}]}
    assert sent["exception"]["values"][0]["value"] == f"password={MASK}"
    assert sent["event_id"] == "e" * 32


def test_a_report_that_cannot_be_masked_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: Any, **_kwargs: Any) -> Any:
        raise RuntimeError

    monkeypatch.setattr(errors, "masked", fail)
    assert errors.before_send({"message": "password=hunter22"}, {}) is None


def test_a_sender_that_hangs_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    sent: list[str] = []
    monkeypatch.setattr(farewell, "_senders", {})
    release = threading.Event()
    farewell.register("hangs", lambda: release.wait(60))
    farewell.register("sends", lambda: sent.append("sent"))
    farewell.send_the_rest(within=0.1)
    release.set()
    assert sent == ["sent"]


def test_a_job_keeps_the_ids_of_its_sender_and_its_own_id_is_not_a_tasks() -> None:
    structlog.contextvars.clear_contextvars()
    with structlog.contextvars.bound_contextvars(request_id="r", task_id="t", anything="else"):
        context = {"request_id": "r", "parent_task_id": "t", "anything": "else"}
        jobs._take_along(context)
    assert context == {"request_id": "r", "task_id": "t"}
    # As django-structlog does before it tells us.
    with structlog.contextvars.bound_contextvars(task_id="id-of-the-message", request_id="r"):
        request = SimpleNamespace(id="id-of-the-message", __django_structlog__=context)
        jobs._name_the_job(SimpleNamespace(request=request))
        bound = structlog.contextvars.get_contextvars()
        assert {name: bound[name] for name in ("job_id", "task_id", "request_id")} == {
            "job_id": "id-of-the-message", "task_id": "t", "request_id": "r",
        }  # fmt: skip
    structlog.contextvars.clear_contextvars()
