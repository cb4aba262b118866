"""One authentication path for JWTs and API keys."""

from __future__ import annotations

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request


class BearerAuthentication(BaseAuthentication):
    """`Authorization: Bearer <JWT or API key>` or `X-Api-Key: <API key>`."""

    def authenticate(self, request: Request) -> None:
        return None
