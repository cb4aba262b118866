"""What an API key may be narrowed to. A key without scopes may do all that its owner may."""

from __future__ import annotations

from collections.abc import Iterable

from django.utils.translation import gettext_lazy as _

from accounts.exceptions import UnknownScope

SCOPES = {
    "agents:read": _("see agents"),
    "agents:write": _("share agents"),
    "tasks:read": _("see tasks and their events"),
    "tasks:write": _("submit, cancel and retry tasks"),
    "schedules:read": _("see schedules and what came of them"),
    "schedules:write": _("make, change, pause and run schedules"),
    "conversations:read": _("read conversations"),
    "conversations:write": _("begin, continue and share conversations"),
    "approvals:read": _("see what agents want to do"),
    "approvals:write": _("approve, change and refuse what agents want to do"),
    "webhooks:read": _("see webhook endpoints and deliveries"),
    "webhooks:write": _("change webhook endpoints, replay deliveries"),
    "models:read": _("see how models are set up, and calls to them"),
    "models:write": _("change credentials, deployments, routes and prices, and try them"),
    "circuits:read": _("see circuit breakers"),
    "circuits:write": _("hold circuit breakers open or closed"),
    "answers:read": _("see cached answers, and what the cache saves"),
    "answers:write": _("remove cached answers, and say that one was wrong"),
    "usage:read": _("see what was spent"),
    "limits:read": _("see quotas and rate limits"),
    "limits:write": _("change quotas and rate limits"),
    "keys:read": _("see API keys"),
    "keys:write": _("make, rotate and revoke API keys"),
    "audit:read": _("read and export the audit log"),
    "me:export": _("download all data of one's own"),
    "users:read": _("see accounts, and why they may what they may"),
    "users:write": _("make, change and deactivate accounts, and give roles"),
    "roles:read": _("see roles"),
    "roles:write": _("make, change and delete roles"),
}


# What stands before the colon, as a heading.
GROUPS = {
    "agents": _("Agents"),
    "tasks": _("Tasks"),
    "schedules": _("Schedules"),
    "conversations": _("Conversations"),
    "approvals": _("Approvals"),
    "webhooks": _("Webhooks"),
    "models": _("Models"),
    "circuits": _("Circuit breakers"),
    "answers": _("Cached answers"),
    "usage": _("Usage"),
    "limits": _("Limits and quotas"),
    "keys": _("API keys"),
    "audit": _("Audit"),
    "me": _("My data"),
    "users": _("Users"),
    "roles": _("Roles"),
}


def group_of(scope: str) -> str:
    """The heading that a scope stands under."""
    return str(GROUPS[scope.partition(":")[0]])


def check_scopes(scopes: Iterable[str]) -> list[str]:
    """The same, sorted and without repetition. Raises UnknownScope naming the first that is none."""
    wanted = sorted(set(scopes))
    for scope in wanted:
        if scope not in SCOPES:
            raise UnknownScope(f"There is no scope {scope!r}; there are {', '.join(SCOPES)}.")
    return wanted
