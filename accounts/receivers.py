"""The audit entries of signing in: what allauth and Django tell about it."""

from __future__ import annotations

from typing import Any

from allauth.account import signals as account_signals
from allauth.mfa import signals as second_factor_signals
from allauth.mfa.models import Authenticator
from django.contrib.auth.signals import user_logged_out
from django.dispatch import receiver
from django.http import HttpRequest

from accounts import audit, sessions
from accounts.models import AuditEvent, User

DENIED = AuditEvent.Outcome.DENIED


def _record(
    verb: str, request: HttpRequest, user: User, outcome: str = AuditEvent.Outcome.DONE, **changes: Any
) -> None:
    """The one that it happens to is the one that does it, also before the session knows them."""
    actor = audit.Actor.of(request, user=user)
    audit.record(verb=verb, actor=actor, subject=user, outcome=outcome, changes=changes)


@receiver(account_signals.user_logged_in)
def signed_in(request: HttpRequest, user: User, **_kwargs: Any) -> None:
    """With everything that is asked for, the second factor included."""
    _record("auth.sign_in", request, user)


@receiver(second_factor_signals.authentication_failed)
def second_factor_failed(request: HttpRequest, user: User, **_kwargs: Any) -> None:
    """The password was right."""
    _record("auth.sign_in", request, user, DENIED, step="second factor")


@receiver(user_logged_out)
def signed_out(request: HttpRequest, user: User | None, **_kwargs: Any) -> None:
    """Of pages or admin."""
    if user is not None:
        _record("auth.sign_out", request, user)


@receiver([account_signals.password_changed, account_signals.password_set])
def password_changed(request: HttpRequest, user: User, **_kwargs: Any) -> None:
    """By its owner, who knew the old one."""
    sessions.end_all(user=user)
    _record("auth.password_change", request, user)


@receiver(account_signals.password_reset)
def password_reset(request: HttpRequest, user: User, **_kwargs: Any) -> None:
    """By a link that was sent by mail."""
    sessions.end_all(user=user)
    _record("auth.password_reset", request, user)


@receiver(second_factor_signals.authenticator_added)
def second_factor_on(request: HttpRequest, user: User, authenticator: Authenticator, **_kwargs: Any) -> None:
    """The recovery codes that come with it are part of it."""
    if authenticator.type == Authenticator.Type.TOTP:
        _record("auth.second_factor_on", request, user)


@receiver(second_factor_signals.authenticator_removed)
def second_factor_off(request: HttpRequest, user: User, authenticator: Authenticator, **_kwargs: Any) -> None:
    """The recovery codes go with it."""
    if authenticator.type == Authenticator.Type.TOTP:
        _record("auth.second_factor_off", request, user)


@receiver(second_factor_signals.authenticator_reset)
def recovery_codes_made(request: HttpRequest, user: User, **_kwargs: Any) -> None:
    """The old ones open nothing any more."""
    _record("auth.recovery_codes", request, user)
