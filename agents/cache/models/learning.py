"""How often answers of the semantic tier were right, and what follows from that."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from agents.cache.bounds import is_broken
from foundation.models import BaseModel


class Calibration(BaseModel):
    """The threshold of one agent for one kind of request under one verifier, with what is known of its errors.

    `trials` are the answers given by meaning that were asked again, `errors` those of them that were wrong. `bound` is
    the upper confidence bound of the share of wrong answers among those served at the threshold, the verifier's own
    calibration counted in; where none keeps it below `error_target`, the semantic tier turns itself off for this agent.
    """

    class Kind(models.TextChoices):
        QUESTIONS = "questions", _("single questions")
        CONVERSATIONS = "conversations", _("conversations")

    agent_id = models.UUIDField(_("agent"))
    # Each has a model of its own, whose scores are not the other's.
    kind = models.CharField(_("kind"), max_length=13, choices=Kind.choices, default=Kind.QUESTIONS)
    # Of the embedding model and the verifier's weights: scores of another are not comparable.
    verifier = models.CharField(_("verifier"), max_length=64)
    error_target = models.FloatField(_("errors allowed"))
    threshold = models.FloatField(_("threshold"))
    trials = models.PositiveIntegerField(_("hits asked again"), default=0)
    errors = models.PositiveIntegerField(_("of them wrong"), default=0)
    bound = models.FloatField(_("error bound"), null=True, blank=True)
    is_off = models.BooleanField(_("turned off"), default=False)
    changed_at = models.DateTimeField(_("changed"), default=timezone.now)

    class Meta:
        verbose_name = _("calibration")
        verbose_name_plural = _("calibrations")
        ordering: ClassVar = ["-changed_at", "-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["agent_id", "verifier", "kind"], name="cache_one_calibration"),
            models.CheckConstraint(
                condition=Q(threshold__gte=0)
                & Q(threshold__lte=1)
                & Q(error_target__gt=0)
                & Q(error_target__lte=1)
                & Q(errors__lte=models.F("trials")),
                name="cache_calibration_in_bounds",
            ),
        ]

    @property
    def off_because(self) -> str:
        """Why it is off, in a sentence; empty when it is on."""
        if not self.is_off:
            return ""
        said = {"errors": self.errors, "trials": self.trials, "target": f"{self.error_target:.1%}"}
        if is_broken(self.errors, self.trials, target=self.error_target):
            text = gettext(
                "%(errors)d of %(trials)d answers that were asked again were wrong; more than %(target)s may be."
            )
        else:
            text = gettext("No threshold keeps what is known to be wrong within %(target)s.")
        return text % said

    def __str__(self) -> str:
        return f"{self.agent_id}, {self.get_kind_display()}: {self.threshold:.3f}"


class Trial(BaseModel):
    """One look at whether an entry's answer was right for a question, or a labelled pair. Holds no text."""

    class Source(models.TextChoices):
        SHADOW = "shadow", _("asked again")
        JUDGE = "judge", _("judged by a model")
        FEEDBACK = "feedback", _("said by a person")
        LABELLED = "labelled", _("a labelled pair")

    calibration = models.ForeignKey(
        Calibration, on_delete=models.CASCADE, related_name="seen", verbose_name=_("calibration")
    )
    # Empty for labelled pairs alone.
    entry_id = models.UUIDField(_("entry"), null=True, blank=True)
    call_id = models.UUIDField(_("model call"), null=True, blank=True)
    score = models.FloatField(_("score"))
    similarity = models.FloatField(_("similarity"), null=True, blank=True)
    was_served = models.BooleanField(_("served"))
    is_right = models.BooleanField(_("right"))
    source = models.CharField(_("source"), max_length=8, choices=Source.choices)
    at = models.DateTimeField(_("at"), default=timezone.now)

    class Meta:
        verbose_name = _("trial")
        verbose_name_plural = _("trials")
        ordering: ClassVar = ["-at", "-id"]
        indexes: ClassVar = [
            models.Index(fields=["calibration", "-at"], name="cache_trials_recent"),
            models.Index(fields=["entry_id"], name="cache_trials_of_entry"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(score__gte=0) & Q(score__lte=1), name="cache_score_in_bounds"),
            models.UniqueConstraint(
                fields=["entry_id", "call_id"], condition=Q(source="feedback"), name="cache_said_wrong_once"
            ),
            models.CheckConstraint(
                condition=Q(entry_id__isnull=False) | Q(source="labelled", was_served=False),
                name="cache_trial_of_an_entry_or_pair",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.entry_id or self.get_source_display()}: {self.score:.3f}"
