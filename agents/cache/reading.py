"""What the cache may do with a request: nothing, and why, or more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from django.conf import settings

from agents.cache.canonical import NotCanonical, is_system, messages_of
from agents.cache.effects import used_with_effects
from agents.cache.scope import Scope, scope_of
from agents.cache.targets import parameters_of
from agents.definitions.cache_policy import CachePolicy, Mode, Wishes
from agents.gateway.answers import ModelRequest
from agents.gateway.models import CacheWhy

_STRICTNESS: Final[Mapping[Mode, int]] = {"off": 0, "exact": 1, "semantic": 2}
_ROLES: Final = {"human": "user", "ai": "assistant"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that may have been answered before.

    `dialogue` is the conversation for the semantic tier, `[{"role", "content"}]`; empty for a request that is only ever
    the same as itself: with tools' answers, pictures, sounds, or a mode below semantic.
    """

    request: ModelRequest
    policy: CachePolicy
    wishes: Wishes
    scope: Scope
    dialogue: Sequence[dict[str, str]]

    @property
    def question(self) -> str:
        """What was said last, for people to recognise it."""
        return next((text_of(said) for said in reversed(self.scope.messages) if text_of(said)), "")

    def is_fresh_enough(self, age: float) -> bool:
        """Whether the caller takes an answer of this age (s)."""
        return self.wishes.max_age is None or age <= self.wishes.max_age


def mode_of(policy: CachePolicy, wishes: Wishes) -> Mode:
    """The agent's, or the installation's where it has none; the caller's if that is stricter."""
    own: Mode = policy.mode or cast("Mode", settings.CACHE_MODE)
    return min(own, wishes.mode or own, key=lambda mode: _STRICTNESS[mode])


def why_not(request: ModelRequest, policy: CachePolicy, wishes: Wishes) -> CacheWhy | None:
    """Why the cache leaves this request alone, as far as that can be seen without looking at its text."""
    if mode_of(policy, wishes) == "off":
        return CacheWhy.OFF
    if wishes.use == "bypass":
        return CacheWhy.BYPASS
    context = request.context
    if context.agent_version_id is None or context.agent_id is None:
        return CacheWhy.NO_AGENT
    if context.owner_id is None and not policy.shareable:
        return CacheWhy.NO_OWNER
    if not policy.any_temperature and _temperature(request) > settings.CACHE_MOST_TEMPERATURE:
        return CacheWhy.TEMPERATURE
    return None


def read(request: ModelRequest, policy: CachePolicy, wishes: Wishes) -> Asked | CacheWhy:
    """The request with its scope, or why the cache leaves it alone."""
    version_id = request.context.agent_version_id
    assert version_id is not None  # noqa: S101 (why_not has seen to it)
    try:
        messages = messages_of(request.messages)
        if used_with_effects(messages, version_id):
            return CacheWhy.EFFECTS
        scope = scope_of(request, policy, messages)
    except (NotCanonical, ValueError, TypeError, AttributeError, RecursionError):
        return CacheWhy.CONTENT
    mode = mode_of(policy, wishes)
    return Asked(request, policy, wishes, scope, _dialogue(scope.messages) if mode == "semantic" else ())


def _temperature(request: ModelRequest) -> float:
    """The highest that the call may get: what it says itself, or what is set for its model or its deployments."""
    own = next((said for said in map(_said, (request.options, request.parameters)) if said is not None), None)
    behind = [_said(parameters) for parameters in parameters_of(request.target)] if own is None else []
    return max([own or 0.0, *(each for each in behind if each is not None)])


def _said(given: Mapping[str, Any]) -> float | None:
    for place in (given, given.get("model_kwargs"), given.get("extra_body")):
        value = place.get("temperature") if isinstance(place, Mapping) else None
        if isinstance(value, int | float):
            return float(value)
    return None


def _dialogue(messages: Sequence[Mapping[str, Any]]) -> Sequence[dict[str, str]]:
    """Nothing for a conversation that is more than what two sides have said in words."""
    if not messages or messages[-1]["type"] != "human" or not all(_is_words(said) for said in messages):
        return ()
    return [{"role": _ROLES[said["type"]], "content": text_of(said)} for said in messages]


def _is_words(said: Mapping[str, Any]) -> bool:
    if said["type"] not in _ROLES or not said.keys() <= {"type", "content"} or is_system(said):
        return False
    content = said["content"]
    return isinstance(content, str) or all(isinstance(part, str) or _is_text(part) for part in content)


def _is_text(part: Mapping[str, Any]) -> bool:
    return part.get("type") == "text" and isinstance(part.get("text"), str)


def text_of(said: Mapping[str, Any]) -> str:
    """The words of a canonical message."""
    content = said["content"]
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else ()
    return "\n".join(part if isinstance(part, str) else str(part.get("text", "")) for part in parts)
