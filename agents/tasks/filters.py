"""How lists of tasks are narrowed."""

from __future__ import annotations

from typing import cast

import django_filters
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from agents.tasks.models import Status, Task
from agents.tasks.querysets import TaskQuerySet
from foundation.filters import MomentFilter


class TaskFilter(django_filters.FilterSet):  # type: ignore[misc]  # django-filter has no types
    """`?status=failed&status=cancelled&agent=assistant&created_after=…&created_before=…`"""

    # A row is never found twice, and looking for that would sort all that are found.
    status = django_filters.MultipleChoiceFilter(choices=Status.choices, distinct=False)
    agent = django_filters.CharFilter(method="of_agent", label=_("The agent's slug."))
    created_after = MomentFilter(field_name="created_at", lookup_expr="gte")
    created_before = MomentFilter(field_name="created_at", lookup_expr="lt")
    retry_of = django_filters.UUIDFilter(field_name="retry_of")

    class Meta:
        model = Task
        fields: tuple[str, ...] = ()

    def of_agent(self, tasks: QuerySet[Task], _name: str, value: str) -> QuerySet[Task]:
        """Tasks of the agent of this slug."""
        return cast("TaskQuerySet", tasks).of_agent(value)
