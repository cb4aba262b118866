"""API keys `mut_<prefix>_<secret>`: the prefix finds the row, a keyed digest of the secret proves it.

Every look-up reads the row and its owner's, with one small prepared statement: what was revoked, ended, narrowed or
deactivated a moment ago, by whatever process, opens nothing. Only making objects of unchanged rows is saved.
"""

from __future__ import annotations

import hmac
import secrets
import threading
from copy import copy
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from hashlib import sha256
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Model, Q
from django.utils import timezone

from accounts.exceptions import InvalidKey, KeyRefused
from accounts.models import ApiKey, User
from foundation.statements import hot_cursor

MARK = "mut"
PREFIX_BYTES = 5
SECRET_BYTES = 32
MOST_REMEMBERED = 10_000
LONGEST = 200
USED_EVERY = timedelta(minutes=1)

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that nobody has seen yet: what is kept of it, and what is shown once."""

    prefix: str
    digest: str
    text: str


def new_key() -> NewKey:
    """A random one: 256 bits of secret."""
    prefix, secret = secrets.token_hex(PREFIX_BYTES), secrets.token_hex(SECRET_BYTES)
    return NewKey(prefix, digest_of(secret), f"{MARK}_{prefix}_{secret}")


def digest_of(secret: str) -> str:
    """HMAC-SHA256 under a key of this installation: a stolen table alone cannot even be guessed at."""
    pepper = f"accounts.keys:{settings.SECRET_KEY}".encode()
    return hmac.digest(pepper, secret.encode(), sha256).hex()


def looks_like_key(text: str) -> bool:
    """Whether it has the form of a key, be it valid or not."""
    return text.startswith(f"{MARK}_")


# Prefix → both rows as the database gave them, and the objects that they make. Never given out, only copies: a person
# gathers their permissions, which may change before the next request.
_remembered: dict[str, tuple[Row, ApiKey]] = {}
_lock = threading.Lock()


def forget() -> None:
    """Forgets every row of this process."""
    with _lock:
        _remembered.clear()


def authenticate(text: str, *, address: str | None = None) -> ApiKey:
    """The live key with its owner, whom nobody else holds, for a caller from this address.

    Raises InvalidKey, whatever is wrong with it; of what is one of our keys, its subclass KeyRefused.
    """
    prefix, secret = _parts(text)
    row = _read(prefix)
    # Compared also when there is none, so that the time says nothing about prefixes.
    is_right = hmac.compare_digest(row[_digest_position()] if row else "0" * 64, digest_of(secret))
    if row is None or not is_right:
        raise InvalidKey
    key = _made_of(prefix, row)
    if reason := _refusal(key, address):
        raise KeyRefused(key, reason)
    _note_use(key, address)
    return key


def _parts(text: str) -> tuple[str, str]:
    mark, _, rest = text.partition("_")
    prefix, _, secret = rest.partition("_")
    if mark != MARK or not secret or not text.isascii() or not text.isprintable() or len(text) > LONGEST:
        raise InvalidKey
    return prefix, secret


def _refusal(key: ApiKey, address: str | None) -> str:
    if key.revoked_at is not None:
        return "revoked"
    if not key.is_live:
        return "expired"
    if not key.owner.may_come_in:
        return "owner"
    return "" if key.opens_from(address) else "address"


def _read(prefix: str) -> Row | None:
    """Every column of the key and its owner, as the database has them."""
    with hot_cursor(connection) as cursor:
        cursor.execute(_statement(), [prefix])
        row: Row | None = cursor.fetchone()
    return row


@lru_cache(maxsize=1)
def _statement() -> str:
    columns = ", ".join([*_columns("k", ApiKey), *_columns("u", User)])
    tables = f'"{ApiKey._meta.db_table}" k JOIN "{User._meta.db_table}" u ON u.id = k.owner_id'
    return f"SELECT {columns} FROM {tables} WHERE k.prefix = %s"  # noqa: S608 (names of our own)


def _columns(table: str, model: type[Model]) -> list[str]:
    return [f'{table}."{field.column}"' for field in model._meta.concrete_fields]


@lru_cache(maxsize=1)
def _digest_position() -> int:
    return _columns("k", ApiKey).index('k."digest"')


def _made_of(prefix: str, row: Row) -> ApiKey:
    known = _remembered.get(prefix)
    if known is None or known[0] != row:
        known = row, _find(prefix)
        with _lock:
            if len(_remembered) >= MOST_REMEMBERED:
                _remembered.clear()
            _remembered[prefix] = known
    key, owner = copy(known[1]), copy(known[1].owner)
    key.owner = owner
    return key


def _find(prefix: str) -> ApiKey:
    found = ApiKey.objects.select_related("owner").filter(prefix=prefix).first()
    if found is None:  # deleted between the two statements
        raise InvalidKey
    return found


def _note_use(key: ApiKey, address: str | None) -> None:
    """At most once a minute. What is no news costs no statement: SQLite locks for an update even of no row."""
    now = timezone.now()
    if key.last_used_at is not None and key.last_used_at >= now - USED_EVERY:
        return
    stale = Q(last_used_at=None) | Q(last_used_at__lt=now - USED_EVERY)
    ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=now, last_used_from=address)
