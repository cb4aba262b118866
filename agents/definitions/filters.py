"""How lists of agents are narrowed."""

from __future__ import annotations

import django_filters

from agents.definitions.models import Agent


class AgentFilter(django_filters.FilterSet):  # type: ignore[misc]  # django-filter has no types
    """`?source=code&model=openai:gpt-5`"""

    source = django_filters.ChoiceFilter(choices=Agent.Source.choices)
    model = django_filters.CharFilter(field_name="current_version__model")

    class Meta:
        model = Agent
        fields: tuple[str, ...] = ()
