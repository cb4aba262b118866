"""What circuit breakers protect, in human words. Rooms above register what they have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from agents.circuits.exceptions import UnknownCircuit


@dataclass(frozen=True, slots=True)
class Protected:
    """Something that a breaker protects. `key` is `<kind>:<id>`, such as `deployment:0198…`."""

    key: str
    name: str
    kind: str

    @property
    def label(self) -> str:
        """What people call its kind: a credential and a deployment may have the same name."""
        return str(_labels.get(self.kind, self.kind))


Listing = Callable[[], Mapping[str, str]]
"""Key → name of everything of one kind that there is."""

_listings: dict[str, Listing] = {}
_labels: dict[str, Any] = {}


def register_listing(kind: str, listing: Listing, label: Any) -> None:
    """Called when the application starts. Keys of this kind begin with `<kind>:`; `label` is what people call it."""
    _listings[kind], _labels[kind] = listing, label


def everything() -> list[Protected]:
    """All that is protected, by kind and name. One query a kind."""
    found = [Protected(key, name, kind) for kind, listing in _listings.items() for key, name in listing().items()]
    return sorted(found, key=lambda each: (each.kind, each.name))


def find(key: str) -> Protected:
    """What this key protects. Raises UnknownCircuit."""
    kind = key.partition(":")[0]
    listing = _listings.get(kind)
    name = listing().get(key) if listing else None
    if name is None:
        raise UnknownCircuit
    return Protected(key, name, kind)
