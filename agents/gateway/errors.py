"""Providers' errors in the gateway's words, without their secrets."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final

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
from foundation.egress import EgressError, NotAllowed, TookTooLong
from telemetry.logs import mask_text

LONGEST_MESSAGE: Final = 500
_SECRET_NAME: Final = re.compile(r"(KEY|KEYS|TOKEN|SECRET|PASSWORD)$")
_TIMEOUTS: Final = {
    "APITimeoutError",
    "TimeoutException",
    "ReadTimeout",
    "ConnectTimeout",
    "PoolTimeout",
    "WriteTimeout",
}
_TRANSPORT: Final = {"APIConnectionError", "TransportError", "NetworkError", "ProtocolError"}
_BY_NAME: Final[dict[str, type[GatewayError]]] = {
    "ContextOverflowError": ContextWindowExceeded,
    "ContentFilterFinishReasonError": ContentRefused,
    "LengthFinishReasonError": ModelRejected,
}
_BROKEN: Final = {"APIResponseValidationError", "JSONDecodeError"}

# How providers say that the messages are too long: code or message, in the words of OpenAI and Azure, vLLM, llama.cpp,
# Anthropic, Google, Bedrock, Ollama, Mistral, xAI. Their documentation of errors, read in 2025.
_TOO_LONG: Final = re.compile(
    r"context_length_exceeded|maximum context length|exceed_context_size|exceeds? the available context size"
    r"|context window|prompt is too long|exceed(s|ed)? (the |its |max(imum)? )*context (limit|length|size)"
    r"|input token count .{0,40}exceeds|input is too long|too many input tokens|maximum prompt length"
    r"|reduce the length of the (messages|prompt|input)|too large for model with",
    re.IGNORECASE,
)
# And that they do not want to answer this.
_REFUSED: Final = re.compile(
    r"content_filter|content_policy|content management policy|ResponsibleAIPolicyViolation|content filtering policy"
    r"|usage polic(y|ies)|safety system|prompt was blocked|block_?reason|blocked by (safety|guardrail)"
    r"|guardrail_intervened|PROHIBITED_CONTENT|requires moderation|violates? ([a-z]+ )?usage guidelines"
    r"|(input|prompt|content|messages?) (was|were|has been|have been) flagged",
    re.IGNORECASE,
)
# What is like it, but speaks of who asks, not of what is asked.
_OF_ACCOUNT: Final = re.compile(
    r"\b(account|organi[sz]ation|workspace|project|team|key|access)\b[^.,;:]{0,60}"
    r"\b(disabled|deactivated|suspended|banned|terminated|restricted|revoked|blocked|flagged|violat\w+)"
    r"|\b(accept|agree)\b",
    re.IGNORECASE,
)
_NO_MONEY: Final = re.compile(r"insufficient_quota|credit balance is too low|billing_hard_limit", re.IGNORECASE)


def translated(error: Exception) -> Exception:
    """The gateway's error for a provider's; what is neither of a provider nor of a connection comes back as it is."""
    if isinstance(error, GatewayError):
        return error
    names = {kind.__name__ for kind in type(error).__mro__}
    known = _of_connection(error, names)
    if known is not None:
        return known
    for name, kind in _BY_NAME.items():
        if name in names:
            return kind(_text(error))
    if names & _BROKEN:
        return BrokenAnswer()
    status = _status_of(error)
    if status is not None:
        return _of_status(status, error)
    # An error that the provider reports inside a stream has no status.
    return _inside_stream(error) if "APIError" in names else error


def _of_connection(error: Exception, names: set[str]) -> GatewayError | None:
    if isinstance(error, TimeoutError | TookTooLong) or names & _TIMEOUTS:
        return ModelTimeout()
    if isinstance(error, EgressError):
        return ModelRejected(str(error)) if isinstance(error, NotAllowed) else ModelUnavailable(str(error))
    if isinstance(error, ConnectionError) or names & _TRANSPORT:
        return ModelUnavailable(f"The connection to the provider failed ({type(error).__name__}).")
    return None


def _inside_stream(error: Exception) -> GatewayError:
    said = _said(error)
    if _TOO_LONG.search(said):
        return ContextWindowExceeded(_text(error))
    if _REFUSED.search(said):
        return ContentRefused(_text(error))
    return ModelUnavailable(_text(error))


def _of_status(status: int, error: Exception) -> GatewayError:
    said = _said(error)
    refused = _REFUSED.search(said)
    # OpenRouter and xAI say so with this status. What comes after may quote the prompt, or name the key.
    if status == 403 and refused and not _OF_ACCOUNT.search(said, 0, refused.end()):
        return ContentRefused()
    if status in {401, 403}:
        # Providers quote parts of the key.
        return ModelUnauthorized(f"The provider refused the credentials ({status}).")
    # "Payment Required", in whichever words: DeepSeek and OpenRouter say so with this status alone.
    has_no_money = status == 402 or _NO_MONEY.search(said)
    if status == 429 or has_no_money:
        kind = OutOfQuota if has_no_money else ModelRateLimited
        return kind(_text(error), retry_after=_retry_after(error))
    if status == 408:
        return ModelTimeout(retry_after=_retry_after(error))
    # Anthropic reports what its filter has cut off as a failure of its own.
    if refused:
        return ContentRefused(_text(error))
    if status >= 500 or status in {409, 425}:
        return ModelUnavailable(f"The provider failed ({status}).", retry_after=_retry_after(error))
    if _TOO_LONG.search(said):
        return ContextWindowExceeded(_text(error))
    return ModelMissing(_text(error)) if status == 404 else ModelRejected(_text(error))


def _said(error: Exception) -> str:
    """Code and message, wherever the client keeps them."""
    return f"{getattr(error, 'code', '') or ''} {_boto(error).get('Error', '')} {error}"[:4000]


def _boto(error: Exception) -> Mapping[str, Any]:
    """What botocore's ClientError holds in place of a response."""
    found = getattr(error, "response", None)
    return found if isinstance(found, Mapping) else {}


def _status_of(error: Exception) -> int | None:
    status = (
        getattr(error, "status_code", None)
        or getattr(getattr(error, "response", None), "status_code", None)
        or _boto(error).get("ResponseMetadata", {}).get("HTTPStatusCode")
        # google.genai has an HTTP status as its code, OpenAI a word.
        or getattr(error, "code", None)
    )
    return status if isinstance(status, int) else None


def _retry_after(error: Exception) -> float | None:
    """Seconds: `retry-after-ms`, or `retry-after` in seconds or as a date (RFC 9110, 10.2.3)."""
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    if (exact := _number(headers.get("retry-after-ms"))) is not None:
        return exact / 1000
    value = headers.get("retry-after")
    if not value:
        return None
    seconds = _number(value)
    return _seconds_until(value) if seconds is None else seconds


def _number(value: Any) -> float | None:
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return max(0.0, found) if found == found and found != float("inf") else None


def _seconds_until(date: str) -> float | None:
    try:
        return max(0.0, parsedate_to_datetime(date).timestamp() - time.time())
    except ValueError:
        return None


def _text(error: Exception) -> str:
    return clean(str(error))


def clean(text: str) -> str:
    """Without NUL, without the value of any secret of the environment, and bounded."""
    for name, value in os.environ.items():
        if _SECRET_NAME.search(name) and len(value) >= 8:
            text = text.replace(value, "…")
    return mask_text(text.replace("\x00", ""))[:LONGEST_MESSAGE]
