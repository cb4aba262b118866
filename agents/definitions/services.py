"""Making agents, publishing their versions, and finding the one that a person asks for."""

from __future__ import annotations

import uuid
from dataclasses import replace
from functools import lru_cache
from typing import Unpack

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts import audit
from accounts.models import User
from accounts.narrowing import reaches
from agents.definitions import cache, registry, validators
from agents.definitions.data import Configuration, ConfigurationFields, VersionData
from agents.definitions.exceptions import InvalidAgent, UnknownAgent
from agents.definitions.models import Agent, AgentVersion
from agents.definitions.permissions import may_use
from agents.definitions.synchronisation import sync_agents
from agents.definitions.versions import digest_of, publish

__all__ = [
    "agent_version_data",
    "check_reached",
    "create_agent",
    "get_usable_agent",
    "installed_digest",
    "publish_version",
    "sync_agents",
    "update_agent",
]


def create_agent(
    *,
    slug: str,
    name: str = "",
    description: str = "",
    queue: str = "interactive",
    is_enabled: bool = True,
    actor: audit.Actor = audit.SYSTEM,
    **configuration: Unpack[ConfigurationFields],
) -> Agent:
    """Makes an agent from configuration alone, with its first version. Raises InvalidAgent, having made
    nothing.
    """
    wanted = _with_changes(Configuration(parameters={}, limits={}), configuration)
    agent = Agent(
        slug=slug, name=name or slug, description=description, queue=queue, is_enabled=is_enabled,
        source=Agent.Source.ADMIN,
    )  # fmt: skip
    _clean(agent)
    validators.validate(wanted)
    try:
        with transaction.atomic():
            agent.save(force_insert=True)
            publish(agent=agent, configuration=wanted, digest=digest_of(wanted))
            audit.record(
                verb="agent.create", actor=actor, subject=agent, changes=audit.difference({}, wanted.as_fields())
            )
            cache.forget_on_commit()
    except IntegrityError as error:
        raise InvalidAgent({"slug": [_("Another agent has this slug.")]}) from error
    return agent


def update_agent(
    *,
    agent: Agent,
    name: str | None = None,
    description: str | None = None,
    queue: str | None = None,
    is_enabled: bool | None = None,
    actor: audit.Actor = audit.SYSTEM,
) -> Agent:
    """Changes what is said of an agent; None leaves as it is. Of one defined in code only `is_enabled` lasts:
    the next sync_agents writes the rest as the code says it. Raises InvalidAgent.
    """
    given = {"name": name, "description": description, "queue": queue, "is_enabled": is_enabled}
    changes = {field: value for field, value in given.items() if value is not None and getattr(agent, field) != value}
    if not changes:
        return agent
    before = {field: getattr(agent, field) for field in changes}
    for field, value in changes.items():
        setattr(agent, field, value)
    _clean(agent)
    with transaction.atomic():
        agent.save(update_fields=[*changes])
        audit.record(verb="agent.update", actor=actor, subject=agent, changes=audit.difference(before, changes))
        cache.forget_on_commit()
    return agent


def publish_version(
    *, agent: Agent, actor: audit.Actor = audit.SYSTEM, **changes: Unpack[ConfigurationFields]
) -> AgentVersion:
    """Publishes the current configuration with these changes and makes it the current version.

    Gives the existing version when there is one with just this content. Raises InvalidAgent, also for an
    agent that is defined in code: that one changes with its code.
    """
    if agent.source == Agent.Source.CODE:
        raise InvalidAgent({"agent": [_("This agent is defined in code; change it there.")]})
    current = agent.current_version
    wanted = _with_changes(current.configuration if current else Configuration(parameters={}, limits={}), changes)
    validators.validate(wanted)
    before = current.configuration.as_fields() if current else {}
    with transaction.atomic():
        version = publish(agent=agent, configuration=wanted, digest=digest_of(wanted))
        changes_made = audit.difference(before, wanted.as_fields())
        audit.record(verb="agent.publish", actor=actor, subject=agent, changes=changes_made)
        cache.forget_on_commit()
    return version


def get_usable_agent(*, slug: str, user: User) -> Agent:
    """The agent with its current version, for a person who may use it.

    Raises UnknownAgent when there is none, when it is disabled and when it is not theirs to use, or not with the key
    that they came with: the caller learns no difference. The row is shared with other threads: read it, do not
    change it. Up to AGENT_CACHE_SECONDS old.
    """
    check_reached(slug=slug, user=user)
    agent = cache.agents.get(slug, lambda: _find_usable(slug))
    if agent is None or not cache.rights.get((user.pk, slug), lambda: may_use(user, agent)):
        raise _unknown(slug)
    return agent


def check_reached(*, slug: str, user: User) -> None:
    """Raises UnknownAgent for an agent that the key that the person came with is not for."""
    if not reaches(user, slug):
        raise _unknown(slug)


def _unknown(slug: str) -> UnknownAgent:
    return UnknownAgent(_("There is no agent “%(slug)s” that you may use.") % {"slug": slug})


@lru_cache(maxsize=1024)
def agent_version_data(version_id: uuid.UUID) -> VersionData:
    """What the runtime needs to know of a version; remembered, as it never changes. Raises UnknownAgent."""
    version = AgentVersion.objects.select_related("agent").filter(pk=version_id).first()
    if version is None:
        raise UnknownAgent
    return VersionData(
        id=version.pk,
        agent_id=version.agent_id,
        slug=version.agent.slug,
        number=version.number,
        digest=version.digest,
        queue=version.agent.queue,
        kind=version.kind,
        model=version.model,
        system_prompt=version.system_prompt,
        tools=tuple(version.tools),
        parameters=version.parameters,
        limits=version.limits,
        memory_messages=version.memory_messages,
        policy=version.policy,
        cache=version.cache,
    )


def installed_digest(slug: str) -> str | None:
    """The digest that this process's code of the agent would give a version; None for one not made of code."""
    definition = registry.find(slug)
    return None if definition is None else digest_of(definition.configuration(), source=definition.source())


def _find_usable(slug: str) -> Agent | None:
    return Agent.objects.usable().select_related("current_version").filter(slug=slug).first()


def _with_changes(configuration: Configuration, changes: ConfigurationFields) -> Configuration:
    given = dict(changes)
    if "tools" in changes:
        given["tools"] = tuple(changes["tools"])
    return replace(configuration, **given)  # type: ignore[arg-type]


def _clean(agent: Agent) -> None:
    try:
        agent.full_clean(exclude=["current_version"])
    except ValidationError as error:
        raise InvalidAgent(error.message_dict) from error
