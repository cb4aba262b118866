"""Agents can be shared one by one: to be used, and to be changed."""

from __future__ import annotations

from accounts.models import User
from accounts.resources import Verb
from accounts.sharing import Shareable, register_shareable
from accounts.sharing_views import GrantDetail, GrantList, described
from agents.definitions import cache
from agents.definitions.models import Agent
from agents.definitions.permissions import CHANGE_AGENT, may_change, may_use
from agents.definitions.querysets import USE_AGENT


def find_agent(user: User, slug: str) -> Agent | None:
    """An agent that this person may use or change, also a disabled one when they may change it. With a key that is
    narrowed to agents, one of these.
    """
    agent = Agent.objects.filter(slug=slug).first()
    if user.narrowed_to is not None and slug not in user.narrowed_to:
        return None
    if agent is None or not (may_change(user, agent) or (agent.is_usable and may_use(user, agent))):
        return None
    return agent


def may_see(user: User, agent: Agent) -> bool:
    """Its name: whoever may do anything with it."""
    return may_use(user, agent) or may_change(user, agent) or user.has_perm("agents_definitions.view_agent")


def may_share(user: User, agent: Agent, verb: Verb) -> bool:
    """Whoever may change it; to be used, only by somebody who may use it."""
    return may_change(user, agent) and (verb != Verb.USE or may_use(user, agent))


@described("agents")
class AgentGrantList(GrantList):
    """With whom an agent is shared."""

    area = "agents"


@described("agents")
class AgentGrantDetail(GrantDetail):
    """One grant on an agent."""

    area = "agents"


def register() -> None:
    """Called when the application starts."""
    verbs = {Verb.USE: USE_AGENT, Verb.CHANGE: CHANGE_AGENT}
    register_shareable(
        Shareable("agents", Agent._meta.verbose_name, Agent, verbs, find_agent, may_see, may_share, forget=cache.forget)
    )
