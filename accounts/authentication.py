"""One authentication path for JWTs and API keys."""

from __future__ import annotations

import re
from typing import Any

from django.conf import settings
from django.utils.translation import gettext_lazy as _
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from accounts import audit, keys, sessions
from accounts.exceptions import InvalidKey, KeyRefused, SessionOver
from accounts.models import ApiKey, AuditEvent, User
from accounts.narrowing import narrow
from accounts.tokens import InvalidToken, read_access
from foundation.addresses import client_address
from foundation.seldom import Seldom

REALM = 'Bearer realm="mutirao"'
# What keys and JWTs are made of. No comma: servers join repeated headers with one.
_CREDENTIAL = re.compile(r"[A-Za-z0-9._~+/=-]{1,4096}")
# A program with a key that was revoked tries on and on; the record says so at most so often for each key and process.
refused_keys_told = Seldom(seconds=60.0)


class BearerAuthentication(BaseAuthentication):
    """`Authorization: Bearer <JWT or API key>` or `X-Api-Key: <API key>`; `request.auth` is the credential.

    Anything else in one of the two headers is refused, also beside a right one: nobody has to guess which one counted.
    """

    def authenticate(self, request: Request) -> tuple[User, Any] | None:
        """The caller and their credential; None without any. Raises AuthenticationFailed for a wrong one."""
        bearer, key = _bearer(request), _api_key(request)
        if bearer is not None and key is not None and bearer != key:
            raise _refused(_("There are two different credentials in the request; send one."))
        credential = bearer if key is None else key
        if credential is None:
            return None
        if key is not None or keys.looks_like_key(credential) or "." not in credential:
            return _by_key(credential, request)
        return _by_token(credential)

    def authenticate_header(self, request: Request) -> str:
        """How to do it right: makes the answer a 401."""
        return REALM


def _bearer(request: Request) -> str | None:
    given = request.headers.get("Authorization")
    if given is None:
        return None
    scheme, _space, text = given.strip().partition(" ")
    if scheme.lower() != "bearer" or not _CREDENTIAL.fullmatch(text.strip()):
        raise _refused(_("The Authorization header has to be “Bearer”, a space, and one JWT or API key."))
    return text.strip()


def _api_key(request: Request) -> str | None:
    given = request.headers.get("X-Api-Key")
    if given is not None and not _CREDENTIAL.fullmatch(given.strip()):
        raise _refused(_("The X-Api-Key header has to be one API key."))
    return None if given is None else given.strip()


def _refused(sentence: Any) -> AuthenticationFailed:
    return AuthenticationFailed(sentence, "invalid-credentials")


def _by_key(text: str, request: Request) -> tuple[User, ApiKey]:
    address = client_address(request.META, proxies=settings.TRUSTED_PROXIES)
    try:
        key = keys.authenticate(text, address=address)
    except InvalidKey as error:
        if isinstance(error, KeyRefused):
            _tell(error, request)
        # One sentence for all: whoever has found a key learns nothing of it.
        sentence = _("The API key is wrong, revoked or expired, or may not be used from here.")
        raise AuthenticationFailed(sentence, "invalid-key") from error
    narrow(key.owner, key)
    return key.owner, key


def _tell(refusal: KeyRefused, request: Request) -> None:
    """Writes down that a known key was refused."""
    if refused_keys_told.is_news(refusal.key.pk):
        audit.record(
            verb="api_key.use", actor=audit.Actor.of(request, user=refusal.key.owner), subject=refusal.key,
            outcome=AuditEvent.Outcome.DENIED, changes={"reason": refusal.reason},
        )  # fmt: skip


def _by_token(text: str) -> tuple[User, Any]:
    try:
        token = read_access(text)
        return sessions.of_token(token).user, token
    except (InvalidToken, SessionOver) as error:
        raise AuthenticationFailed(_("The token is wrong or expired."), "invalid-token") from error
