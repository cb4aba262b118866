"""What the ledger of model calls keeps of a person: it holds no text but that of errors, and what was spent stays."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from accounts.models import User
from accounts.privacy import Holding, blank, register_holding, rows_of
from agents.gateway.models import ModelCall


def _erase(user: User) -> int:
    return blank(ModelCall.objects.filter(owner_id=user.pk), error_message="")


def register_holdings() -> None:
    """Called when the application starts."""
    register_holding(
        Holding(
            "model-calls", _("model calls"), lambda user: rows_of(ModelCall.objects.filter(owner_id=user.pk)), _erase,
            order=430,
        )
    )  # fmt: skip
