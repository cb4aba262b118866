"""What we want of django-allauth: nobody signs up, secrets are sealed, a mail server that is away breaks nothing."""

from __future__ import annotations

import unicodedata
from smtplib import SMTPException
from typing import Any

import structlog
from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest

from accounts import audit, second_factor
from accounts.backends import find_person
from accounts.models import AuditEvent
from foundation.addresses import client_address
from foundation.encryption import decrypt, encrypt

logger = structlog.get_logger(__name__)

MOST_NAME = 150


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth has no types
    """Signing in."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Never: accounts are made by administrators."""
        return False

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        """With its audit entry, by the name that was tried."""
        tried = str(credentials.get("username") or credentials.get("email") or "")
        actor = audit.Actor.of(request)
        audit.record(
            verb="auth.sign_in",
            actor=audit.Actor(None, tried[:MOST_NAME].replace("\0", ""), actor.address, actor.request_id),
            outcome=AuditEvent.Outcome.DENIED,
        )

    def send_notification_mail(
        self,
        template_prefix: str,
        user: AbstractBaseUser,
        context: dict[str, Any] | None = None,
        email: str | None = None,
    ) -> None:
        """To the address in the user's row; the library asks its own table."""
        super().send_notification_mail(template_prefix, user, context, email or getattr(user, "email", ""))

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Logs when it cannot be sent: the deed it tells of is done, and an error would say whose address exists."""
        try:
            super().send_mail(template_prefix, email, context)
        except (OSError, SMTPException) as error:
            logger.error("mail_not_sent", template=template_prefix, error=type(error).__name__)  # noqa: TRY400

    def send_password_reset_mail(self, user: AbstractBaseUser, email: str, context: dict[str, Any]) -> None:
        """Not to service accounts: nobody signs in as them."""
        if getattr(user, "may_sign_in", False):
            super().send_password_reset_mail(user, email, context)

    def get_client_ip(self, request: HttpRequest) -> str:
        """The address that everything else here goes by. Raises PermissionDenied when there is none."""
        return client_address(request.META, proxies=settings.TRUSTED_PROXIES) or str(super().get_client_ip(request))

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """One count for a person, by name and by mail and however it is written; one for each name that nobody has."""
        login = str(credentials.get("username") or credentials.get("email") or "").strip()
        person = find_person(login)
        return f"person:{person.pk}" if person else f"name:{unicodedata.normalize('NFKC', login).casefold()}"


class SecondFactorAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """The second factor."""

    def encrypt(self, text: str) -> str:
        """Seals the secret of an authenticator app and the seed of recovery codes."""
        return encrypt(text)

    def decrypt(self, encrypted_text: str) -> str:
        """Opens them. Raises CannotDecrypt."""
        return decrypt(encrypted_text)

    def can_delete_authenticator(self, authenticator: Authenticator) -> bool:
        """Not while the installation wants one."""
        return not second_factor.is_required(authenticator.user)
