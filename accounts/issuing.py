"""Issuing, rotating and revoking API keys."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit, keys
from accounts.audit import Actor
from accounts.exceptions import InvalidLimit, KeyEnded, NameTaken, NotManageable, ScopeTooWide
from accounts.limits import save_quota, save_rate_limit
from accounts.models import ApiKey, Quota, RateLimit, User
from accounts.narrowing import check_agents
from accounts.networks import are_within, check_networks
from accounts.rights import may_manage
from accounts.scopes import check_scopes

ADD = "accounts.add_apikey"


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key: its row, and the text that is shown this once."""

    row: ApiKey
    key: str


def check_may_issue(*, user: User, owner: User) -> None:
    """Everybody for themselves; for others whoever may issue keys and has all their rights. Raises NotManageable."""
    if user.pk != owner.pk and not (user.has_perm(ADD) and may_manage(user, owner)):
        raise NotManageable


def issue_api_key(
    *,
    owner: User,
    name: str,
    actor: Actor,
    scopes: Iterable[str] = (),
    agents: Iterable[str] = (),
    addresses: Iterable[str] = (),
    expires_at: datetime | None = None,
    rate: str = "",
    monthly_cost: Decimal | None = None,
    within: ApiKey | None = None,
) -> IssuedKey:
    """Makes a key, narrowed to scopes, agents (slugs) and networks; with its own limits of requests and money (US$).

    `within` is the key that the caller used: the new one can do no more, lives no longer, shares its limits, and ends
    when that one is revoked. Whether the caller may do it for this owner: `check_may_issue`.
    Raises UnknownScope, AgentNotUsable, InvalidAddress, InvalidLimit, ScopeTooWide, NameTaken (a live key of this owner
    has the name), KeyEnded (`within` was revoked a moment ago).
    """
    made = keys.new_key()
    row = ApiKey(
        owner=owner, name=name, prefix=made.prefix, digest=made.digest, scopes=check_scopes(scopes),
        agents=check_agents(agents, owner), addresses=check_networks(addresses), expires_at=expires_at,
    )  # fmt: skip
    limits = _limits_of(row, rate, monthly_cost)
    if within is not None:
        if not (_reaches(within, row) and _lasts(within, expires_at)):
            raise ScopeTooWide
        row.made_with, row.lineage = within, within.lineage
    try:
        with transaction.atomic():
            _hold(within)
            row.save(force_insert=True)
            for limit in limits:
                _set(limit, actor)
            audit.record(verb="api_key.issue", actor=actor, subject=row, changes=_told(row, limits))
    except IntegrityError as error:
        raise NameTaken(
            _("“%(owner)s” already has a key named “%(name)s”.") % {"owner": owner, "name": name}
        ) from error
    return IssuedKey(row=row, key=made.text)


def _limits_of(row: ApiKey, rate: str, monthly_cost: Decimal | None) -> list[RateLimit | Quota]:
    limits: list[RateLimit | Quota] = []
    if rate:
        limits.append(RateLimit(api_key=row, rate=rate.strip()))
    if monthly_cost is not None:
        limits.append(Quota(api_key=row, unit=Quota.Unit.COST, period=Quota.Period.MONTH, amount=monthly_cost))
    return limits


def _set(limit: RateLimit | Quota, actor: Actor) -> None:
    """Raises InvalidLimit, by the names that `issue_api_key` has for them."""
    if isinstance(limit, RateLimit):
        save_rate_limit(limit=limit, actor=actor)
        return
    try:
        save_quota(quota=limit, actor=actor)
    except InvalidLimit as error:
        raise InvalidLimit({"monthly_cost": error.errors.get("amount", [str(error)])}) from error


def _told(row: ApiKey, limits: Iterable[RateLimit | Quota]) -> dict[str, object]:
    optional = {"agents": row.agents, "addresses": row.addresses, "limits": [str(limit) for limit in limits]}
    return {"scopes": row.scopes, **{name: value for name, value in optional.items() if value}}


def _hold(within: ApiKey | None) -> None:
    """Lets a revocation of the key that is used wait, or see what was made. Raises KeyEnded: it came first."""
    if within is not None:
        row = ApiKey.objects.select_for_update().filter(pk=within.pk, revoked_at=None).first()
        if row is None:
            raise KeyEnded


def _reaches(key: ApiKey, other: ApiKey) -> bool:
    """Whether the first key can do all that the other can, wherever it is used."""
    return (
        _covers(key.scopes, other.scopes)
        and _covers(key.agents, other.agents)
        and (not key.addresses or (bool(other.addresses) and are_within(other.addresses, key.addresses)))
    )


def _covers(wide: list[str], narrow: list[str]) -> bool:
    """An empty list narrows nothing."""
    return not wide or (bool(narrow) and set(narrow) <= set(wide))


def _lasts(key: ApiKey, moment: datetime | None) -> bool:
    return key.expires_at is None or (moment is not None and moment <= key.expires_at)


def rotate_api_key(
    *, api_key: ApiKey, actor: Actor, overlap: timedelta = timedelta(0), within: ApiKey | None = None
) -> IssuedKey:
    """Makes a key of the same owner, name, narrowing and limits; the old one opens for `overlap` more, never longer
    than it had.

    The new key lives as long as the old one was made to. `within` is the key that the caller used, as for
    `issue_api_key`; it also caps the life of the new one.
    Raises KeyEnded (revoked, expired, or rotated before: of simultaneous rotations one succeeds), ScopeTooWide.
    """
    if within is not None and not (_reaches(within, api_key) and _shares_limits(within, api_key)):
        raise ScopeTooWide
    now = timezone.now()
    made = keys.new_key()
    row = ApiKey(
        owner=api_key.owner, name=api_key.name, prefix=made.prefix, digest=made.digest, scopes=api_key.scopes,
        agents=api_key.agents, addresses=api_key.addresses, lineage=api_key.lineage, made_with_id=api_key.made_with_id,
        expires_at=_earliest(_renewed(api_key, now), within.expires_at if within else None),
    )  # fmt: skip
    with transaction.atomic():
        _hold(within)
        # The name has to be free before the new row takes it; the reference is checked at the end of the transaction.
        if not _still_opens(api_key, now).update(replaced_by=row, **_ending(api_key, now, overlap)):
            raise KeyEnded
        row.save(force_insert=True)
        changes = {"new_key": made.prefix, "overlap_seconds": int(overlap.total_seconds())}
        audit.record(verb="api_key.rotate", actor=actor, subject=api_key, changes=changes)
    return IssuedKey(row=row, key=made.text)


def _shares_limits(key: ApiKey, other: ApiKey) -> bool:
    """Whether the other is not a way around the limits of this one."""
    if key.lineage == other.lineage:
        return True
    of_key = {"api_key__lineage": key.lineage}
    return not (RateLimit.objects.filter(**of_key).exists() or Quota.objects.filter(**of_key).exists())


def _still_opens(key: ApiKey, now: datetime) -> QuerySet[ApiKey]:
    """Conditions on its own row alone: with its owner's, the update would see rows as they were before a rival's."""
    unexpired = Q(expires_at=None) | Q(expires_at__gt=now)
    return ApiKey.objects.filter(unexpired, pk=key.pk, revoked_at=None, replaced_by=None)


def _renewed(key: ApiKey, now: datetime) -> datetime | None:
    return now + (key.expires_at - key.created_at) if key.expires_at else None


def _earliest(*moments: datetime | None) -> datetime | None:
    return min((moment for moment in moments if moment is not None), default=None)


def _ending(key: ApiKey, now: datetime, overlap: timedelta) -> dict[str, datetime | None]:
    return {"expires_at": _earliest(key.expires_at, now + overlap)} if overlap else {"revoked_at": now}


def revoke_api_key(*, api_key: ApiKey, actor: Actor) -> bool:
    """Ends a key for good, and the keys that were made with it or with those that it has followed; False when it was
    revoked before. It holds from the next request on, in every process.
    """
    with transaction.atomic():
        changed = ApiKey.objects.filter(pk=api_key.pk, revoked_at=None).update(revoked_at=timezone.now())
        made = _revoke_made_with(api_key)
        if changed:
            changes = {"also": made} if made else {}
            audit.record(verb="api_key.revoke", actor=actor, subject=api_key, changes=changes)
    return bool(changed)


def _revoke_made_with(api_key: ApiKey) -> list[str]:
    """The prefixes of the keys that ended with this one."""
    made = ApiKey.objects.filter(pk__in=_made_with(api_key), revoked_at=None)
    prefixes = sorted(made.values_list("prefix", flat=True))
    made.update(revoked_at=timezone.now())
    return prefixes


def _made_with(api_key: ApiKey) -> set[uuid.UUID]:
    """The ids of all keys that would not be there without this one and those that it has followed."""
    relatives = ApiKey.objects.filter(lineage=api_key.lineage).values_list("pk", "made_with_id", "replaced_by_id")
    known = [*relatives]
    origins, size = {api_key.pk}, 0
    while len(origins) > size:
        size = len(origins)
        origins |= {pk for pk, _maker, successor in known if successor in origins}
    followed, made = set(origins), set[uuid.UUID]()
    while True:
        more = {pk for pk, maker, _successor in known if maker in followed | made} - made - followed
        if not more:
            return made
        made |= more
