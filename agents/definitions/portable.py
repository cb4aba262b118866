"""Agents made in the admin, as plain data: what is said of them and the configuration of their current version."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from django.utils.translation import gettext as _

from agents.definitions.data import Configuration, ConfigurationFields
from agents.definitions.exceptions import InvalidAgent
from agents.definitions.models import Agent
from agents.definitions.services import create_agent, publish_version, update_agent
from foundation.portable import Entry, NotApplicable, names_of, register_kind, text_of

ABOUT = ("name", "description", "queue", "is_enabled")
CONFIGURATION = (
    "kind", "model", "system_prompt", "tools", "parameters", "limits", "memory_messages", "policy", "cache",
)  # fmt: skip
TEXTS = ("name", "description", "queue", "kind", "model", "system_prompt")


class Agents:
    """Agents defined in code are not here: they travel with their code."""

    name = "agents"
    fields: Sequence[str] = (*ABOUT, *CONFIGURATION)

    def read(self) -> dict[str, Entry]:
        """Every agent made in the admin, by its slug."""
        agents = Agent.objects.filter(source=Agent.Source.ADMIN).select_related("current_version").order_by("slug")
        return {agent.slug: _entry(agent) for agent in agents}

    def apply(self, name: str, entry: Entry) -> None:
        """Makes the agent or changes it; a changed configuration is published as a new version."""
        _check(entry)
        about = {field: entry[field] for field in ABOUT if field in entry}
        configuration = cast("ConfigurationFields", {field: entry[field] for field in CONFIGURATION if field in entry})
        agent = Agent.objects.select_related("current_version").filter(slug=name).first()
        try:
            if agent is None:
                create_agent(slug=name, **about, **configuration)
                return
            if agent.source == Agent.Source.CODE:
                raise NotApplicable(_("This agent is defined in code; change it there."))
            update_agent(agent=agent, **about)
            if _differs(agent, configuration):
                publish_version(agent=agent, **configuration)
        except InvalidAgent as error:
            raise NotApplicable(str(error)) from error


def _entry(agent: Agent) -> dict[str, Any]:
    version = agent.current_version
    configuration = version.configuration if version else Configuration(parameters={}, limits={})
    return {**{field: getattr(agent, field) for field in ABOUT}, **configuration.as_fields()}


def _differs(agent: Agent, wanted: ConfigurationFields) -> bool:
    entry = _entry(agent)
    return any(entry[field] != value for field, value in wanted.items())


def _check(entry: Entry) -> None:
    """The kinds of values; what they may say is the services' to judge."""
    for field in TEXTS:
        text_of(entry, field)
    names_of(entry, "tools")
    for field in ("parameters", "limits", "policy", "cache"):
        if not isinstance(entry.get(field, {}), dict):
            raise NotApplicable(_("“%(field)s” has to be a mapping of names to values.") % {"field": field})
    if not isinstance(entry.get("is_enabled", True), bool):
        raise NotApplicable(_("“%(field)s” has to be true or false.") % {"field": "is_enabled"})
    messages = entry.get("memory_messages", 0)
    if not isinstance(messages, int) or isinstance(messages, bool):
        raise NotApplicable(_("“%(field)s” has to be a whole number.") % {"field": "memory_messages"})


def register_kinds() -> None:
    """Called when the application starts."""
    register_kind(Agents())
