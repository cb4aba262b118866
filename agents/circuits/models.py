"""What people said of circuit breakers, and what these did. Where a breaker stands now is in Redis."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from foundation.models import BaseModel

# What else is open has another gender in some languages.
_OPEN = pgettext_lazy("circuit breaker", "open")
_CLOSED = pgettext_lazy("circuit breaker", "closed")


class State(models.TextChoices):
    CLOSED = "closed", _CLOSED
    OPEN = "open", _OPEN
    HALF_OPEN = "half_open", _("half-open")


class ForcedCircuit(BaseModel):
    """A breaker that an operator holds open or closed until they let go of it. `key` names what it protects, such as
    `deployment:<id>`.
    """

    key = models.CharField(_("circuit"), max_length=300, unique=True)
    state = models.CharField(_("state"), max_length=9, choices=[(State.OPEN, _OPEN), (State.CLOSED, _CLOSED)])
    reason = models.CharField(_("reason"), max_length=500, blank=True)
    # By id: the row outlives the person.
    forced_by_id = models.UUIDField(_("by"), null=True, blank=True)

    class Meta:
        verbose_name = _("forced circuit")
        verbose_name_plural = _("forced circuits")
        ordering: ClassVar = ["key"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(state__in=["open", "closed"]), name="circuits_forced_state"),
        ]

    def __str__(self) -> str:
        return f"{self.key}: {self.state}"


class CircuitChange(BaseModel):
    """A breaker's step from one state to another. Written by the process that took it."""

    key = models.CharField(_("circuit"), max_length=300)
    at = models.DateTimeField(_("at"), default=timezone.now)
    before = models.CharField(_("before"), max_length=9, choices=State.choices)
    after = models.CharField(_("after"), max_length=9, choices=State.choices)
    why = models.CharField(_("why"), max_length=500, blank=True)
    opens_until = models.DateTimeField(_("open until"), null=True, blank=True)

    class Meta:
        verbose_name = _("change of a circuit")
        verbose_name_plural = _("changes of circuits")
        ordering: ClassVar = ["-at", "-id"]
        indexes: ClassVar = [
            models.Index(fields=["key", "-at"], name="circuits_change_of_key"),
            models.Index(fields=["-at"], name="circuits_change_recent"),
        ]

    def __str__(self) -> str:
        return f"{self.key}: {self.before} → {self.after}"
