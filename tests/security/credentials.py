"""Credentials that open nothing, made from good ones."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings
from django.http import HttpRequest
from django.test import RequestFactory

from accounts.audit import SYSTEM
from accounts.issuing import issue_api_key, revoke_api_key
from accounts.models import User
from accounts.tokens import TokenPair, obtain_tokens


def signed_in(user: User) -> TokenPair:
    """Good tokens of this person, by their password in the cast."""
    request: HttpRequest = RequestFactory().post("/api/v1/auth/token")
    request.user = user
    return obtain_tokens(request=request, username=user.username, password=f"{user.username}-password-1")


def _claims(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})


def resigned(token: str, **changes: Any) -> str:
    """The same with other claims, signed with the right key."""
    return jwt.encode(_claims(token) | changes, settings.JWT_SIGNING_KEY, algorithm="HS256")


def without_algorithm(token: str) -> str:
    """Signed by nobody, and saying so."""
    return jwt.encode(_claims(token), None, algorithm="none")  # type: ignore[arg-type]


def by_a_key_of_ones_own(token: str) -> str:
    """RS256, by whoever has made a pair of keys."""
    return jwt.encode(_claims(token), rsa.generate_private_key(65537, 2048), algorithm="RS256")


def by_a_public_key(token: str) -> str:
    """HS256, with the text of a public key as the secret: what confuses who verifies with whatever the header says."""
    public = rsa.generate_private_key(65537, 2048).public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    secret = public.public_bytes(serialization.Encoding.PEM, form)
    head = _part(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    body = _part(json.dumps(_claims(token)).encode())
    signature = hmac.digest(secret, f"{head}.{body}".encode(), hashlib.sha256)
    return f"{head}.{body}.{_part(signature)}"


def _part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _revoked_key(user: User) -> str:
    issued = issue_api_key(owner=user, name="revoked", actor=SYSTEM)
    revoke_api_key(api_key=issued.row, actor=SYSTEM)
    return issued.key


FORGED: dict[str, Callable[[User], str]] = {
    "revoked key": _revoked_key,
    "expired JWT": lambda user: resigned(signed_in(user).access, exp=int(time.time()) - 10),
    "refresh token as access": lambda user: signed_in(user).refresh,
    "alg none": lambda user: without_algorithm(signed_in(user).access),
    "RS256 by a stranger": lambda user: by_a_key_of_ones_own(signed_in(user).access),
    "HS256 by a public key": lambda user: by_a_public_key(signed_in(user).access),
    "foreign audience": lambda user: resigned(signed_in(user).access, aud="another-service"),
}
