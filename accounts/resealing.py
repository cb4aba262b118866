"""The secrets of second factors under a new key: they stand, sealed, in what the library keeps as JSON."""

from __future__ import annotations

from allauth.mfa.models import Authenticator

from foundation.encryption import CannotDecrypt, decrypt, encrypt, is_under_first_key
from foundation.resealing import Resealed, register_sealed

# Of an authenticator app, and of recovery codes.
SEALED = ("secret", "seed")


def reseal_second_factors() -> Resealed:
    """Every one; a row that somebody has changed meanwhile is left to the next time."""
    done = Resealed()
    for pk, data in Authenticator.objects.order_by("pk").values_list("pk", "data").iterator(chunk_size=200):
        for name in SEALED:
            if isinstance(data.get(name), str) and data[name]:
                done += _reseal(pk, data, name)
    return done


def _reseal(pk: int, data: dict[str, object], name: str) -> Resealed:
    sealed = str(data[name])
    if is_under_first_key(sealed):
        return Resealed(kept=1)
    try:
        fresh = encrypt(decrypt(sealed))
    except CannotDecrypt:
        return Resealed(unreadable=1)
    row = Authenticator.objects.filter(pk=pk, data=dict(data))
    data[name] = fresh
    return Resealed(changed=row.update(data=data))


def register() -> None:
    """Called when the application starts."""
    register_sealed("mfa.Authenticator.data", reseal_second_factors)
