"""What providers say when something is wrong, in their own words."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import Any

import httpx
import pytest

from agents.gateway.errors import translated
from agents.gateway.exceptions import (
    BrokenAnswer,
    ContentRefused,
    ContextWindowExceeded,
    GatewayError,
    ModelMissing,
    ModelRateLimited,
    ModelRejected,
    ModelTimeout,
    ModelUnauthorized,
    ModelUnavailable,
    OutOfQuota,
)


class Refusal(Exception):
    """As the clients of providers raise it."""

    def __init__(self, status: int, message: str, code: str | None = None, headers: dict[str, str] | None = None):
        super().__init__(message)
        self.status_code, self.code = status, code
        self.response = httpx.Response(status, headers=headers)


class ClientError(Exception):
    """As botocore raises it."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"An error occurred ({code}) when calling the Converse operation: {message}")
        self.response: dict[str, Any] = {
            "Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status},
        }  # fmt: skip


@pytest.mark.parametrize(
    "error",
    [
        Refusal(400, "This model's maximum context length is 8192 tokens.", "context_length_exceeded"),
        Refusal(400, "Input tokens exceed the configured limit.", "context_length_exceeded"),
        Refusal(400, "prompt is too long: 210000 tokens > 200000 maximum"),
        Refusal(400, "input length and `max_tokens` exceed context limit: 198000 + 20000 > 200000"),
        Refusal(400, "The input token count (1200000) exceeds the maximum number of tokens allowed (1048575)."),
        ClientError(400, "ValidationException", "Input is too long for requested model."),
        Refusal(400, "the input length exceeds the context length"),
        Refusal(400, "the request exceeds the available context size. try increasing it", "exceed_context_size_error"),
        Refusal(400, "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens."),
        Refusal(400, "Prompt contains 40000 tokens, too large for model with 32768 maximum context length"),
        Refusal(400, "This model's maximum prompt length is 131072 but the request contains 537812 tokens."),
        Refusal(413, "Please reduce the length of the messages or completion."),
    ],
)
def test_messages_that_are_too_long_are_told_apart(error: Exception) -> None:
    assert type(translated(error)) is ContextWindowExceeded


@pytest.mark.parametrize(
    "error",
    [
        Refusal(400, "The response was filtered.", "content_filter"),
        Refusal(400, "The response was filtered due to Azure OpenAI's content management policy."),
        Refusal(400, "Your request was rejected as a result of our safety system.", "content_policy_violation"),
        Refusal(400, "Invalid prompt: your prompt was flagged as potentially violating our usage policy."),
        Refusal(400, "Output blocked by content filtering policy"),
        Refusal(500, "Output blocked by content filtering policy"),
        Refusal(400, "The prompt was blocked. block_reason: PROHIBITED_CONTENT"),
        Refusal(403, "Your input violates our usage policies.", "content_filter"),
        Refusal(403, 'openai/gpt-4 requires moderation on OpenAI. Your input was flagged for "violence".'),
        Refusal(403, "Content violates usage guidelines. Team: 7c0ffee, API key ID: 1c0ffee, Model: grok-4."),
    ],
)
def test_refusals_by_policy_are_told_apart(error: Exception) -> None:
    assert type(translated(error)) is ContentRefused
    assert not getattr(translated(error), "retryable", True)


@pytest.mark.parametrize(
    "said",
    [
        "Your API key does not have permission to use the specified resource.",
        "Your account was flagged for potential abuse.",
        "Your account has been suspended for violating our usage policies.",
        "This organization has been disabled.",
        "Please accept the usage policy of this model before you use it.",
        "Your project does not have access to model gpt-5.",
    ],
)
def test_what_is_refused_to_an_account_is_no_refusal_of_what_it_asked(said: str) -> None:
    assert type(translated(Refusal(403, said))) is ModelUnauthorized


def test_a_wrong_key_is_no_refusal_by_policy_whatever_is_said_with_it() -> None:
    assert type(translated(Refusal(401, "See our usage policies.", "content_filter"))) is ModelUnauthorized


def test_what_was_asked_is_not_told_again_with_a_refusal() -> None:
    refusal = Refusal(403, "Your input was flagged. flagged_input: my account was blocked, says Ana")
    assert type(translated(refusal)) is ContentRefused
    assert str(translated(refusal)) == ContentRefused.__doc__


@pytest.mark.parametrize(
    ("error", "kind", "may_heal"),
    [
        (Refusal(400, "no"), ModelRejected, False), (Refusal(422, "no"), ModelRejected, False),
        (Refusal(404, "no such model"), ModelMissing, False), (Refusal(401, "no"), ModelUnauthorized, False),
        (Refusal(403, "no"), ModelUnauthorized, False), (Refusal(408, "late"), ModelTimeout, True),
        (Refusal(409, "lock"), ModelUnavailable, True), (Refusal(425, "early"), ModelUnavailable, True),
        (Refusal(429, "slow down"), ModelRateLimited, True), (Refusal(500, "oh"), ModelUnavailable, True),
        (Refusal(529, "overloaded"), ModelUnavailable, True),
        (Refusal(429, "You exceeded your current quota", "insufficient_quota"), OutOfQuota, True),
        (Refusal(400, "Your credit balance is too low to access the API."), OutOfQuota, True),
        (Refusal(402, "Insufficient Balance"), OutOfQuota, True),
        (Refusal(402, "This request requires more credits, or fewer max_tokens."), OutOfQuota, True),
        (ClientError(429, "ThrottlingException", "Too many requests"), ModelRateLimited, True),
        (ClientError(403, "AccessDeniedException", "no"), ModelUnauthorized, False),
        (httpx.ReadTimeout("late"), ModelTimeout, True), (httpx.ConnectError("no"), ModelUnavailable, True),
        (TimeoutError(), ModelTimeout, True), (ConnectionResetError(), ModelUnavailable, True),
    ],
)  # fmt: skip
def test_statuses_and_connections(error: Exception, kind: type[GatewayError], may_heal: object) -> None:
    known = translated(error)
    assert type(known) is kind
    assert getattr(known, "retryable", None) is may_heal


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0), ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "3"}, 0.25),
        ({"retry-after": "-1"}, 0.0), ({"retry-after": "soon"}, None), ({"retry-after": "nan"}, None), ({}, None),
    ],
)  # fmt: skip
def test_how_long_to_wait_is_read_in_all_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert getattr(translated(Refusal(429, "slow down", headers=headers)), "retry_after", "") == seconds


def test_how_long_to_wait_may_be_a_date() -> None:
    at = formatdate(time.time() + 60, usegmt=True)
    found = getattr(translated(Refusal(429, "slow down", headers={"retry-after": at})), "retry_after", None)
    assert found == pytest.approx(60, abs=2)
    past = {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}
    assert getattr(translated(Refusal(429, "slow down", headers=past)), "retry_after", None) == 0


def test_what_is_no_error_of_a_provider_comes_back_as_it_is() -> None:
    for error in (ZeroDivisionError(), KeyError("x"), BrokenAnswer()):
        assert translated(error) is error


def test_secrets_do_not_get_into_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "quite-a-secret")
    assert "quite-a-secret" not in str(translated(Refusal(400, "wrong: quite-a-secret")))
