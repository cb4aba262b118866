"""Request headers that say how a request wants to be treated."""

from __future__ import annotations

import re

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from rest_framework.request import Request

from foundation.exceptions import Problem

MOST_WAIT_SECONDS = 60
WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?(\d{1,6})\"?\s*(?=$|[,;])", re.IGNORECASE)
IDEMPOTENCY_KEY = re.compile(r"^[\x21-\x7e]{1,255}$")


class InvalidIdempotencyKey(Problem):
    """Idempotency-Key takes 1 to 255 visible ASCII characters without spaces."""

    default_code = "invalid-idempotency-key"
    default_detail = _("Idempotency-Key takes 1 to 255 visible ASCII characters without spaces.")


def wait_seconds(request: HttpRequest | Request) -> int:
    """How long the caller wants to wait: `Prefer: wait=30` (RFC 7240), at most MOST_WAIT_SECONDS; 0 for not at all.

    A preference that is not understood is ignored, as the RFC asks.
    """
    found = WAIT.search(request.headers.get("Prefer", ""))
    return min(int(found.group(1)), MOST_WAIT_SECONDS) if found else 0


def idempotency_key(request: HttpRequest | Request) -> str | None:
    """The caller's `Idempotency-Key`, or None. Raises InvalidIdempotencyKey."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not IDEMPOTENCY_KEY.match(key):
        raise InvalidIdempotencyKey
    return key
