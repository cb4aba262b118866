"""Secrets at rest: Fernet (AES-128-CBC with HMAC-SHA256) under the installation's MUTIRAO_ENCRYPTION_KEYS.

The first key encrypts, all decrypt: a new key is put in front, and the old one stays until nothing needs it. In the
same way the first one signs, under a key that is derived from it for each purpose, and all verify.
"""

from __future__ import annotations

import hmac
from functools import lru_cache
from hashlib import sha256
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper


class CannotDecrypt(Exception):
    """None of MUTIRAO_ENCRYPTION_KEYS opens this secret."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


@lru_cache(maxsize=4)
def _box(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


def encrypt(text: str) -> str:
    """The text, sealed under the first key. Raises ValueError when there is no key, or a malformed one."""
    return _box(tuple(settings.ENCRYPTION_KEYS)).encrypt(text.encode()).decode()


def decrypt(sealed: str) -> str:
    """What `encrypt` was given. Raises CannotDecrypt; ValueError when there is no key, or a malformed one."""
    try:
        return _box(tuple(settings.ENCRYPTION_KEYS)).decrypt(sealed.encode()).decode()
    except InvalidToken as error:
        raise CannotDecrypt from error


def is_under_first_key(sealed: str) -> bool:
    """Whether it needs none of the other keys. Raises ValueError when there is no key, or a malformed one."""
    try:
        _box(tuple(settings.ENCRYPTION_KEYS[:1])).decrypt(sealed.encode())
    except InvalidToken:
        return False
    return True


@lru_cache(maxsize=16)
def _signing_keys(keys: tuple[str, ...], purpose: str) -> tuple[bytes, ...]:
    return tuple(hmac.digest(key.encode(), f"mutirao signs: {purpose}".encode(), sha256) for key in keys)


def sign(text: str, *, purpose: str) -> str:
    """HMAC-SHA256 of the text in hexadecimal. Raises ValueError when there is no key."""
    keys = _signing_keys(tuple(settings.ENCRYPTION_KEYS), purpose)
    if not keys:
        raise ValueError("MUTIRAO_ENCRYPTION_KEYS is not set.")
    return hmac.digest(keys[0], text.encode(), sha256).hex()


def is_signed(text: str, signature: str, *, purpose: str) -> bool:
    """Whether one of the keys has signed the text."""
    keys = _signing_keys(tuple(settings.ENCRYPTION_KEYS), purpose)
    given = signature.encode()
    return any(hmac.compare_digest(hmac.digest(key, text.encode(), sha256).hex().encode(), given) for key in keys)


class EncryptedTextField(models.TextField):  # type: ignore[type-arg]  # Django gives it no type at run time
    """A text that the database only sees sealed. It cannot be searched; an empty text stays empty."""

    def get_prep_value(self, value: Any) -> Any:
        """Sealed, for the database."""
        plain = super().get_prep_value(value)
        return encrypt(plain) if plain else plain

    def from_db_value(self, value: str | None, expression: Any, connection: BaseDatabaseWrapper) -> str | None:
        """Opened, for whoever reads the row."""
        return decrypt(value) if value else value
