"""The record of what was done, as a chain: whoever changes, removes or reorders a row breaks it."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.querysets import AuditEventQuerySet
from foundation.models import BaseModel


class AuditEvent(BaseModel):
    """Who did what, on what, from where, and with which outcome. Never changed, never deleted by hand.

    `position` and `hash` are given right after the deed is committed (accounts.chain). The hash covers digests of the
    fields that can tell of a person, so that these can be shredded and the chain still be verified.
    """

    class Outcome(models.TextChoices):
        DONE = "done", _("done")
        DENIED = "denied", _("denied")

    verb = models.CharField(_("verb"), max_length=64)
    outcome = models.CharField(_("outcome"), max_length=8, choices=Outcome.choices, default=Outcome.DONE)
    actor_id = models.UUIDField(_("actor id"), null=True, blank=True)
    actor_name = models.CharField(_("actor"), max_length=150, blank=True)
    subject_type = models.CharField(_("subject type"), max_length=64, blank=True)
    subject_id = models.UUIDField(_("subject id"), null=True, blank=True)
    subject_name = models.CharField(_("subject"), max_length=200, blank=True)
    changes = models.JSONField(_("changes"), default=dict, blank=True)
    address = models.GenericIPAddressField(_("address"), null=True, blank=True)
    request_id = models.CharField(_("request id"), max_length=64, blank=True)

    # Its place in the chain.
    position = models.PositiveBigIntegerField(_("position"), null=True, blank=True, unique=True, editable=False)
    hash = models.CharField(_("hash"), max_length=64, blank=True, editable=False)
    # What the digests of shreddable fields are made with; gone when they are shredded, so that nobody can guess.
    salt = models.CharField(_("salt"), max_length=32, blank=True, editable=False)
    digests = models.JSONField(_("digests"), default=dict, blank=True, editable=False)
    # The event that says why the fields of this one are gone.
    shredded_by = models.UUIDField(_("shredded by"), null=True, blank=True, editable=False)

    objects = AuditEventQuerySet.as_manager()

    class Meta:
        verbose_name = _("audit event")
        verbose_name_plural = _("audit events")
        ordering: ClassVar = ["-created_at", "-id"]
        indexes: ClassVar = [
            models.Index(fields=["-created_at", "-id"], name="accounts_audit_recent"),
            models.Index(fields=["verb", "-created_at", "-id"], name="accounts_audit_verb"),
            models.Index(fields=["actor_id", "-created_at", "-id"], name="accounts_audit_actor"),
            models.Index(fields=["subject_id", "-created_at", "-id"], name="accounts_audit_subject"),
            # Few are; of what was done there is some on every page, so `accounts_audit_recent` will do.
            models.Index(fields=["-created_at", "-id"], condition=Q(outcome="denied"), name="accounts_audit_denied"),
            # What lists are searched by; see `AuditEventQuerySet.named`.
            models.Index(fields=["request_id"], condition=~Q(request_id=""), name="accounts_audit_request"),
            models.Index(fields=["actor_name"], condition=Q(actor_id=None), name="accounts_audit_tried"),
            models.Index(fields=["id"], condition=Q(position=None), name="accounts_audit_unchained"),
            models.Index(
                fields=["shredded_by"], condition=Q(shredded_by__isnull=False), name="accounts_audit_shredded"
            ),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(position=None, hash="") | (Q(position__isnull=False) & ~Q(hash="")),
                name="accounts_audit_chained",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.actor_name or '—'} {self.verb} {self.subject_name}".strip()


class AuditSeal(BaseModel):
    """The chain up to here, in one line that can be kept outside: position, hash, and a signature over both."""

    class Reason(models.TextChoices):
        PERIODIC = "periodic", _("periodic")
        RETENTION = "retention", _("all before it was deleted, being old")

    position = models.PositiveBigIntegerField(_("position"))
    hash = models.CharField(_("hash"), max_length=64)
    reason = models.CharField(_("reason"), max_length=9, choices=Reason.choices, default=Reason.PERIODIC)
    signature = models.CharField(_("signature"), max_length=64)

    class Meta:
        verbose_name = _("audit seal")
        verbose_name_plural = _("audit seals")
        ordering: ClassVar = ["-position", "-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["position", "reason"], name="accounts_seal_once"),
        ]

    def __str__(self) -> str:
        return f"#{self.position}"
