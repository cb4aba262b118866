"""API keys `mut_<prefix>_<secret>`: the prefix finds the row, a keyed digest of the secret proves it."""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from accounts.exceptions import InvalidKey
from accounts.models import ApiKey

MARK = "mut"
PREFIX_BYTES = 5
SECRET_BYTES = 32
# A look-up is remembered this long in each process: a revoked key opens nothing after so many seconds.
REMEMBERED_SECONDS = 3.0
MOST_REMEMBERED = 10_000
USED_EVERY = timedelta(minutes=1)


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


_remembered: dict[str, tuple[float, ApiKey]] = {}
_lock = threading.Lock()


def forget() -> None:
    """Forgets every look-up of this process."""
    with _lock:
        _remembered.clear()


def authenticate(text: str) -> ApiKey:
    """The live key with its owner. Raises InvalidKey, whatever is wrong with it."""
    known = _remembered.get(digest := sha256(text.encode()).hexdigest())
    if known is not None and time.monotonic() < known[0] and known[1].is_live:
        return known[1]
    key = _find(text)
    with _lock:
        if len(_remembered) >= MOST_REMEMBERED:
            _remembered.clear()
        _remembered[digest] = (time.monotonic() + REMEMBERED_SECONDS, key)
    _note_use(key)
    return key


def _find(text: str) -> ApiKey:
    mark, _, rest = text.partition("_")
    prefix, _, secret = rest.partition("_")
    if mark != MARK or not secret or not text.isascii() or not text.isprintable() or len(text) > 200:
        raise InvalidKey
    key = ApiKey.objects.live().select_related("owner").filter(prefix=prefix).first()
    # Compared also when there is none, so that the time says nothing about prefixes.
    is_right = hmac.compare_digest(key.digest if key else "0" * 64, digest_of(secret))
    if key is None or not is_right:
        raise InvalidKey
    return key


def _note_use(key: ApiKey) -> None:
    """At most once a minute. What is no news costs no statement: SQLite locks for an update even of no row."""
    now = timezone.now()
    if key.last_used_at is not None and key.last_used_at >= now - USED_EVERY:
        return
    stale = Q(last_used_at=None) | Q(last_used_at__lt=now - USED_EVERY)
    ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=now)
