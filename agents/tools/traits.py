"""What a tool says of itself besides its docstring: what it does to the world, and whether a person has to agree."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from agents.tools.exceptions import InvalidTool
from agents.tools.models import Effects

Function = TypeVar("Function", bound=Callable[..., Any])

ATTRIBUTE: Final = "mutirao_traits"


@dataclass(frozen=True, slots=True)
class Traits:
    """`effects`: "none" for what only reads or calculates, which costs no row and is simply repeated; "idempotent" for
    what may be repeated with the same `idempotency_key()`; "once" for the rest, and for tools that do not say.
    """

    effects: Effects = Effects.ONCE
    needs_approval: bool = False

    @property
    def is_recorded(self) -> bool:
        """Whether its calls are in the ledger."""
        return self.needs_approval or self.effects != Effects.NONE


UNSAID: Final = Traits()


def declare(*, effects: str = Effects.ONCE, needs_approval: bool = False) -> Callable[[Function], Function]:
    """Decorator for an agent's own functions; `register_tool` takes the same. Raises InvalidTool."""
    traits = traits_from({"effects": effects, "needs_approval": needs_approval})

    def decorate(function: Function) -> Function:
        setattr(function, ATTRIBUTE, traits)
        return function

    return decorate


def traits_from(said: Mapping[str, Any]) -> Traits:
    """From a mapping with `effects` and `needs_approval`, such as a LangChain tool's `metadata`. Raises InvalidTool."""
    effects = said.get("effects", Effects.ONCE)
    if effects not in Effects.values:
        raise InvalidTool(f"A tool's effects are none, idempotent or once, not {effects!r}.")
    return Traits(Effects(effects), bool(said.get("needs_approval", False)))


def traits_of(tool: Any) -> Traits:
    """What a function, or a LangChain tool (in its `metadata`, or on its function), says."""
    if isinstance(found := getattr(tool, ATTRIBUTE, None), Traits):
        return found
    metadata = getattr(tool, "metadata", None)
    if isinstance(metadata, Mapping) and metadata.keys() & {"effects", "needs_approval"}:
        return traits_from(metadata)
    for inner in (getattr(tool, "func", None), getattr(tool, "coroutine", None)):
        if isinstance(found := getattr(inner, ATTRIBUTE, None), Traits):
            return found
    return UNSAID
