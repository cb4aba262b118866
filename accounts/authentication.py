"""One authentication path for JWTs and API keys."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import InvalidToken, TokenError

from accounts import keys
from accounts.exceptions import InvalidKey
from accounts.models import ApiKey, User

REALM = 'Bearer realm="mutirao"'


class BearerAuthentication(BaseAuthentication):
    """`Authorization: Bearer <JWT or API key>` or `X-Api-Key: <API key>`; `request.auth` is the credential."""

    def authenticate(self, request: Request) -> tuple[User, Any] | None:
        """The caller and their credential; None without any. Raises AuthenticationFailed for a wrong one."""
        credential = _credential(request)
        if credential is None:
            return None
        if keys.looks_like_key(credential) or "." not in credential:
            return _by_key(credential)
        return _by_token(credential)

    def authenticate_header(self, request: Request) -> str:
        """How to do it right: makes the answer a 401."""
        return REALM


def _credential(request: Request) -> str | None:
    if key := request.headers.get("X-Api-Key"):
        return key.strip()
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    return text.strip() if scheme.lower() == "bearer" and text.strip() else None


def _by_key(text: str) -> tuple[User, ApiKey]:
    try:
        key = keys.authenticate(text)
    except InvalidKey as error:
        raise AuthenticationFailed(_("The API key is wrong, revoked or expired."), "invalid-key") from error
    return key.owner, key


def _by_token(text: str) -> tuple[User, Any]:
    tokens = JWTAuthentication()
    try:
        token = tokens.get_validated_token(text.encode())
        return tokens.get_user(token), token  # type: ignore[return-value]
    except (InvalidToken, TokenError, AuthenticationFailed) as error:
        raise AuthenticationFailed(_("The token is wrong or expired."), "invalid-token") from error
