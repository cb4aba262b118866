"""Which tools change the world. They stand above this room, so whoever knows them says so here."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

HasEffects = Callable[[str, uuid.UUID], bool]
"""Of a tool's name, used by an agent version."""

_has_effects: HasEffects | None = None


def register_effects(has_effects: HasEffects | None) -> None:
    """Called when the application starts; None takes it out again (for tests). Until then every tool has effects."""
    global _has_effects
    _has_effects = has_effects


def used_with_effects(messages: Iterable[Mapping[str, Any]], version_id: uuid.UUID) -> bool:
    """Whether canonical messages tell of a tool with effects, or of one that nobody knows."""
    names: dict[Any, str] = {}
    for said in messages:
        for call in said.get("tool_calls", ()):
            names[call["id"]] = call["name"]
        if said["type"] in ("tool", "function"):
            name = said.get("name") or names.get(said.get("tool_call_id"), "")
            if _has_effects is None or not name or _has_effects(name, version_id):
                return True
    return False
