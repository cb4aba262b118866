"""The ledger of what agents have done outside the database, and people's word on the dangerous part of it."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from agents.tasks.models import TERMINAL, Task
from agents.tools.querysets import ApprovalQuerySet
from foundation.models import BaseModel


class Effects(models.TextChoices):
    """What happens to the world when a tool is called once more than it should have been."""

    NONE = "none", _("none")
    IDEMPOTENT = "idempotent", _("may be repeated")
    ONCE = "once", _("once only")


class ToolCall(BaseModel):
    """One use of a tool by an agent. Its id is the `Idempotency-Key` that the other side is given."""

    class State(models.TextChoices):
        AWAITING = "awaiting", _("awaits approval")
        # May begin: it was approved, or a person wants it tried again, or it stopped by itself to wait.
        READY = "ready", _("ready")
        STARTED = "started", _("started")
        SUCCEEDED = "succeeded", _("succeeded")
        FAILED = "failed", _("failed")
        NEEDS_REVIEW = "needs_review", _("needs review")
        REFUSED = "refused", _("refused")
        EXPIRED = "expired", _("expired")

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="tool_calls", verbose_name=_("task"))
    # Of the place in the graph and the model's id of the call, or name and arguments where there is none.
    key = models.CharField(_("key"), max_length=64)
    name = models.CharField(_("tool"), max_length=100)
    arguments = models.JSONField(_("arguments"), default=dict, help_text=_("Without secrets, and not too much."))
    effects = models.CharField(_("effects"), max_length=10, choices=Effects.choices)
    state = models.CharField(_("state"), max_length=12, choices=State.choices)
    fence = models.PositiveIntegerField(_("attempt"))
    times = models.PositiveSmallIntegerField(_("times begun"), default=0)
    # JSON as text: PostgreSQL's own JSON refuses characters that a tool may well give.
    result = models.TextField(_("result"), null=True, blank=True)
    error = models.TextField(_("error"), blank=True)
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)

    class Meta:
        verbose_name = _("tool call")
        verbose_name_plural = _("tool calls")
        ordering: ClassVar = ["-created_at", "-id"]
        indexes: ClassVar = [models.Index(fields=["-created_at", "-id"], name="tools_recent_calls")]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["task", "key"], name="tools_call_once"),
            models.CheckConstraint(condition=Q(effects__in=Effects.values), name="tools_known_effects"),
            models.CheckConstraint(
                condition=Q(state__in=[
                    "awaiting", "ready", "started", "succeeded", "failed", "needs_review", "refused", "expired",
                ]),
                name="tools_known_state",
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return self.name

    @property
    def value(self) -> Any:
        """The result, read; None while there is none."""
        return None if self.result is None else json.loads(self.result)


class Approval(BaseModel):
    """A person's yes or no to one tool call."""

    class State(models.TextChoices):
        PENDING = "pending", _("pending")
        APPROVED = "approved", _("approved")
        EDITED = "edited", _("approved with changes")
        REFUSED = "refused", _("refused")
        EXPIRED = "expired", _("expired")

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="approvals", verbose_name=_("task"))
    tool_call = models.OneToOneField(
        ToolCall, on_delete=models.CASCADE, related_name="approval", verbose_name=_("tool call")
    )
    tool = models.CharField(_("tool"), max_length=100)
    description = models.TextField(_("what the tool does"), blank=True)
    arguments = models.JSONField(_("arguments"), default=dict)
    # JSON Schema, so that nobody has to load the tool in order to check what a person has written.
    arguments_schema = models.JSONField(_("schema of the arguments"), default=dict)
    edited_arguments = models.JSONField(_("arguments as changed"), null=True, blank=True)
    expires_at = models.DateTimeField(_("expires"))
    state = models.CharField(_("state"), max_length=8, choices=State.choices, default=State.PENDING)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+",
        verbose_name=_("decided by"),
    )  # fmt: skip
    decided_at = models.DateTimeField(_("decided"), null=True, blank=True)
    reason = models.TextField(_("reason"), blank=True)

    objects = ApprovalQuerySet.as_manager()

    class Meta:
        verbose_name = _("approval")
        verbose_name_plural = _("approvals")
        ordering: ClassVar = ["-created_at", "-id"]
        permissions: ClassVar = [("decide_approval", _("Can approve and refuse tool calls"))]
        indexes: ClassVar = [
            models.Index(fields=["-created_at", "-id"], name="tools_recent_approvals"),
            models.Index(fields=["created_at", "id"], condition=Q(state="pending"), name="tools_pending_approvals"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(state="pending", decided_at__isnull=True)
                | Q(state__in=["approved", "edited", "refused", "expired"], decided_at__isnull=False),
                name="tools_approval_decided",
            ),
            models.CheckConstraint(
                condition=Q(state="edited", edited_arguments__isnull=False)
                | (~Q(state="edited") & Q(edited_arguments__isnull=True)),
                name="tools_approval_edited",
            ),
        ]

    def __str__(self) -> str:
        return self.tool

    @property
    def is_open(self) -> bool:
        """Whether a decision still matters. Needs `task` on the row."""
        return self.state == self.State.PENDING and self.task.status not in TERMINAL

    @property
    def standing(self) -> str:
        """The state in words. Nobody waits for what is undecided of a task that has ended."""
        if self.state == self.State.PENDING and self.task.status in TERMINAL:
            return str(_("no longer needed"))
        return self.get_state_display()
