"""How lists of model calls are narrowed."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from agents.definitions.models import Agent
from agents.gateway.models import ModelCall
from agents.gateway.models.calls import Tier
from foundation.filters import MomentFilter

NO_TIER = "none"


class ModelCallFilter(django_filters.FilterSet):  # type: ignore[misc]  # django-filter has no types
    """`?task=<id>&agent=assistant&tier=exact&tier=none&outcome=failed&unpriced=true&started_after=…`"""

    task = django_filters.UUIDFilter(field_name="task_id")
    agent = django_filters.CharFilter(method="of_agent", label=_("The agent's slug."))
    tier = django_filters.MultipleChoiceFilter(
        choices=[*Tier.choices, (NO_TIER, _("a provider"))], method="of_tiers", label=_("Who answered.")
    )
    outcome = django_filters.MultipleChoiceFilter(choices=ModelCall.Outcome.choices)
    route = django_filters.CharFilter(field_name="route", label=_("What was asked for."))
    unpriced = django_filters.BooleanFilter(
        field_name="cost", lookup_expr="isnull", label=_("Whether its cost is unknown.")
    )
    started_after = MomentFilter(field_name="started_at", lookup_expr="gte")
    started_before = MomentFilter(field_name="started_at", lookup_expr="lt")

    class Meta:
        model = ModelCall
        fields: tuple[str, ...] = ()

    def of_agent(self, rows: QuerySet[ModelCall], _name: str, slug: str) -> QuerySet[ModelCall]:
        """By the id of the agent of this slug."""
        agent = Agent.objects.filter(slug=slug).values_list("pk", flat=True).first()
        return rows.none() if agent is None else rows.filter(agent_id=agent)

    def of_tiers(self, rows: QuerySet[ModelCall], _name: str, tiers: list[Any]) -> QuerySet[ModelCall]:
        """Those that one of these answered."""
        wanted = ["" if tier == NO_TIER else tier for tier in tiers]
        return rows.filter(tier__in=wanted) if wanted else rows
