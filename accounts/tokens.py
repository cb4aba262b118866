"""JWT: a short access token, and a refresh token that can be used once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar, cast

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
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken, Token

from accounts import audit, second_factor, sessions
from accounts.exceptions import AccountError, SessionOver
from accounts.models import ApiSession, AuditEvent, User

# Ours have some 500 characters. Much longer ones are not looked at.
LONGEST = 4000

Kind = TypeVar("Kind", bound=Token)


class WrongCredentials(AccountError):
    """The name or the password is wrong."""


class SecondFactorRequired(AccountError):
    """This account has a second factor: send its current code, or a recovery code, as `code`."""


class SecondFactorSetupRequired(AccountError):
    """This account needs a second factor and has none: turn it on in the settings page first."""


class TooManyAttempts(AccountError):
    """Too many failed attempts; try again later."""


class SignInAway(AccountError):
    """Nobody can sign in at the moment; try again soon."""


class InvalidToken(AccountError):
    """The token is wrong or expired."""


class InvalidRefreshToken(InvalidToken):
    """The refresh token is wrong, expired, or has been used."""


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a signed-in person holds."""

    access: str
    refresh: str


def obtain_tokens(*, request: HttpRequest, username: str, password: str, code: str = "") -> TokenPair:
    """Signs in by name (or mail) and password, and the code of the second factor where there is one.

    Raises WrongCredentials (the same for a wrong name, password or code), SecondFactorRequired (the password is right
    and no code was given), SecondFactorSetupRequired (right, and the installation wants more), TooManyAttempts (the
    limits of the sign-in page, counted together with it), and SignInAway (Redis, which counts them, cannot be reached).
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
    if second_factor.is_missing(user):
        raise SecondFactorSetupRequired
    with transaction.atomic():
        pair = _pair_for(sessions.begin(user=user, request=request))
        audit.record(verb="auth.sign_in", actor=audit.Actor.of(request, user=user), subject=user)
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


def refresh_tokens(*, refresh: str, request: HttpRequest) -> TokenPair:
    """Trades a refresh token for a new pair, once: of any number of simultaneous trades one succeeds.

    Raises InvalidRefreshToken; also when its session has ended, or its owner is gone, inactive, or has changed the
    password. SecondFactorSetupRequired when the installation wants one since.
    """
    used = _read(_Used, refresh)
    try:
        session = sessions.of_token(used)
        if second_factor.is_missing(session.user):
            raise SecondFactorSetupRequired
        with transaction.atomic():
            if _use_up(used):
                sessions.prolong(session)
                return _pair_for(session)
    except SessionOver as error:
        raise InvalidRefreshToken from error
    _tell_reuse(used, session, request)
    raise InvalidRefreshToken


def revoke_tokens(*, refresh: str, request: HttpRequest) -> None:
    """Ends the session of a refresh token, with every token of it; no error when it had ended.

    Raises InvalidRefreshToken for what is none.
    """
    try:
        sessions.sign_out(claims=_read(_Used, refresh), request=request)
    except SessionOver as error:
        raise InvalidRefreshToken from error


def read_access(text: str) -> AccessToken:
    """An access token whose signature, kind, issuer, audience and times are right. Raises InvalidToken."""
    return _read(AccessToken, text)


class _Used(RefreshToken):
    """Verified in all but the list of used ones, which simplejwt reads without deciding between rivals."""

    def check_blacklist(self) -> None:
        """Left to `_use_up`."""


def _read(kind: type[Kind], text: str) -> Kind:
    """Its signature, kind and times are right. Claims and headers are anybody's to write before that is known, and
    libraries meet some of them unprepared: deep nesting, times beyond the calendar."""
    wrong = InvalidRefreshToken if issubclass(kind, RefreshToken) else InvalidToken
    if len(text) > LONGEST or not text.isascii():
        raise wrong
    try:
        return kind(text)  # type: ignore[arg-type]  # simplejwt means its text
    except (TokenError, ValueError, TypeError, ArithmeticError, OSError, RecursionError) as error:
        raise wrong from error


def _use_up(token: RefreshToken) -> bool:
    """Puts the token on the list of used ones; False when it was there. The unique row decides between rivals."""
    _row, is_new = cast("tuple[BlacklistedToken, bool]", token.blacklist())
    return is_new


@transaction.atomic
def _tell_reuse(token: RefreshToken, session: ApiSession, request: HttpRequest) -> None:
    """Writes down, once for each token, that a used one came again. The session lives on: two tabs of one program do
    this every day, and ending it would let whoever has an old token sign people out (docs/adr/0021)."""
    # Its row is the lock, so that of simultaneous ones one is written down.
    OutstandingToken.objects.select_for_update().filter(jti=token["jti"]).first()
    known = AuditEvent.objects.filter(verb="auth.token_reuse", subject_id=session.user_id, changes__token=token["jti"])
    if not known.exists():
        audit.record(
            verb="auth.token_reuse", actor=audit.Actor.of(request, user=session.user), subject=session.user,
            outcome=AuditEvent.Outcome.DENIED, changes={"token": token["jti"], "session": str(session.pk)},
        )  # fmt: skip


def _pair_for(session: ApiSession) -> TokenPair:
    refresh = RefreshToken.for_user(session.user)
    # simplejwt copies it into the access tokens that it makes of this one.
    refresh[sessions.CLAIM] = str(session.pk)
    # Its text would be a credential at rest; only its id is needed.
    OutstandingToken.objects.filter(jti=refresh["jti"]).update(token="")
    return TokenPair(access=str(refresh.access_token), refresh=str(refresh))
