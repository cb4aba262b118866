"""Every address there is, and the thing that each leads to: something of the member's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone
from django_celery_results.models import TaskResult
from rest_framework_simplejwt.tokens import RefreshToken

from accounts.audit import SYSTEM, record
from accounts.issuing import issue_api_key
from accounts.limits import create_quota, create_rate_limit
from accounts.models import User
from accounts.sharing import share
from agents.cache.models import CacheEntry, Calibration
from agents.definitions.models import Agent
from agents.gateway.models import Credential, Deployment, ModelCall, Price, Route, RouteStep
from agents.memory.services import post_message, start_conversation
from agents.schedules.services import create_schedule
from agents.tasks import queues, slots
from agents.tasks.services import submit
from agents.webhooks.models import Delivery, Endpoint
from agents.webhooks.signing import new_secret
from agents.worker.models import WorkerProcess
from telemetry.models import Span
from tests.api.conftest import approval_of

PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>|\(\?P<(\w+)>[^()]*(?:\([^()]*\))?[^()]*\)")
RECEIVER = "https://8.8.8.8/hook"


def walk(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every address below these patterns, and what answers there."""
    for pattern in patterns:
        address = f"{prefix}{pattern.pattern}"
        if isinstance(pattern, URLResolver):
            yield from walk(pattern.url_patterns, address)
        else:
            yield address, pattern.callback


@lru_cache
def routes() -> tuple[str, ...]:
    """Every address as the URLconf has it, once."""
    return tuple(dict.fromkeys(address for address, _view in walk(get_resolver().url_patterns)))


@dataclass
class Things:
    """Values for the parameters of an address, by what it begins with (the longest that fits), then by name."""

    values: dict[str, dict[str, Any]] = field(default_factory=dict)

    def path(self, route: str) -> str:
        """The address with the parameters filled in."""
        prefixes = sorted((prefix for prefix in self.values if route.startswith(prefix)), key=len)
        given = {name: value for prefix in prefixes for name, value in self.values[prefix].items()}
        filled = PARAMETER.sub(lambda found: str(given.get(found[1] or found[2], "x")), route)
        return "/" + filled.replace("^", "").replace("$", "").replace("\\", "")


def cached_of(member: User, agent: Agent) -> CacheEntry:
    """An answer that was kept for the member."""
    now = timezone.now()
    return CacheEntry.objects.create(
        scope="scope", exact="exact", agent_id=agent.pk, agent_version_id=agent.current_version_id or agent.pk,
        owner_id=member.pk, asked_by_id=member.pk, target="scripted:echo", question="hello",
        answer={"message": {"content": "hello", "whole": True}, "pieces": []}, stale_at=now,
        expires_at=now + timedelta(days=1),
    )  # fmt: skip


def calibration_of(agent: Agent) -> Calibration:
    """What was learned about the agent's semantic tier."""
    return Calibration.objects.create(agent_id=agent.pk, verifier="v", error_target=0.01, threshold=0.9)


def things_of(member: User, agent: Agent) -> Things:
    """Makes one of each: what the member has, and what an operator looks at."""
    task = submit(owner=member, agent=agent, input="hello").task
    waiting = submit(owner=member, agent=agent, input="hello").task
    approval = approval_of(waiting)
    conversation = start_conversation(owner=member, agent=agent)
    message = post_message(conversation=conversation, text="hello", owner=member).message
    schedule = create_schedule(
        owner=member, actor=SYSTEM, name="Nightly", agent=agent.slug, input="hello", cron="0 3 * * *"
    )
    endpoint = Endpoint.objects.create(owner=member, url=RECEIVER, secret=new_secret())
    delivery = Delivery.objects.create(
        owner=member, endpoint=endpoint, url=RECEIVER, host="8.8.8.8", body="{}", event="webhook.test"
    )
    key = issue_api_key(owner=member, name="of the member", actor=SYSTEM).row
    reader = User.objects.create(username="reader")
    of_agent = share(thing=agent, verb="use", to=reader, by=None, actor=SYSTEM)
    of_conversation = share(thing=conversation, verb="view", to=reader, by=member, actor=SYSTEM)
    quota = create_quota(subject="user:member", unit="cost", period="day", amount=Decimal(9), actor=SYSTEM)
    rate = create_rate_limit(subject="user:member", rate="9999/m", actor=SYSTEM)
    entry, calibration = cached_of(member, agent), calibration_of(agent)
    deployment = Deployment.objects.create(name="small", provider="scripted", model="echo")
    credential, route = Credential.objects.create(name="unused", provider="openai"), _route()
    queues.change(name="interactive", actor=SYSTEM)
    slots.set_limit(agent=agent, most_running=1, actor=SYSTEM)
    record(verb="user.change", actor=SYSTEM, subject=member)
    RefreshToken.for_user(member).blacklist()
    _unattended()
    of_tasks = {"pk": task.pk, "call": approval.tool_call_id, "verb": "cancel"}
    return Things({
        "": {"slug": agent.slug, "name": "interactive", "verb": "pause", "key": "x", "uidb36": "x"},
        "tasks/": of_tasks,
        "api/v1/tasks": {"pk": task.pk},
        "chat/": {"pk": conversation.pk},
        "chat/messages/": {"pk": message.pk},
        "chat/tasks/": {"pk": message.task_id},
        "conversations/": {"pk": conversation.pk},
        "api/v1/conversations": {"pk": conversation.pk, "message": message.pk, "grant": of_conversation.id},
        "schedules/": {"pk": schedule.pk, "verb": "pause"},
        "api/v1/schedules": {"pk": schedule.pk},
        "approvals/": {"pk": approval.pk},
        "api/v1/approvals": {"pk": approval.pk},
        "webhooks/": {"pk": endpoint.pk},
        "webhooks/deliveries/": {"pk": delivery.pk},
        "api/v1/webhooks": {"pk": endpoint.pk},
        "api/v1/models/credentials": {"pk": credential.pk},
        "api/v1/models/deployments": {"pk": deployment.pk},
        "api/v1/models/routes": {"pk": route.pk},
        "api/v1/webhooks/deliveries": {"pk": delivery.pk},
        "keys/": {"pk": key.pk},
        "api/v1/api-keys": {"pk": key.pk},
        "api/v1/users": {"pk": member.pk},
        "api/v1/roles": {"name": "member"},
        "api/v1/agents/": {"grant": of_agent.id},
        "api/v1/quotas": {"pk": quota.pk},
        "api/v1/rate-limits": {"pk": rate.pk},
        "api/v1/circuits": {"key": f"deployment:{deployment.pk}"},
        "admin/agents_circuits/": {"key": f"deployment:{deployment.pk}"},
        "api/v1/cache/entries": {"pk": entry.pk},
        "api/v1/cache/calibrations": {"pk": calibration.pk},
        "admin/": {"app_label": "accounts", "content_type_id": 1, "object_id": 1, "url": "nowhere"},
        **_first_of_every_model(member),
    })  # fmt: skip


def _route() -> Route:
    """One that leads to a deployment of its own, beside a price."""
    row = Route.objects.create(name="fast")
    RouteStep.objects.create(
        route=row, deployment=Deployment.objects.create(name="routed", provider="scripted", model="echo")
    )
    Price.objects.create(provider="openai", model="m", valid_from=timezone.now(), input_price=1, output_price=2)
    return row


def _unattended() -> None:
    """Rows that only the platform writes."""
    now = timezone.now()
    Span.objects.create(trace_id="a" * 32, span_id="b" * 16, name="x", kind="task", started_at=now, duration_ms=1)
    WorkerProcess.objects.create(name="w@host", pid=1, threads=1, polled_at=now)
    ModelCall.objects.create(provider="scripted", model="echo", started_at=now, latency_ms=1, outcome="succeeded")
    TaskResult.objects.create(task_id="celery-1", status="SUCCESS")


def _first_of_every_model(member: User) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for model in admin.site._registry:
        row = member if issubclass(model, User) else _row_of(model)
        name = f"admin/{model._meta.app_label}/{model._meta.model_name}/"
        found[name] = dict.fromkeys(("object_id", "id", "pk"), row.pk if row is not None else 1)
    return found


def _row_of(model: type[Model]) -> Model | None:
    return model._default_manager.order_by("pk").first()
