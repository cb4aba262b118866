"""How lists of approvals are narrowed."""

from __future__ import annotations

import django_filters
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from agents.tools.models import Approval
from agents.tools.querysets import ApprovalQuerySet


class ApprovalFilter(django_filters.FilterSet):  # type: ignore[misc]  # django-filter has no types
    """`?open=true&state=refused&task=…&tool=…`"""

    state = django_filters.MultipleChoiceFilter(choices=Approval.State.choices)
    task = django_filters.UUIDFilter(field_name="task")
    tool = django_filters.CharFilter(field_name="tool")
    open = django_filters.BooleanFilter(method="filter_open", label=_("Those that a decision is waited for."))

    class Meta:
        model = Approval
        fields: tuple[str, ...] = ()

    def filter_open(self, found: QuerySet[Approval], _name: str, wanted: bool) -> QuerySet[Approval]:  # noqa: FBT001
        """Those that somebody waits for, or all others."""
        assert isinstance(found, ApprovalQuerySet)  # noqa: S101
        return found.pending() if wanted else found.exclude(pk__in=found.pending().values("pk"))
