"""The record of who did what. Written in the transaction of the deed, so that neither is there without the other.

Right after the commit the event gets its place in the chain (accounts.chain).
"""

from __future__ import annotations

import ipaddress
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from django.conf import settings
from django.db import models, transaction
from django.http import HttpRequest

from accounts import chain, links
from accounts.models import AuditEvent, User
from foundation.addresses import client_address
from telemetry.masking import masked


class Asked(Protocol):
    """A request of Django or of DRF."""

    user: Any
    META: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does it, and from where."""

    user_id: uuid.UUID | None = None
    name: str = ""
    address: str | None = None
    request_id: str = ""

    @classmethod
    def of(cls, request: HttpRequest | Asked, *, user: User | None = None) -> Actor:
        """Whoever sent this request; `user` where that is known before the request knows them."""
        who = user or request.user
        return cls(
            user_id=who.pk if isinstance(who, User) else None,
            name=who.get_username() if isinstance(who, User) else "",
            address=client_address(request.META, proxies=settings.TRUSTED_PROXIES),
            request_id=str(getattr(request, "request_id", "")),
        )


SYSTEM = Actor(name="system")

_verbs: dict[str, Any] = {}


def register_verb(verb: str, label: Any) -> None:
    """Makes a verb known, with how to say it (translatable), in AppConfig.ready."""
    _verbs[verb] = label


def label_of(verb: str) -> str:
    """How to say it."""
    return str(_verbs.get(verb, verb))


def verbs() -> dict[str, str]:
    """Every verb and how to say it."""
    return {verb: str(label) for verb, label in _verbs.items()}


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """What has changed, as `changes` tell it: `{"field": {"before": …, "after": …}}`, secrets masked.

    A field that one of the two does not have was None there.
    """
    names = [*before, *(name for name in after if name not in before)]
    changed = [name for name in names if links.plain(before.get(name)) != links.plain(after.get(name))]
    return {
        name: {
            "before": masked(before.get(name), name=name),
            "after": masked(after.get(name), name=name),
        }
        for name in changed
    }


def record(
    *,
    verb: str,
    actor: Actor,
    subject: models.Model | None = None,
    outcome: str = AuditEvent.Outcome.DONE,
    changes: Mapping[str, Any] | None = None,
    shreds: list[list[int]] | None = None,
) -> AuditEvent:
    """Writes one event. `changes` is JSON and holds no secrets. `shreds` are the runs of positions whose fields the
    deed blanks (accounts.shredding). Raises KeyError for a verb that nobody registered.
    """
    if verb not in _verbs:
        raise KeyError(verb)
    event = AuditEvent(
        verb=verb,
        outcome=outcome,
        actor_id=actor.user_id,
        actor_name=links.plain(actor.name)[:150],
        subject_type=subject._meta.label_lower if subject is not None else "",
        subject_id=subject.pk if subject is not None and isinstance(subject.pk, uuid.UUID) else None,
        subject_name=links.plain(str(subject))[:200] if subject is not None else "",
        changes=links.plain(dict(changes or {})),
        address=_address(actor.address),
        request_id=links.plain(actor.request_id)[:64],
        salt=links.new_salt(),
    )
    event.digests = links.digests_of(chain.link_of(event)) | ({links.SHREDS: shreds} if shreds else {})
    event.digests[links.PROOF] = links.proof_of(chain.link_of(event))
    event.save(force_insert=True)
    transaction.on_commit(chain.chain_soon, robust=True)
    return event


def _address(text: str | None) -> str | None:
    """As the database takes it: without the zone of a link-local one; None for what is no address."""
    try:
        return ipaddress.ip_address((text or "").partition("%")[0]).compressed
    except ValueError:
        return None
