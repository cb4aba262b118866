"""Providers' errors in the gateway's words, without their secrets."""

from __future__ import annotations

import os
import re
import time
from email.utils import parsedate_to_datetime
from typing import Final

from agents.gateway.exceptions import (
    GatewayError,
    ModelRateLimited,
    ModelRejected,
    ModelTimeout,
    ModelUnauthorized,
    ModelUnavailable,
)
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


def translated(error: Exception) -> Exception:
    """The gateway's error for a provider's; what is neither of a provider nor of a connection comes back as it is."""
    if isinstance(error, GatewayError):
        return error
    names = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, TimeoutError) or names & _TIMEOUTS:
        return ModelTimeout()
    if isinstance(error, ConnectionError) or names & _TRANSPORT:
        return ModelUnavailable(f"The connection to the provider failed ({type(error).__name__}).")
    status = _status_of(error)
    if status is not None:
        return _of_status(status, error)
    # An error that the provider reports inside a stream has no status.
    return ModelUnavailable(_text(error)) if "APIError" in names else error


def _of_status(status: int, error: Exception) -> GatewayError:
    if status in {401, 403}:
        # Providers quote parts of the key.
        return ModelUnauthorized(f"The provider refused the credentials ({status}).")
    if status == 429:
        return ModelRateLimited(_text(error), retry_after=_retry_after(error))
    if status == 408:
        return ModelTimeout(retry_after=_retry_after(error))
    if status >= 500 or status in {409, 425}:
        return ModelUnavailable(f"The provider failed ({status}).", retry_after=_retry_after(error))
    return ModelRejected(_text(error))


def _status_of(error: Exception) -> int | None:
    status = getattr(error, "status_code", None) or getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def _retry_after(error: Exception) -> float | None:
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    value = headers.get("retry-after")
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        return _seconds_until(value)


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
