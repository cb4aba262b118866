"""What this room keeps of a person, but for the row of the person (accounts.erasing)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _
from guardian.models import UserObjectPermission
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken

from accounts import keys
from accounts.models import ApiKey, ApiSession, AuditEvent, Quota, RateLimit, User
from accounts.privacy import Holding, blank, delete, ids_of, register_holding, rows_of

Rows = Iterator[Mapping[str, Any]]


def _profile(user: User) -> Rows:
    row = next(rows_of(User.objects.filter(pk=user.pk), without=("password",)), None)
    if row is not None:
        roles = sorted(user.groups.values_list("name", flat=True))
        yield {**row, "roles": roles, "permissions": sorted(user.get_all_permissions())}


def _grants(user: User) -> Rows:
    """On single things; roles are in the profile."""
    grants = UserObjectPermission.objects.filter(user=user).select_related("permission__content_type")
    for grant in grants.order_by("pk"):
        yield {"permission": grant.permission.codename, "object_id": grant.object_pk}


@transaction.atomic
def _take_grants(user: User) -> int:
    count = delete(UserObjectPermission.objects.filter(user=user))
    user.groups.clear()
    user.user_permissions.clear()
    return count


def _keys(user: User) -> Rows:
    return rows_of(ApiKey.objects.filter(owner=user), without=("digest",))


def _blank_keys(user: User) -> int:
    """Tasks and quotas know them by their ids, so the rows stay; they were revoked when the account was closed."""
    blank_values: dict[str, Any] = {"name": "", "digest": "", "addresses": [], "last_used_from": None}
    count = blank(ApiKey.objects.filter(owner=user).exclude(name="", digest=""), **blank_values)
    keys.forget()
    return count


def _limits(user: User) -> list[QuerySet[Quota] | QuerySet[RateLimit]]:
    """Those of the person and of their keys."""
    own = Q(user=user) | Q(api_key__owner=user)
    return [Quota.objects.filter(own), RateLimit.objects.filter(own)]


def _sessions(user: User) -> Rows:
    yield from rows_of(UserSession.objects.filter(user=user), without=("session_key", "data"))
    yield from rows_of(ApiSession.objects.filter(user=user))
    yield from rows_of(OutstandingToken.objects.filter(user=user), without=("token",))


def end_sessions(user: User) -> int:
    """Signs the person out everywhere: pages, admin and API."""
    own = UserSession.objects.filter(user=user)
    Session.objects.filter(session_key__in=[*own.values_list("session_key", flat=True)]).delete()
    return (
        delete(own) + delete(ApiSession.objects.filter(user=user)) + delete(OutstandingToken.objects.filter(user=user))
    )


def _proofs(user: User) -> Rows:
    """Which there are, never what they are made with."""
    yield from rows_of(Authenticator.objects.filter(user=user), without=("data",))
    yield from rows_of(EmailAddress.objects.filter(user=user))


def _delete_proofs(user: User) -> int:
    return delete(Authenticator.objects.filter(user=user)) + delete(EmailAddress.objects.filter(user=user))


def _events(user: User) -> Rows:
    """Where others were when they did something to this account is theirs."""
    for row in rows_of(AuditEvent.objects.about_or_by(user.pk), without=("salt", "digests", "hash")):
        yield row if row["actor_id"] == user.pk else {**row, "address": None, "request_id": ""}


def _admin_log(user: User) -> Rows:
    return rows_of(LogEntry.objects.filter(user=user))


def _blank_admin_log(user: User) -> int:
    """What the person did in the admin, and what was done there to the person."""
    about = LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(User), object_id=str(user.pk))
    return blank(LogEntry.objects.filter(user=user), object_repr="", change_message="") + blank(
        about, object_repr="", change_message=""
    )


def register_holdings() -> None:
    """Called when the application starts."""
    for holding in (
        Holding("profile", _("profile and roles"), _profile, lambda _user: 0, order=900),
        Holding("grants", _("rights on single things"), _grants, _take_grants, order=910),
        Holding(
            "api-keys", _("API keys"), _keys, _blank_keys, order=920,
            things=lambda user: ids_of(ApiKey.objects.filter(owner=user)),
        ),
        Holding(
            "limits", _("quotas and rate limits"), lambda user: chain.from_iterable(map(rows_of, _limits(user))),
            lambda user: sum(map(delete, _limits(user))), order=925,
            things=lambda user: chain.from_iterable(map(ids_of, _limits(user))),
        ),
        Holding("sessions", _("sessions"), _sessions, end_sessions, order=930),
        Holding("second-factors", _("second factors and mail addresses"), _proofs, _delete_proofs, order=940),
        Holding("admin-log", _("Django's own log of the admin"), _admin_log, _blank_admin_log, order=950),
        # Shredded when all else is gone: erasing leaves events too.
        Holding("audit", _("audit events"), _events, lambda _user: 0, order=960),
    ):  # fmt: skip
        register_holding(holding)
