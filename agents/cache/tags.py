"""The words by which entries are invalidated together."""

from __future__ import annotations

from agents.definitions.cache_policy import CachePolicy

LONGEST = 100
KNOWLEDGE = "knowledge:"


def of(policy: CachePolicy) -> list[str]:
    """Those of the agent, and one for each knowledge that it draws on."""
    return [*policy.tags, *(of_knowledge(name) for name in policy.knowledge)]


def of_knowledge(name: str) -> str:
    """The tag of what was made from this knowledge. Names that only differ far behind share one, which evicts more."""
    return f"{KNOWLEDGE}{name}"[:LONGEST]
