"""What the ledger of model calls keeps of a person: it holds no text but that of errors, and of the cache's
evidence, where words of the question that came near may be another person's; what was spent stays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.utils.translation import gettext_lazy as _

from accounts.models import User
from accounts.privacy import Holding, blank, register_holding, rows_of
from agents.gateway.evidence import without_words
from agents.gateway.models import ModelCall


def _export(user: User) -> Iterator[dict[str, Any]]:
    for row in rows_of(ModelCall.objects.filter(owner_id=user.pk)):
        yield row | {"cache_evidence": without_words(row["cache_evidence"])}


def _erase(user: User) -> int:
    _forget_words(user)
    return blank(ModelCall.objects.filter(owner_id=user.pk), error_message="", cache_evidence=None)


def _forget_words(user: User) -> None:
    """Those that the evidence of other people's calls has of this person's questions."""
    calls = ModelCall.objects.compared().filter(cache_evidence__of=str(user.pk)).order_by("pk")
    for call in calls.only("cache_evidence").iterator():
        ModelCall.objects.filter(pk=call.pk).update(cache_evidence=without_words(call.cache_evidence))


def register_holdings() -> None:
    """Called when the application starts."""
    register_holding(Holding("model-calls", _("model calls"), _export, _erase, order=430))
