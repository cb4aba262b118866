"""Asking anew, beside the calls: a stale answer, and what others want to know.

It is a call like any other in the ledger, but of no task, so that no task's limits count it.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from agents.cache import link
from agents.cache.background import background
from agents.cache.reading import Asked
from agents.gateway.answers import ModelRequest
from agents.gateway.data import CallContext
from foundation.seldom import Seldom

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage

REFRESH_SECONDS: Final = 60
_without_redis = Seldom(seconds=REFRESH_SECONDS)


def ask_again(request: ModelRequest, wishes: Mapping[str, Any], *, owner_id: uuid.UUID | None) -> AIMessage:
    """What the model says to the same request now, on the account of `owner_id` (None: nobody's but the agent's);
    raises GatewayError.

    `wishes` are as a task has them: `{"use": "refresh"}` puts the answer in the place of the one that is kept,
    `{"use": "bypass"}` leaves that alone.
    """
    from agents.gateway.chat import chat_model

    context = request.context
    anew = CallContext(
        agent_id=context.agent_id, agent_version_id=context.agent_version_id, owner_id=owner_id,
        trace_id=context.trace_id, request_id=context.request_id, cache_policy=context.cache_policy,
        cache_wishes=wishes,
    )  # fmt: skip
    model = chat_model(request.target, parameters=request.parameters, context=anew)
    if not request.streamed:
        return model.invoke([*request.messages], **request.options)
    joined: Any = None
    for piece in model.stream([*request.messages], **request.options):
        joined = piece if joined is None else joined + piece
    found: AIMessage = joined
    return found


def refresh_soon(asked: Asked) -> bool:
    """Has a stale answer asked anew, once at a time over all processes; whether this call has begun it."""
    lease = link.key("refresh", asked.scope.exact)
    try:
        is_ours = bool(link.ask(lambda redis: redis.set(lease, "1", nx=True, ex=REFRESH_SECONDS)))
    except link.Away:
        is_ours = _without_redis.is_news(asked.scope.exact)
    return is_ours and background.do(_refresh, asked.request, lease)


def price_of(said: object) -> Decimal | None:
    """As it stands in JSON."""
    return Decimal(str(said)) if said is not None else None


def _refresh(request: ModelRequest, lease: str) -> None:
    try:
        ask_again(request, {"use": "refresh"}, owner_id=request.context.owner_id)
    finally:
        link.ask_or(lambda redis: redis.delete(lease), None)
