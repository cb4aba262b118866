"""Who wants to be told that tasks have ended, what they are told, and how that went."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import urlsplit

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from agents.definitions.models import Agent
from agents.tasks.models import TERMINAL, Status, Task
from agents.webhooks.querysets import DeliveryQuerySet, EndpointQuerySet
from foundation.encryption import EncryptedTextField
from foundation.models import BaseModel

STATUSES = tuple(status.value for status in TERMINAL)


def every_status() -> list[str]:
    """What an endpoint is told of unless it wants less."""
    return [*STATUSES]


def without_path(url: str) -> str:
    """The address as others than its owner see it: a path or a query may be a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/…"


class SigningSecret(models.Model):
    """A secret that signs (`whsec_…`), and the one before it, which signs beside it for a while."""

    secret = EncryptedTextField(_("secret"), editable=False)
    previous_secret = EncryptedTextField(_("previous secret"), blank=True, editable=False)
    previous_until = models.DateTimeField(_("previous secret signs until"), null=True, blank=True, editable=False)

    class Meta:
        abstract = True

    def signing_secrets(self, now: datetime) -> list[str]:
        """What signs at this moment, the newest first."""
        goes_on = self.previous_secret and self.previous_until is not None and self.previous_until > now
        return [self.secret, self.previous_secret] if goes_on else [self.secret]


class Endpoint(SigningSecret, BaseModel):
    """A receiver that is told of every task of its owner that ends, or of some."""

    class Disabled(models.TextChoices):
        OWNER = "owner", _("by its owner")
        GONE = "gone", _("it answered that it is gone (410)")
        FAILING = "failing", _("it has failed for days")

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="webhook_endpoints", verbose_name=_("owner")
    )
    url = models.URLField(_("address"), max_length=2000)
    description = models.CharField(_("description"), max_length=200, blank=True)
    statuses = models.JSONField(_("statuses"), default=every_status)
    agent = models.ForeignKey(
        Agent, on_delete=models.CASCADE, null=True, blank=True, related_name="+", verbose_name=_("agent")
    )
    includes_result = models.BooleanField(_("with the result"), default=True)
    disabled_at = models.DateTimeField(_("disabled"), null=True, blank=True)
    disabled_because = models.CharField(_("disabled because"), max_length=8, choices=Disabled.choices, blank=True)
    failing_since = models.DateTimeField(_("failing since"), null=True, blank=True)

    objects = EndpointQuerySet.as_manager()

    class Meta:
        verbose_name = _("webhook endpoint")
        verbose_name_plural = _("webhook endpoints")
        ordering: ClassVar = ["-created_at", "-id"]
        indexes: ClassVar = [
            models.Index(fields=["owner"], condition=Q(disabled_at=None), name="webhooks_endpoints_live"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(disabled_at=None, disabled_because="")
                | (Q(disabled_at__isnull=False) & ~Q(disabled_because="")),
                name="webhooks_disabled_has_reason",
            ),
        ]

    def __str__(self) -> str:
        return self.description or without_path(self.url)

    @property
    def status_labels(self) -> list[str]:
        """The ends it is told of, in words."""
        return [str(Status(status).label) for status in self.statuses]

    def wants(self, status: str, agent_id: Any) -> bool:
        """Whether it is told of a task of this agent that has ended so."""
        return status in self.statuses and self.agent_id in (None, agent_id)


class TaskSecret(SigningSecret, BaseModel):
    """What signs a person's webhooks of single tasks (`webhook_url`)."""

    owner = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", verbose_name=_("owner")
    )

    class Meta:
        verbose_name = _("secret for single tasks")
        verbose_name_plural = _("secrets for single tasks")

    def __str__(self) -> str:
        return str(self.owner_id)


class Delivery(BaseModel):
    """One message to one receiver, written in the transaction that ends the task. Its id is the `webhook-id`.

    `fence` counts all tries and proves a sender's right to write; `tries` counts since it was last queued, and decides
    how long the next pause is.
    """

    class State(models.TextChoices):
        PENDING = "pending", _("pending")
        DELIVERING = "delivering", _("on its way")
        FAILED = "failed", _("failed, tried again later")
        DELIVERED = "delivered", _("delivered")
        DEAD = "dead", _("given up")

    class Event(models.TextChoices):
        FINISHED = "task.finished", _("a task has ended")
        TEST = "webhook.test", _("a test")
        QUOTA = "quota.warning", _("much of a quota is spent")

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", verbose_name=_("owner")
    )
    # None: for the task's own `webhook_url`.
    endpoint = models.ForeignKey(
        Endpoint, on_delete=models.CASCADE, null=True, blank=True, related_name="deliveries", verbose_name=_("endpoint")
    )
    task = models.ForeignKey(
        Task, on_delete=models.CASCADE, null=True, blank=True, related_name="+", verbose_name=_("task")
    )
    event = models.CharField(_("event"), max_length=20, choices=Event.choices)
    url = models.URLField(_("address"), max_length=2000)
    host = models.CharField(_("host"), max_length=260)
    # Exactly what is sent and signed, each time the same.
    body = models.TextField(_("body"))
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.PENDING)
    fence = models.PositiveIntegerField(_("tries"), default=0)
    tries = models.PositiveIntegerField(_("tries since it was queued"), default=0)
    next_try_at = models.DateTimeField(_("next try"), null=True, blank=True, default=timezone.now)
    lease_expires_at = models.DateTimeField(_("lease expires"), null=True, blank=True)
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)
    last_status_code = models.PositiveSmallIntegerField(_("last answer"), null=True, blank=True)
    last_error = models.CharField(_("last error"), max_length=300, blank=True)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name = _("webhook delivery")
        verbose_name_plural = _("webhook deliveries")
        ordering: ClassVar = ["-created_at", "-id"]
        permissions: ClassVar = [("replay_delivery", _("Can replay webhook deliveries of others"))]
        indexes: ClassVar = [
            models.Index(
                fields=["next_try_at", "id"], condition=Q(state__in=["pending", "failed"]), name="webhooks_due"
            ),
            models.Index(fields=["lease_expires_at"], condition=Q(state="delivering"), name="webhooks_leased"),
            models.Index(fields=["owner", "-created_at", "-id"], name="webhooks_of_owner"),
            models.Index(fields=["endpoint", "-created_at", "-id"], name="webhooks_of_endpoint"),
            models.Index(fields=["-created_at", "-id"], name="webhooks_recent"),
            models.Index(fields=["ended_at"], condition=Q(ended_at__isnull=False), name="webhooks_ended"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["task", "endpoint"], name="webhooks_once_an_endpoint"),
            models.UniqueConstraint(fields=["task"], condition=Q(endpoint=None), name="webhooks_once_a_task"),
            # Also says which states there are.
            models.CheckConstraint(
                condition=Q(
                    state__in=["pending", "failed"], next_try_at__isnull=False, lease_expires_at=None, ended_at=None
                )
                | Q(state="delivering", next_try_at=None, lease_expires_at__isnull=False, ended_at=None)
                | Q(state__in=["delivered", "dead"], next_try_at=None, lease_expires_at=None, ended_at__isnull=False),
                name="webhooks_state_has_its_times",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event} → {self.host}"

    @property
    def is_over(self) -> bool:
        """Nothing more will happen to it unless somebody replays it."""
        return self.ended_at is not None

    @property
    def shown_url(self) -> str:
        """As others than its owner see it."""
        return without_path(self.url)


class DeliveryAttempt(models.Model):
    """One try: what the receiver answered, or why it did not."""

    id = models.BigAutoField(primary_key=True)
    delivery = models.ForeignKey(
        Delivery, on_delete=models.CASCADE, related_name="attempts", verbose_name=_("webhook delivery")
    )
    number = models.PositiveIntegerField(_("number"))
    started_at = models.DateTimeField(_("started"))
    duration_ms = models.FloatField(_("milliseconds"))
    status_code = models.PositiveSmallIntegerField(_("answer"), null=True, blank=True)
    error = models.CharField(_("error"), max_length=300, blank=True)
    excerpt = models.TextField(_("beginning of the answer"), blank=True)

    class Meta:
        verbose_name = _("webhook attempt")
        verbose_name_plural = _("webhook attempts")
        ordering: ClassVar = ["number"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["delivery", "number"], name="webhooks_attempt_number"),
        ]

    def __str__(self) -> str:
        return f"#{self.number} {self.status_code or self.error}"
