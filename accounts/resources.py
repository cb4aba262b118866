"""What there are rights to, in human words: resources in rows, verbs in columns, permissions in the cells.

Every room registers its resources in AppConfig.ready. Roles, the matrix of the admin, the API and the answer to "why
can this person do this?" all read them here; what is enforced are Django's permissions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.exceptions import UnknownCell


class Verb(models.TextChoices):
    """What one can do with a resource."""

    VIEW = "view", _("view")
    USE = "use", _("use")
    CHANGE = "change", _("change")
    APPROVE = "approve", _("approve")
    ADMINISTER = "administer", _("administer")


Permissions = tuple[str, ...]
"""As Django writes them: `room.codename`."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One row of the matrix. A verb that it does not have is an empty cell.

    `help` says of a verb what it means here; `own` says what everybody may do with what is theirs, without any right.
    All texts are translatable.
    """

    name: str
    label: Any
    verbs: Mapping[Verb, Permissions]
    help: Mapping[Verb, Any] = field(default_factory=dict)
    own: Any = ""
    # What people look for first stands first, whichever room brings it; of equals the lower room's.
    rank: int = 0

    def cells(self) -> Iterator[Cell]:
        """In the order of the columns."""
        for verb in Verb:
            if self.verbs.get(verb):
                yield Cell(self, verb)


@dataclass(frozen=True, slots=True)
class Cell:
    """A resource and a verb that it has."""

    resource: Resource
    verb: Verb

    @property
    def name(self) -> str:
        """`agents:use`."""
        return f"{self.resource.name}:{self.verb}"

    @property
    def permissions(self) -> Permissions:
        """All of them together are the right."""
        return self.resource.verbs[self.verb]

    @property
    def label(self) -> str:
        """For whoever hears it alone."""
        return f"{self.resource.label}: {self.verb.label}"

    @property
    def help(self) -> str:
        """What it means, where the words do not say it."""
        return str(self.resource.help.get(self.verb, ""))


_resources: dict[str, Resource] = {}


def register_resource(resource: Resource) -> None:
    """Makes a resource known. Raises ValueError for a name that is taken."""
    if resource.name in _resources:
        raise ValueError(resource.name)
    _resources[resource.name] = resource


def extend_resource(name: str, verbs: Mapping[Verb, Permissions], help: Mapping[Verb, Any] | None = None) -> None:  # noqa: A002
    """Adds permissions of a higher room to a resource that a lower one has registered. Raises KeyError."""
    known = _resources[name]
    joined = {verb: (*known.verbs.get(verb, ()), *verbs.get(verb, ())) for verb in Verb}
    _resources[name] = replace(known, verbs=joined, help={**known.help, **(help or {})})


def resources() -> list[Resource]:
    """Every row of the matrix, in its order."""
    return sorted(_resources.values(), key=lambda resource: resource.rank)


def cells() -> list[Cell]:
    """Every cell that is not empty."""
    return [cell for resource in resources() for cell in resource.cells()]


def find_cell(resource: str, verb: str) -> Cell:
    """Raises UnknownCell for a resource that is not registered, and for a verb that it does not have."""
    known = _resources.get(resource)
    if known is None or verb not in Verb.values or not known.verbs.get(Verb(verb)):
        raise UnknownCell.of(resource, verb)
    return Cell(known, Verb(verb))


def permissions_of(given: Mapping[str, Iterable[str]]) -> set[str]:
    """The permissions in these cells: `{"agents": ["view", "use"]}`. Raises UnknownCell."""
    return {
        permission
        for name, verbs in given.items()
        for verb in verbs
        for permission in find_cell(name, verb).permissions
    }


def known_permissions() -> set[str]:
    """Those that stand in the matrix."""
    return {permission for cell in cells() for permission in cell.permissions}


@dataclass(frozen=True, slots=True)
class Summary:
    """A set of permissions in the words of the matrix: whole cells, cells of which only a part is there, the rest."""

    whole: dict[str, list[str]]
    partial: dict[str, list[str]]
    other: list[str]

    @property
    def sentence(self) -> str:
        """What it gives, for people: `Agents: view, use; Tasks: change (partly)`. Empty for nothing."""
        rows = {resource.name: resource for resource in resources()}
        in_part = _("partly")
        partly = {name: [f"{Verb(verb).label} ({in_part})" for verb in self.partial[name]] for name in self.partial}
        whole = {name: [str(Verb(verb).label) for verb in self.whole[name]] for name in self.whole}
        said = [
            f"{row.label}: {', '.join(whole.get(name, []) + partly.get(name, []))}"
            for name, row in rows.items()
            if name in whole or name in partly
        ]
        return "; ".join([*said, *self.other])


def summarise(permissions: Iterable[str]) -> Summary:
    """Which cells a set of permissions fills."""
    given = set(permissions)
    summary = Summary({}, {}, sorted(given - known_permissions()))
    for cell in cells():
        there = given.intersection(cell.permissions)
        if there:
            kind = summary.whole if len(there) == len(set(cell.permissions)) else summary.partial
            kind.setdefault(cell.resource.name, []).append(cell.verb.value)
    return summary
