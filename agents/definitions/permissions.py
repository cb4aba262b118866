"""Who may do what with an agent: by the right to agents, or because it was shared with them."""

from __future__ import annotations

from typing import Final

from accounts.models import User
from agents.definitions.models import Agent
from agents.definitions.querysets import USE_AGENT

CHANGE_AGENT: Final = "agents_definitions.change_agent"


def may_use(user: User, agent: Agent) -> bool:
    """Talk to it and give it tasks."""
    return user.has_perm(USE_AGENT) or user.has_perm(USE_AGENT, agent)


def may_change(user: User, agent: Agent) -> bool:
    """Publish its versions and share it."""
    return user.has_perm(CHANGE_AGENT) or user.has_perm(CHANGE_AGENT, agent)
