"""Secrets at rest: Fernet (AES-128-CBC with HMAC-SHA256) under the installation's MUTIRAO_ENCRYPTION_KEYS.

The first key encrypts, all decrypt: a new key is put in front, and the old one stays until nothing needs it.
"""

from __future__ import annotations

from functools import lru_cache
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


class EncryptedTextField(models.TextField):  # type: ignore[type-arg]  # Django gives it no type at run time
    """A text that the database only sees sealed. It cannot be searched; an empty text stays empty."""

    def get_prep_value(self, value: Any) -> Any:
        """Sealed, for the database."""
        plain = super().get_prep_value(value)
        return encrypt(plain) if plain else plain

    def from_db_value(self, value: str | None, expression: Any, connection: BaseDatabaseWrapper) -> str | None:
        """Opened, for whoever reads the row."""
        return decrypt(value) if value else value
