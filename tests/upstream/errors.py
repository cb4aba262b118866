"""Errors in OpenAI's words (https://platform.openai.com/docs/guides/error-codes)."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import Any

from tests.upstream.script import Fault

PAGE = "<html>\r\n<head><title>{0}</title></head>\r\n<body><center><h1>{0}</h1></center><hr>nginx</body>\r\n</html>\r\n"

# Code → message, type, parameter.
_BY_CODE: dict[str, tuple[str, str, str | None]] = {
    "rate_limit_exceeded": (
        "Rate limit reached for this model on requests per min (RPM): Limit 3, Used 3. Please try again in 20s.",
        "requests",
        None,
    ),
    "insufficient_quota": (
        "You exceeded your current quota, please check your plan and billing details.",
        "insufficient_quota",
        None,
    ),
    "invalid_api_key": ("Incorrect API key provided: {key}.", "invalid_request_error", None),
    "model_not_found": (
        "The model `{model}` does not exist or you do not have access to it.",
        "invalid_request_error",
        None,
    ),
    "context_length_exceeded": (
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens.",
        "invalid_request_error",
        "messages",
    ),
    "content_filter": (
        "The response was filtered due to the prompt triggering the content management policy.",
        "invalid_request_error",
        "prompt",
    ),
}
# A status that has no code of its own.
_BY_STATUS = {
    500: "The server had an error while processing your request. Sorry about that!",
    502: "Bad gateway.",
    503: "The engine is currently overloaded, please try again later.",
    529: "Overloaded.",
}


class Refusal(Exception):
    """The request is wrong: answered with this status and error body."""

    def __init__(self, status: int, error: dict[str, Any]) -> None:
        super().__init__(status, error)
        self.status, self.error = status, error


def wrong(message: str, param: str | None = None, *, status: int = 400, code: str | None = None) -> Refusal:
    """`invalid_request_error`."""
    return Refusal(status, error_body(message, "invalid_request_error", param, code))


def error_body(message: str, kind: str, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    """As OpenAI sends it."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def body_of(fault: Fault, *, model: str = "", key: str = "") -> dict[str, Any]:
    """The body of an answer that is an error."""
    if fault.code in _BY_CODE:
        message, kind, param = _BY_CODE[fault.code]
        shown = f"{key[:3]}{'*' * max(0, len(key) - 7)}{key[-4:]}"
        return error_body(message.format(model=model, key=shown), kind, param, fault.code)
    return error_body(_BY_STATUS.get(fault.status, "Something went wrong."), "server_error", None, fault.code)


def headers_of(fault: Fault) -> dict[str, str]:
    """Retry-After, where there is one."""
    if fault.retry_after is None:
        return {}
    at = formatdate(time.time() + fault.retry_after, usegmt=True)
    return {"retry-after": at if fault.as_date else f"{fault.retry_after:g}"}


def page_of(status: int, phrase: str) -> bytes:
    """An error as a proxy in between writes it."""
    return PAGE.format(f"{status} {phrase}").encode()
