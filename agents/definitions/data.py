"""What crosses this room's borders: plain, frozen data."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypedDict

TOOL_CALLING = "tool-calling"
"""The graph kind of agents that are only configured: a model in a loop with its tools."""


class ConfigurationFields(TypedDict, total=False):
    """The fields of a configuration, by name; see Configuration."""

    kind: str
    model: str
    system_prompt: str
    tools: list[str]
    parameters: dict[str, Any]
    limits: dict[str, Any]
    memory_messages: int
    policy: dict[str, Any]
    cache: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What an agent version is made of.

    `model` is `provider:model`, empty for the installation's default; `tools` are names; `parameters` go to
    the model (`{"temperature": 0.2}`); `limits` are the task's defaults: `seconds`, `steps`, `tokens`,
    `cost`, all optional; `memory_messages` is how many earlier messages of a conversation the agent is shown;
    `policy` says how its tasks are executed, see `agents.definitions.policy`; `cache` when its model calls may be
    answered by earlier answers, see `agents.definitions.cache_policy`.
    """

    kind: str = TOOL_CALLING
    model: str = ""
    system_prompt: str = ""
    tools: tuple[str, ...] = ()
    parameters: Mapping[str, Any]
    limits: Mapping[str, Any]
    memory_messages: int = 20
    policy: Mapping[str, Any] = field(default_factory=dict)
    cache: Mapping[str, Any] = field(default_factory=dict)

    def as_fields(self) -> ConfigurationFields:
        """The same as JSON-ready fields of an AgentVersion."""
        return {
            "kind": self.kind,
            "model": self.model,
            "system_prompt": self.system_prompt,
            "tools": list(self.tools),
            "parameters": dict(self.parameters),
            "limits": {
                name: str(value) if isinstance(value, Decimal) else value for name, value in self.limits.items()
            },
            "memory_messages": self.memory_messages,
            "policy": dict(self.policy),
            "cache": dict(self.cache),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionData(Configuration):
    """An agent version as the runtime needs it, with what its agent says of it. Shared between threads."""

    id: uuid.UUID
    agent_id: uuid.UUID
    slug: str
    number: int
    digest: str
    queue: str
