"""Agents defined in code become rows."""

from __future__ import annotations

import structlog
from django.core.exceptions import ValidationError
from django.db import transaction

from agents.definitions import cache, registry, validators
from agents.definitions.definition import AgentDefinition
from agents.definitions.exceptions import InvalidAgent, SlugTaken
from agents.definitions.models import Agent
from agents.definitions.versions import digest_of, publish

logger = structlog.get_logger(__name__)


def sync_agents() -> list[str]:
    """Makes and updates the rows of the agents that are defined in code; gives the slugs of those that
    changed.

    Idempotent, and safe from several processes at once. A version is made only when configuration or code
    changed. An agent whose code is gone keeps its row and its versions and loses its current version, so that
    nothing can be submitted to it until the code is back; whether it is enabled remains the operator's word.
    Raises InvalidAgent, and SlugTaken when an agent made in the admin has the slug; agents before it in the
    alphabet have been written then.
    """
    definitions = registry.definitions()
    known = {agent.slug: agent for agent in Agent.objects.select_related("current_version")}
    changed = [definition.slug for definition in definitions if _sync(definition, known.get(definition.slug))]
    gone = _retire(except_slugs=[definition.slug for definition in definitions])
    if changed or gone:
        cache.forget()
        logger.info("agents.synchronised", changed=changed, gone=gone)
    return sorted([*changed, *gone])


def sync_agent(definition: type[AgentDefinition]) -> bool:
    """The same for one agent; gives whether anything changed."""
    agent = Agent.objects.select_related("current_version").filter(slug=definition.slug).first()
    changed = _sync(definition, agent)
    if changed:
        cache.forget()
    return changed


def _sync(definition: type[AgentDefinition], agent: Agent | None) -> bool:
    if agent is not None and agent.source != Agent.Source.CODE:
        raise SlugTaken(f"{_place(definition)} has the slug {agent.slug!r} of an agent that was made in the admin.")
    digest = digest_of(definition.configuration(), source=definition.source())
    if agent is not None and _is_current(agent, definition, digest):
        return False
    _validate(definition)
    with transaction.atomic():
        row, _made = Agent.objects.update_or_create(
            slug=definition.slug, source=Agent.Source.CODE, defaults=_description(definition)
        )
        publish(agent=row, configuration=definition.configuration(), digest=digest)
    return True


def _is_current(agent: Agent, definition: type[AgentDefinition], digest: str) -> bool:
    version = agent.current_version
    described = all(getattr(agent, field) == value for field, value in _description(definition).items())
    return described and version is not None and version.digest == digest


def _description(definition: type[AgentDefinition]) -> dict[str, str]:
    return {"name": definition.title(), "description": definition.description, "queue": definition.queue}


def _validate(definition: type[AgentDefinition]) -> None:
    described = Agent(slug=definition.slug, source=Agent.Source.CODE, **_description(definition))
    try:
        described.clean_fields(exclude=["current_version"])
        validators.validate(definition.configuration(), own_tools=definition.callables(), check_model=False)
    except (ValidationError, InvalidAgent) as error:
        errors = error.errors if isinstance(error, InvalidAgent) else error.message_dict
        raise InvalidAgent({f"{_place(definition)}.{field}": found for field, found in errors.items()}) from error


def _retire(*, except_slugs: list[str]) -> list[str]:
    """One guarded UPDATE per agent, so that of two processes one reports it."""
    orphans = Agent.objects.filter(source=Agent.Source.CODE, current_version__isnull=False).exclude(
        slug__in=except_slugs
    )
    return [
        slug
        for slug in orphans.values_list("slug", flat=True)
        if Agent.objects.filter(slug=slug, current_version__isnull=False).update(current_version=None)
    ]


def _place(definition: type[AgentDefinition]) -> str:
    return f"{definition.__module__}.{definition.__qualname__}"
