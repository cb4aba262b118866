"""Agents: what they are, and how an app defines its own.

Nothing here touches models, so that any app may import it at any time.
"""

from agents.definitions.definition import AgentDefinition
from agents.definitions.registry import register

__all__ = ["AgentDefinition", "register"]
