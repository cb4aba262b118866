"""The one throttle of the API. AsyncAPIView asks it right after it knows who asks, and before it refuses anybody."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING

from django.conf import settings
from django.utils.translation import gettext_lazy as _
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from accounts import limiting
from accounts.limiting import CountingAway, Limit, Usage
from accounts.models import ApiKey, User
from foundation.addresses import client_address
from foundation.exceptions import Problem
from telemetry import metrics

if TYPE_CHECKING:
    # rest_framework.views imports this module, by name, while it is being imported itself.
    from rest_framework.views import APIView


class TooManyRequests(Problem):
    """These are more requests than the limit allows."""

    status_code = 429
    default_code = "rate-limited"
    default_detail = _("Too many requests; try again later.")


class LimitsAway(Problem):
    """Requests cannot be counted."""

    status_code = 503
    default_code = "unavailable"
    default_detail = _("Requests cannot be counted at the moment, so none of this kind is accepted; try again soon.")
    wait = 2


class Throttle(BaseThrottle):
    """Counts a request once, and says on its answer how many more there may be.

    A view of whom nobody is asked who they are names its scope in `limit_scope`.
    """

    def allow_request(self, request: Request, view: APIView) -> bool:
        """Always True; raises TooManyRequests, LimitsAway."""
        user = request.user
        if isinstance(user, User):
            key = request.auth if isinstance(request.auth, ApiKey) else None
            _count(request, limiting.limits_of_caller(user, key))
        else:
            address = client_address(request.META, proxies=settings.TRUSTED_PROXIES)
            _count(request, limiting.limits_of_address(address, getattr(view, "limit_scope", limiting.ADDRESS)))
        return True


def count_for_agent(request: Request, agent_id: uuid.UUID) -> None:
    """Counts a request that submits to this agent under the limits that all who do so share.

    Views call it when they know the agent. Raises TooManyRequests, LimitsAway.
    """
    _count(request, limiting.limits_of_agent(agent_id))


def _count(request: Request, limits: Sequence[Limit]) -> None:
    try:
        usages = limiting.count(limits)
    except CountingAway as error:
        raise LimitsAway from error
    if not usages:
        return
    _tell(request, usages)
    if over := [usage for usage in usages if usage.is_over]:
        worst = limiting.strictest(over)
        assert worst is not None  # noqa: S101 (there is one)
        _note_refused(worst.limit.scope)
        refusal = TooManyRequests(scope=worst.limit.scope)
        refusal.wait = worst.reset
        raise refusal


def _tell(request: Request, usages: Sequence[Usage]) -> None:
    """On the answer, whatever becomes of it: of all limits that were counted, the strictest one."""
    answered = request._request
    known: list[Usage] = [*getattr(answered, "rate_usages", ()), *usages]
    answered.rate_usages = known  # type: ignore[attr-defined]
    worst, headers = limiting.strictest(known), getattr(answered, "answer_headers", None)
    if worst is not None and headers is not None:
        headers |= headers_of(worst)


def headers_of(usage: Usage) -> dict[str, str]:
    """What an answer says of a limit (draft-ietf-httpapi-ratelimit-headers-06)."""
    rate = usage.limit.rate
    return {
        "RateLimit-Limit": str(rate.count),
        "RateLimit-Remaining": str(usage.remaining),
        "RateLimit-Reset": str(usage.reset),
        "RateLimit-Policy": f"{rate.count};w={rate.seconds}",
    }


@metrics.harmless
def _note_refused(scope: str) -> None:
    metrics.RATE_LIMITED.labels(scope).inc()
