"""JWT: a short access token, and a refresh token that can be used once."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import cast

from django.contrib.auth import authenticate
from django.db import transaction
from django.http import HttpRequest
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from rest_framework_simplejwt.tokens import RefreshToken
from rest_framework_simplejwt.utils import get_md5_hash_password

from accounts import audit
from accounts.exceptions import AccountError
from accounts.models import User


class WrongCredentials(AccountError):
    """The name or the password is wrong."""


class InvalidRefreshToken(AccountError):
    """The refresh token is wrong, expired, or has been used."""


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a signed-in person holds."""

    access: str
    refresh: str


def obtain_tokens(*, request: HttpRequest | None, username: str, password: str) -> TokenPair:
    """Signs in by name and password. Raises WrongCredentials, the same for a wrong name and a wrong password."""
    user = authenticate(request, username=username, password=password)
    if not isinstance(user, User):
        raise WrongCredentials
    with transaction.atomic():
        pair = _pair_for(user)
        audit.record(verb="auth.sign_in", actor=_actor(user, request), subject=user)
    return pair


def refresh_tokens(*, refresh: str) -> TokenPair:
    """Trades a refresh token for a new pair, once: of any number of simultaneous trades one succeeds.

    Raises InvalidRefreshToken; also when its owner is gone, inactive, or has changed the password.
    """
    used = _read(refresh)
    user = User.objects.filter(pk=used.get("user_id", ""), is_active=True).first()
    if user is None or used.get("hash_password") != get_md5_hash_password(user.password):
        raise InvalidRefreshToken
    with transaction.atomic():
        if not _use_up(used):
            raise InvalidRefreshToken
        return _pair_for(user)


def revoke_tokens(*, refresh: str, request: HttpRequest | None = None) -> None:
    """Makes a refresh token useless; no error when it was. Raises InvalidRefreshToken for what is none."""
    used = _read(refresh)
    user = User.objects.filter(pk=used.get("user_id", "")).first()
    with transaction.atomic():
        if _use_up(used):
            audit.record(verb="auth.sign_out", actor=_actor(user, request), subject=user)


class _Used(RefreshToken):
    """Verified in all but the list of used ones, which simplejwt reads without deciding between rivals."""

    def check_blacklist(self) -> None:
        """Left to `_use_up`."""


def _read(text: str) -> RefreshToken:
    """Its signature, kind and expiry are right."""
    try:
        token = _Used(text)  # type: ignore[arg-type]  # simplejwt means its text
        uuid.UUID(str(token.get("user_id")))
    except (TokenError, ValueError) as error:
        raise InvalidRefreshToken from error
    return token


def _use_up(token: RefreshToken) -> bool:
    """Puts the token on the list of used ones; False when it was there. The unique row decides between rivals."""
    _row, is_new = cast("tuple[BlacklistedToken, bool]", token.blacklist())
    return is_new


def _pair_for(user: User) -> TokenPair:
    refresh = RefreshToken.for_user(user)
    # Its text would be a credential at rest; only its id is needed.
    OutstandingToken.objects.filter(jti=refresh["jti"]).update(token="")
    return TokenPair(access=str(refresh.access_token), refresh=str(refresh))


def _actor(user: User | None, request: HttpRequest | None) -> audit.Actor:
    return audit.Actor(
        user_id=user.pk if user else None,
        name=user.get_username() if user else "",
        address=(request.META.get("REMOTE_ADDR") or None) if request else None,
        request_id=str(getattr(request, "request_id", "")),
    )
