"""What can be written to a file, read by a person, and applied again: kinds that the rooms register.

A kind turns its rows into plain data and plain data into changes through its room's own services. Secrets are in
no kind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from django.utils.translation import gettext as _

Entry = Mapping[str, Any]
"""One row as plain data: what YAML can say."""


class NotApplicable(Exception):
    """The file says something that cannot be applied; the message is a sentence."""


class Kind(Protocol):
    """Rows of one kind, each known by a name that people choose."""

    name: str
    fields: Sequence[str]

    def read(self) -> dict[str, Entry]:
        """Every row of this kind that a file may hold, by name, with all fields."""

    def apply(self, name: str, entry: Entry) -> None:
        """Makes the row, or changes it, so that the given fields say what the entry says; others stay.

        Called in a transaction. Raises NotApplicable.
        """


_kinds: dict[str, Kind] = {}


def register_kind(kind: Kind, *, before: str = "") -> None:
    """Makes a kind known, in AppConfig.ready. Kinds are applied in the order of registration, lower rooms first; with
    `before`, ahead of another kind that names what this one makes.
    """
    known = [each for each in _kinds.values() if each.name != kind.name]
    place = next((place for place, each in enumerate(known) if each.name == before), len(known))
    known.insert(place, kind)
    _kinds.clear()
    _kinds.update((each.name, each) for each in known)


def kinds() -> dict[str, Kind]:
    """Every kind by its name in the file."""
    return dict(_kinds)


def text_of(entry: Entry, field: str, default: str = "") -> str:
    """A field that is text. Raises NotApplicable."""
    value = entry.get(field, default)
    if not isinstance(value, str):
        raise NotApplicable(_("“%(field)s” has to be text.") % {"field": field})
    return value


def names_of(entry: Entry, field: str) -> list[str]:
    """A field that is a list of names; empty when it is not given. Raises NotApplicable."""
    value = entry.get(field, [])
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise NotApplicable(_("“%(field)s” has to be a list of names.") % {"field": field})
    return value
