"""How lists of conversations are narrowed."""

from __future__ import annotations

import django_filters

from agents.memory.models import Conversation, Message
from foundation.filters import MomentFilter


class ConversationFilter(django_filters.FilterSet):  # type: ignore[misc]  # django-filter has no types
    """`?agent=assistant&updated_after=…&updated_before=…`"""

    agent = django_filters.CharFilter(field_name="agent__slug")
    updated_after = MomentFilter(field_name="updated_at", lookup_expr="gte")
    updated_before = MomentFilter(field_name="updated_at", lookup_expr="lt")

    class Meta:
        model = Conversation
        fields: tuple[str, ...] = ()


class MessageFilter(django_filters.FilterSet):  # type: ignore[misc]  # django-filter has no types
    """`?role=assistant`"""

    role = django_filters.ChoiceFilter(choices=Message.Role.choices)

    class Meta:
        model = Message
        fields: tuple[str, ...] = ()
