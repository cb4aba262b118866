"""What the cache keeps of a person: their questions and the answers, also those that others share."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from accounts.privacy import Holding, ids_of, register_holding, rows_of
from agents.cache.store import erase_person, of_person


def register_holdings() -> None:
    """Called when the application starts."""
    register_holding(
        Holding(
            "cached-answers", _("cached answers"), lambda user: rows_of(of_person(user.pk), without=("vector",)),
            lambda user: erase_person(user.pk), order=425, things=lambda user: ids_of(of_person(user.pk)),
        )
    )  # fmt: skip
