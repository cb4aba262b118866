"""What a page says at its head when much of a quota is spent (a context processor)."""

from __future__ import annotations

from typing import Any

from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone

from accounts import quotas
from accounts.models import NOBODY, QuotaPeriod, User
from accounts.periods import end_of
from accounts.quota_warnings import MAY_CHANGE
from accounts.standing import Standing
from accounts.subjects import names_of
from mutirao.pages.navigation import NOT_OURS

MOST_SHOWN = 3


def quota_banner(request: HttpRequest) -> dict[str, Any]:
    """`spent_quotas`: those in which somebody was warned in the current period, for whoever they concern, the fullest
    first. No query where there is no quota, else one, and one for the roles of the person.
    """
    user = getattr(request, "user", None)
    if not isinstance(user, User) or request.path.startswith(NOT_OURS) or not quotas.exist():
        return {}
    found = _concerning(user)
    return {"spent_quotas": [*_standings(found)]} if found else {}


def _concerning(user: User) -> list[QuotaPeriod]:
    mine = Q(quota__user=user) | Q(quota__api_key__owner=user) | Q(holder_id=user.pk)
    shared = Q(quota__each_member=False, quota__user=None, quota__api_key=None)
    if not user.has_perm(MAY_CHANGE):
        roles = [*user.groups.values_list("pk", flat=True)]
        shared &= Q(quota__role__in=roles) | Q(quota__role=None, quota__agent_id=None)
    rows = QuotaPeriod.objects.current(timezone.now()).filter(
        mine | shared, warned__gt=0, quota__is_enabled=True, holder_id__in=(NOBODY, user.pk)
    )
    related = rows.select_related("quota__user", "quota__role", "quota__api_key")
    return [*related.order_by("-warned", "pk")[:MOST_SHOWN]]


def _standings(rows: list[QuotaPeriod]) -> list[Standing]:
    names = names_of([row.quota for row in rows])
    return [
        Standing(row.quota, name, row.spent, row.reserved, row.starts_at, end_of(row.quota.period, row.starts_at))
        for row, name in zip(rows, names, strict=True)
    ]
