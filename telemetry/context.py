"""Who the running code works for, for log lines and error reports. Imports no models: logging is set up before them.

The ids (`request_id`, `trace_id`, `task_id`, `user_id`, `agent`) are structlog's context variables, which threads that
run in a copy of the context share. The user of a request is known only after authentication, deep inside the view; so
the request itself is remembered, and asked when a line is written.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from django.http import HttpRequest

ID_NAMES = ("request_id", "task_id", "trace_id", "user_id", "agent")

current_request: ContextVar[HttpRequest | None] = ContextVar("mutirao_request", default=None)


def user_id_of(request: HttpRequest) -> str:
    """The id of whoever has been authenticated so far; empty for nobody. Never asks the database."""
    members = request.__dict__
    # Django's lazy user keeps what it has found in `_cached_user`; DRF puts the plain user into `user`.
    user = members.get("_cached_user")
    if user is None and "_wrapped" not in getattr(members.get("user"), "__dict__", {}):
        user = members.get("user")
    key = getattr(user, "pk", None)
    return "" if key is None else str(key)


def ids() -> dict[str, str]:
    """The ids of the running code that are known."""
    bound = structlog.contextvars.get_contextvars()
    found = {name: str(bound[name]) for name in ID_NAMES if bound.get(name)}
    request = current_request.get()
    if "user_id" not in found and request is not None and (user_id := user_id_of(request)):
        found["user_id"] = user_id
    return found


def add_user(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: the request's user, unless somebody has bound another."""
    request = current_request.get()
    if request is not None and "user_id" not in event and (user_id := user_id_of(request)):
        event["user_id"] = user_id
    return event
