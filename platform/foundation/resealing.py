"""Secrets at rest under the first of MUTIRAO_ENCRYPTION_KEYS, so that the others may go.

Every EncryptedTextField is found by itself; what is sealed in other columns is registered. Rows are changed only where
they still say what was read, so it may run beside a working platform, and again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.apps import apps
from django.db import models
from django.db.models.functions import Cast

from foundation.encryption import CannotDecrypt, EncryptedTextField, decrypt, is_under_first_key

AT_ONCE = 200


@dataclass(slots=True)
class Resealed:
    """How many secrets were sealed anew, were so already, and could not be opened."""

    changed: int = 0
    kept: int = 0
    unreadable: int = 0

    def __add__(self, other: Resealed) -> Resealed:
        return Resealed(self.changed + other.changed, self.kept + other.kept, self.unreadable + other.unreadable)


_others: dict[str, Callable[[], Resealed]] = {}


def register_sealed(name: str, reseal: Callable[[], Resealed]) -> None:
    """For what is sealed in columns of another kind. Called when the application starts."""
    _others[name] = reseal


def reseal_all() -> dict[str, Resealed]:
    """By the name of each column that holds secrets."""
    found = {
        f"{model._meta.label}.{field.name}": _reseal_field(model, field.name)
        for model in apps.get_models()
        for field in model._meta.local_concrete_fields
        if isinstance(field, EncryptedTextField)
    }
    return found | {name: reseal() for name, reseal in _others.items()}


def _reseal_field(model: type[models.Model], field: str) -> Resealed:
    # As it is stored: the field itself would open it.
    rows = model._base_manager.annotate(sealed=Cast(field, models.TextField()))  # noqa: SLF001 (public in all but name)
    done, last = Resealed(), None
    while True:
        page = rows.exclude(sealed=None).exclude(sealed="").order_by("pk")
        found = [*(page if last is None else page.filter(pk__gt=last)).values_list("pk", "sealed")[:AT_ONCE]]
        if not found:
            return done
        for pk, sealed in found:
            done += _reseal(rows.filter(pk=pk, sealed=sealed), field, sealed)
        last = found[-1][0]


def _reseal(row: models.QuerySet[models.Model], field: str, sealed: str) -> Resealed:
    if is_under_first_key(sealed):
        return Resealed(kept=1)
    try:
        return Resealed(changed=row.update(**{field: decrypt(sealed)}))
    except CannotDecrypt:
        return Resealed(unreadable=1)
