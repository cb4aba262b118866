"""How lists of deliveries are narrowed."""

from __future__ import annotations

import django_filters

from agents.webhooks.models import Delivery
from foundation.filters import MomentFilter


class DeliveryFilter(django_filters.FilterSet):  # type: ignore[misc]  # django-filter has no types
    """`?state=dead&state=failed&endpoint=<id>&task=<id>&event=task.finished&created_after=…&created_before=…`"""

    state = django_filters.MultipleChoiceFilter(choices=Delivery.State.choices)
    event = django_filters.ChoiceFilter(choices=Delivery.Event.choices)
    endpoint = django_filters.UUIDFilter(field_name="endpoint_id")
    task = django_filters.UUIDFilter(field_name="task_id")
    created_after = MomentFilter(field_name="created_at", lookup_expr="gte")
    created_before = MomentFilter(field_name="created_at", lookup_expr="lt")

    class Meta:
        model = Delivery
        fields: tuple[str, ...] = ()
