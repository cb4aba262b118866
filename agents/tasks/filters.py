"""How lists of tasks are narrowed."""

from __future__ import annotations

import django_filters
from django.utils.translation import gettext_lazy as _

from agents.tasks.models import Status, Task


class TaskFilter(django_filters.FilterSet):  # type: ignore[misc]  # django-filter has no types
    """`?status=failed&status=cancelled&agent=assistant&created_after=…&created_before=…`"""

    status = django_filters.MultipleChoiceFilter(choices=Status.choices)
    agent = django_filters.CharFilter(field_name="agent__slug", label=_("The agent's slug."))
    created_after = django_filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte")
    created_before = django_filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt")
    retry_of = django_filters.UUIDFilter(field_name="retry_of")

    class Meta:
        model = Task
        fields: tuple[str, ...] = ()
