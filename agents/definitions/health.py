"""Ready means: there are agents to run. Workers make their rows when they start, so this is about the first minute."""

from __future__ import annotations

from agents.definitions.models import Agent

_seen = False


def agents_are_there() -> str:
    """An empty string, or what to do."""
    global _seen
    if not _seen:
        _seen = Agent.objects.usable().exists()
    return "" if _seen else "There is no agent yet; start a worker, or run `manage.py sync_agents`."
