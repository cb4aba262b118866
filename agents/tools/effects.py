"""What the answer cache has to know of tools."""

from __future__ import annotations

import uuid

from agents.definitions import registry as definitions
from agents.definitions.services import agent_version_data
from agents.tools import registry
from agents.tools.exceptions import UnknownTool
from agents.tools.models import Effects
from agents.tools.traits import traits_of


def has_effects(name: str, version_id: uuid.UUID) -> bool:
    """Whether a tool of this name, used by this agent version, changes anything; so does one that nobody knows."""
    version = agent_version_data(version_id)
    own = definitions.callables(version.slug) if definitions.find(version.slug) else {}
    try:
        tool = own.get(name) or registry.get(name)
    except UnknownTool:
        return True
    return traits_of(tool).effects != Effects.NONE
