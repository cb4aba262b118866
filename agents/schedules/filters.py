"""How lists of schedules and their runs are narrowed."""

from __future__ import annotations

import django_filters
from django.utils.translation import gettext_lazy as _

from agents.schedules.models import Schedule, ScheduledRun


class ScheduleFilter(django_filters.FilterSet):  # type: ignore[misc]  # django-filter has no types
    """`?agent=assistant&is_paused=false`"""

    agent = django_filters.CharFilter(field_name="agent__slug", label=_("The agent's slug."))
    is_paused = django_filters.BooleanFilter(field_name="paused_at", lookup_expr="isnull", exclude=True)

    class Meta:
        model = Schedule
        fields: tuple[str, ...] = ()


class ScheduledRunFilter(django_filters.FilterSet):  # type: ignore[misc]  # django-filter has no types
    """`?outcome=refused&outcome=skipped_missed`"""

    outcome = django_filters.MultipleChoiceFilter(choices=ScheduledRun.Outcome.choices)

    class Meta:
        model = ScheduledRun
        fields: tuple[str, ...] = ()
