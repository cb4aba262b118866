"""Who has spent what: by day, agent, key and model, by person and role for whoever may see them, and one's quotas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import cast

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts import subjects
from accounts.models import Quota, User
from accounts.standing import standings_of
from agents.gateway.usage import savings, spending_by_model
from agents.tasks.usage import Days, Spending, sees_all, spending_of, tasks_of
from mutirao.pages.charts import Bar, Chart, bars
from mutirao.pages.looking_back import LENGTHS, axis_of, days_of, length_of

MOST_SHOWN = 20
MOST_QUOTAS = 100
# Columns are drawn in whole numbers.
MILLIONTHS = 1_000_000


@dataclass(frozen=True, slots=True)
class Table:
    """One way to divide what was spent."""

    title: str
    first: str
    counts: str
    rows: Sequence[Spending]
    has_more: bool


@login_required
@require_safe
def usage_page(request: HttpRequest) -> HttpResponse:
    """One's own, or everybody's for whoever may see that and has not asked for their own."""
    user = cast("User", request.user)
    length, mine = length_of(request), "mine" in request.GET or not sees_all(user)
    days = days_of(length)
    by_day = spending_of(tasks_of(user, days, mine=mine), "day")
    context = {
        "days": days,
        "length": length,
        "lengths": LENGTHS,
        "mine": mine,
        "sees_all": sees_all(user),
        "chart": _chart(by_day, days),
        "axis": axis_of(days),
        "count": sum(each.count for each in by_day),
        "tokens": sum(each.tokens for each in by_day),
        "cost": sum((each.cost for each in by_day), Decimal(0)),
        "tables": _tables(user, days, mine=mine) if by_day else [],
        "cache": savings(user, days, mine=mine) if by_day else None,
        "standings": standings_of(_quotas_of(user, mine=mine), user=user),
    }
    return render(request, "mutirao/usage.html", context)


def _quotas_of(user: User, *, mine: bool) -> list[Quota]:
    usable = subjects.agents().usable_by(user)
    rows = Quota.objects.applying_to(user, usable) if mine else Quota.objects.visible_to(user, usable)
    return [*rows.filter(is_enabled=True).named().order_by("created_at", "pk")[:MOST_QUOTAS]]


def _tables(user: User, days: Days, *, mine: bool) -> list[Table]:
    tasks, count = tasks_of(user, days, mine=mine), _("Tasks")
    found = [
        _table(_("By agent"), _("Agent"), count, spending_of(tasks, "agent")),
        _table(_("By key"), _("API key"), count, spending_of(tasks, "key")),
        _table(_("By model"), _("Model"), _("Calls"), spending_by_model(user, days, mine=mine)),
    ]
    if not mine:
        found.insert(0, _table(_("By person"), _("Person"), count, spending_of(tasks, "user")))
        found.insert(1, _table(_("By role"), _("Role"), count, spending_of(tasks, "role")))
    return [table for table in found if table.rows]


def _table(title: str, first: str, counts: str, rows: Sequence[Spending]) -> Table:
    return Table(title, first, counts, rows[:MOST_SHOWN], len(rows) > MOST_SHOWN)


def _chart(by_day: Sequence[Spending], days: Days) -> Chart:
    """Of money, or of tokens where nothing costs any."""
    known = {each.key: each for each in by_day}
    is_free = not any(each.cost for each in by_day)
    columns = [_bar(known.get(day.isoformat()), date_format(day, "SHORT_DATE_FORMAT"), is_free) for day in days.each()]
    return bars(columns, label_every=len(columns))


def _bar(spent: Spending | None, day: str, is_free: bool) -> Bar:  # noqa: FBT001
    if spent is None:
        return Bar(day, 0, 0)
    said = {"day": day, "cost": number_format(spent.cost, 4), "tokens": number_format(spent.tokens)}
    label = _("%(day)s: US$ %(cost)s, %(tokens)s tokens") % said
    return Bar(label, spent.tokens if is_free else int(spent.cost * MILLIONTHS), 0)
