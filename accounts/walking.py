"""Walks links of the audit chain and tells the first that is not as it was written. Asks no database by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from accounts import links
from accounts.links import Link

Deeds = Callable[[Any], Any]
"""Gives the runs of positions that a deed says it has shredded, by the deed's id; None for what is no such deed."""


class ChainBroken(Exception):
    """The chain of audit events is broken."""

    def __init__(self, found: Break) -> None:
        super().__init__(found.sentence)
        self.found = found


@dataclass(frozen=True, slots=True)
class Break:
    """What is wrong, at which position (None: not at one), in one word and in a sentence."""

    kind: str
    sentence: str
    position: int | None = None


@dataclass(slots=True)
class Walk:
    """From the event after `position` on, whose hash is `hash`.

    `seals` are hashes by position whose signatures have been checked; events up to `covered` need no proof of their
    own, for a seal vouches for them. `deeds` is None where nobody can ask for them.
    """

    position: int = 0
    hash: str = ""
    seals: Mapping[int, str] = field(default_factory=dict)
    covered: int = 0
    deeds: Deeds | None = None
    # The chain has reached the events that carry proofs.
    with_proofs: bool = False
    checks_proofs: bool = True
    events: int = 0
    shredded: int = 0

    def take(self, link: Link) -> Break | None:
        """The next event; what is wrong with it, if anything is."""
        position = int(link["position"])
        found = self._place(position) or self._fields(link, position) or self._own(link, position)
        if found is None and self.seals.get(position, link["hash"]) != link["hash"]:
            found = _broken("rewritten", _("Event #%(position)d was rewritten after it was sealed."), position)
        self.position, self.hash = position, str(link["hash"])
        self.events += 1
        return found

    def end(self) -> Break | None:
        """After the last event: whether a seal knows of a later one."""
        last = max(self.seals, default=0)
        if last <= self.position:
            return None
        sentence = _("The end is missing: a seal knows of event #%(position)d, and the chain ends with #%(last)d.")
        return Break("truncated", sentence % {"position": last, "last": self.position}, last)

    def _place(self, position: int) -> Break | None:
        expected = self.position + 1
        if position > expected:
            return _broken("missing", _("Event #%(position)d is missing."), expected)
        if position < expected:
            return _broken("reordered", _("Event #%(position)d stands in a wrong place."), position)
        return None

    def _fields(self, link: Link, position: int) -> Break | None:
        """What the digests say."""
        if not isinstance(link["digests"], Mapping) or not {*links.SHREDDABLE} <= link["digests"].keys():
            return _changed("digests", position)
        if link["shredded_by"] is not None:
            return self._shredded(link, position)
        try:
            digests = links.digests_of(link)
        except ValueError:  # an address that is none
            return _changed("address", position)
        wrong = next((name for name, digest in digests.items() if link["digests"][name] != digest), None)
        return None if wrong is None else _changed(wrong, position)

    def _shredded(self, link: Link, position: int) -> Break | None:
        self.shredded += 1
        is_blank = not link["salt"] and all(link[name] == blank for name, blank in links.BLANK.items())
        if not is_blank:
            return _changed("shredded_by", position)
        if self.deeds is None or links.is_within(position, self.deeds(link["shredded_by"])):
            return None
        return _broken("shredded", _("Event #%(position)d was shredded, and no deed says so."), position)

    def _own(self, link: Link, position: int) -> Break | None:
        """Hash and proof together tell what has happened."""
        is_proven = self.checks_proofs and links.is_proven(link)
        if links.hash_of(self.hash, position, link) != link["hash"]:
            if is_proven:
                sentence = _(
                    "Event #%(position)d does not follow from the one before it: events were reordered, added or "
                    "removed, or a hash was changed."
                )
                return _broken("reordered", sentence, position)
            return _changed("", position)
        self.with_proofs = self.with_proofs or links.PROOF in link["digests"]
        if is_proven or not self.checks_proofs or position <= self.covered or not self.with_proofs:
            return None
        return _broken("inserted", _("Event #%(position)d was not written by this platform."), position)


def _broken(kind: str, sentence: str, position: int) -> Break:
    return Break(kind, sentence % {"position": position}, position)


def _changed(name: str, position: int) -> Break:
    if not name:
        return _broken("changed", _("Event #%(position)d was changed."), position)
    sentence = _("Event #%(position)d was changed: “%(name)s” is not what was written.")
    return Break("changed", sentence % {"position": position, "name": name}, position)
