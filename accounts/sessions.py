"""Sessions of the API: one for each signing in with a password. Every token that comes of it carries its id (`sid`).

Every request with a token asks for the row and its person: what ended a moment ago opens nothing.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any, Protocol

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.utils import get_md5_hash_password

from accounts import audit
from accounts.audit import Actor
from accounts.exceptions import SessionOver
from accounts.models import ApiSession, User
from foundation.addresses import client_address

CLAIM = "sid"
LONGEST_PROGRAM = 200


class Claims(Protocol):
    """A verified token."""

    def get(self, key: str, default: Any = None) -> Any:
        """A claim."""


def begin(*, user: User, request: HttpRequest) -> ApiSession:
    """A new session, not yet kept for longer than one refresh token lives."""
    return ApiSession.objects.create(
        user=user,
        address=client_address(request.META, proxies=settings.TRUSTED_PROXIES),
        user_agent=request.headers.get("User-Agent", "").replace("\0", "")[:LONGEST_PROGRAM],
        expires_at=_end_of_a_new_token(),
    )


def prolong(session: ApiSession) -> None:
    """Keeps it for as long as the refresh token that is made now. Raises SessionOver when it ended meanwhile."""
    still_open = ApiSession.objects.filter(pk=session.pk, ended_at=None)
    if not still_open.update(refreshed_at=timezone.now(), expires_at=_end_of_a_new_token()):
        raise SessionOver


def _end_of_a_new_token() -> datetime:
    lifetime: timedelta = api_settings.REFRESH_TOKEN_LIFETIME
    return timezone.now() + lifetime


def of_token(claims: Claims) -> ApiSession:
    """The open session of a verified token with its user, by one query.

    Raises SessionOver for a token without one, a session that has ended, and a person who may not sign in any more or
    has another password now.
    """
    session = _of(claims)
    if not (session.is_open and session.user.may_sign_in and _has_password(claims, session.user)):
        raise SessionOver
    return session


def _of(claims: Claims) -> ApiSession:
    try:
        session_id, user_id = uuid.UUID(claims.get(CLAIM)), uuid.UUID(claims.get(api_settings.USER_ID_CLAIM))
    except (ValueError, TypeError, AttributeError) as error:
        raise SessionOver from error
    session = ApiSession.objects.select_related("user").filter(pk=session_id, user_id=user_id).first()
    if session is None:
        raise SessionOver
    return session


def _has_password(claims: Claims, user: User) -> bool:
    return bool(claims.get(api_settings.REVOKE_TOKEN_CLAIM) == get_md5_hash_password(user.password))


@transaction.atomic
def end_session(*, session: ApiSession, actor: Actor, verb: str = "api_session.end") -> bool:
    """Ends a session: no token of it opens anything from the next request on. False when it had ended before."""
    ended = ApiSession.objects.filter(pk=session.pk, ended_at=None).update(ended_at=timezone.now())
    if ended:
        # The person is what it happens to; the row will be deleted one day.
        audit.record(verb=verb, actor=actor, subject=session.user, changes={"session": str(session.pk)})
    return bool(ended)


def end_all(*, user: User) -> int:
    """Ends the sessions of somebody whose tokens are worth nothing any more (another password), so that they are not
    listed as open. How many there were."""
    return ApiSession.objects.filter(user=user, ended_at=None).update(ended_at=timezone.now())


def sign_out(*, claims: Claims, request: HttpRequest) -> bool:
    """Ends the session of a token, also of one that was used before. Raises SessionOver for none."""
    session = _of(claims)
    return end_session(session=session, actor=Actor.of(request, user=session.user), verb="auth.sign_out")
