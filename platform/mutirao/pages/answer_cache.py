"""What the answer cache does: what it saves, why it did not answer, what it compared by meaning and learned of that."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.models import User
from agents.cache import addresses
from agents.cache import statistics as cache
from agents.cache.models import Calibration
from agents.gateway.evidence import Told, entry_of, told_to_operator
from agents.gateway.models import CacheWhy, ModelCall, Tier
from agents.tasks.models import Task
from mutirao.pages.charts import Bar, Chart, bars
from mutirao.pages.looking_back import LENGTHS, axis_of, days_of, length_of

SEES = "agents_cache.view_cacheentry"
SEES_LEARNED = "agents_cache.view_calibration"


@dataclass(frozen=True, slots=True)
class TierRow:
    """What one tier has answered; `share` of all calls, in per cent."""

    label: str
    saved: cache.Saved
    share: float


@dataclass(frozen=True, slots=True)
class Reason:
    """Why so many calls went to a provider, and whether they count in the hit rate."""

    label: str
    calls: int
    counts: bool


@dataclass(frozen=True, slots=True)
class AgentRow:
    """What the cache did for one agent; `hit_rate` in per cent."""

    agent: str
    row: cache.OfAgent
    hit_rate: float


@dataclass(frozen=True, slots=True)
class Learned:
    """What was learned about one agent; how many of its answers may be wrong, and are allowed to be, in per cent."""

    agent: str
    row: Calibration
    bound: float | None
    allowed: float


@dataclass(frozen=True, slots=True)
class Look:
    """A call that was compared by meaning. The task and the entry's address are empty where they are not to be seen."""

    told: Told
    agent: str
    task_id: uuid.UUID | None
    entry_address: str


@login_required
@require_safe
def answer_cache_page(request: HttpRequest) -> HttpResponse:
    """For whoever may see everybody's cached answers."""
    user = cast("User", request.user)
    if not user.has_perm(SEES):
        raise PermissionDenied
    length = length_of(request)
    return render(request, "mutirao/answer_cache.html", {"length": length, "lengths": LENGTHS, **_found(user, length)})


def _found(user: User, length: int) -> dict[str, Any]:
    """All that the page shows."""
    days = days_of(length)
    since = days.begins_at
    found, by_day = cache.statistics(since), cache.by_day(days)
    agents = cache.by_agent(since, most=cache.MOST_AGENTS + 1)
    learned = [*cache.calibrations()] if user.has_perm(SEES_LEARNED) else []
    calls = cache.compared(since)
    named = [*(row.agent_id for row in agents), *(row.agent_id for row in learned), *(call.agent_id for call in calls)]
    names = cache.names_of(named)
    return {
        "days": days,
        "found": found,
        "percent": 100 * found.hit_rate,
        "chart": _chart(by_day),
        "axis": axis_of(days),
        "tiers": _tiers(found),
        "reasons": _reasons(found.unanswered),
        "agents": [
            AgentRow(_name(each.agent_id, names), each, 100 * each.hit_rate) for each in agents[: cache.MOST_AGENTS]
        ],
        "has_more_agents": len(agents) > cache.MOST_AGENTS,
        "learned": [_learned(row, names) for row in learned],
        "opens_admin": user.is_staff,
        "looks": _looks(user, calls, names),
    }


def _chart(by_day: Iterable[cache.OneDay]) -> Chart:
    return bars([_bar(each) for each in by_day], label_every=1)


def _bar(each: cache.OneDay) -> Bar:
    said = {
        "day": date_format(each.day, "SHORT_DATE_FORMAT"), "calls": number_format(each.calls),
        "hits": number_format(each.hits),
    }  # fmt: skip
    return Bar(_("%(day)s: %(calls)s calls, %(hits)s from the cache") % said, each.calls, each.hits)


def _tiers(found: cache.Statistics) -> list[TierRow]:
    labels = {"": _("a provider"), **dict(Tier.choices)}
    return [
        TierRow(str(labels.get(each.tier, each.tier)), each, 100 * each.calls / found.calls) for each in found.tiers
    ]


def _reasons(unanswered: Mapping[str, int]) -> list[Reason]:
    """The most frequent first."""
    labels = {"": _("there was no cache, or it said nothing"), **dict(CacheWhy.choices)}
    rows = [Reason(str(labels.get(why, why)), calls, why in cache.ASKED) for why, calls in unanswered.items()]
    return sorted(rows, key=lambda row: (-row.calls, row.label))


def _learned(row: Calibration, names: Mapping[uuid.UUID, str]) -> Learned:
    bound = None if row.bound is None else 100 * row.bound
    return Learned(_name(row.agent_id, names), row, bound, 100 * row.error_target)


def _looks(user: User, calls: list[ModelCall], names: Mapping[uuid.UUID, str]) -> list[Look]:
    tasks = {call.task_id for call in calls if call.task_id}
    seen = {*Task.objects.visible_to(user).filter(pk__in=tasks).order_by().values_list("pk", flat=True)}
    entries = addresses.of_entries(user, {entry for call in calls if (entry := entry_of(call))})
    return [
        Look(
            told_to_operator(call), _name(call.agent_id, names), call.task_id if call.task_id in seen else None,
            entries.get(entry, "") if (entry := entry_of(call)) else "",
        )
        for call in calls
    ]  # fmt: skip


def _name(agent_id: uuid.UUID | None, names: Mapping[uuid.UUID, str]) -> str:
    """Its id when it is gone."""
    return _("no agent") if agent_id is None else names.get(agent_id) or str(agent_id)
