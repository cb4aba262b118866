"""JWT: a short access token, and a refresh token that can be used once."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import cast

from allauth.account.adapter import get_adapter
from allauth.mfa.base.forms import AuthenticateForm
from allauth.mfa.utils import is_mfa_enabled
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest
from django_redis.exceptions import ConnectionInterrupted
from redis.exceptions import RedisError
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from rest_framework_simplejwt.tokens import RefreshToken
from rest_framework_simplejwt.utils import get_md5_hash_password

from accounts import audit
from accounts.exceptions import AccountError
from accounts.models import User


class WrongCredentials(AccountError):
    """The name or the password is wrong."""


class SecondFactorRequired(AccountError):
    """This account has a second factor: send its current code, or a recovery code, as `code`."""


class TooManyAttempts(AccountError):
    """Too many failed attempts; try again later."""


class SignInAway(AccountError):
    """Nobody can sign in at the moment; try again soon."""


class InvalidRefreshToken(AccountError):
    """The refresh token is wrong, expired, or has been used."""


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a signed-in person holds."""

    access: str
    refresh: str


def obtain_tokens(*, request: HttpRequest, username: str, password: str, code: str = "") -> TokenPair:
    """Signs in by name (or mail) and password, and the code of the second factor where there is one.

    Raises WrongCredentials (the same for a wrong name, password or code), SecondFactorRequired (the password is right
    and no code was given), TooManyAttempts (the limits of the sign-in page, counted together with it), and SignInAway
    (Redis, which counts them, cannot be reached).
    """
    try:
        user = get_adapter(request).authenticate(request, username=username, password=password)
        if not isinstance(user, User):
            raise WrongCredentials
        if is_mfa_enabled(user):
            _prove_second_factor(user, code)
    except ValidationError as error:
        raise TooManyAttempts from error
    except (ConnectionInterrupted, RedisError) as error:
        raise SignInAway from error
    with transaction.atomic():
        pair = _pair_for(user)
        audit.record(verb="auth.sign_in", actor=_actor(user, request), subject=user)
    return pair


def _prove_second_factor(user: User, code: str) -> None:
    """allauth's form knows the limits, what was used before, and whom to tell of a failure."""
    if not code:
        raise SecondFactorRequired
    form = AuthenticateForm({"code": code}, user=user)
    if form.is_valid():
        form.authenticator.record_usage()
    elif form.has_error("code", "too_many_login_attempts"):
        raise TooManyAttempts
    else:
        raise WrongCredentials


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
