"""Where models are: credentials, deployments, and the routes that lead to them."""

from __future__ import annotations

from typing import ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from foundation.encryption import EncryptedTextField
from foundation.models import BaseModel

validate_name = RegexValidator(r"^[a-z][a-z0-9-]{0,62}$", _("Lower-case letters, digits and hyphens, a letter first."))


class Credential(BaseModel):
    """What a provider is shown, and at which address. The secret is sealed, and never shown again.

    Without an address it is the provider's own. A secret belongs to its address: another address clears it.
    """

    class RateLimits(models.TextChoices):
        """What a 429 is about."""

        USUAL = "usual", _("as is usual for the provider")
        TOGETHER = "together", _("all models together")
        EACH_MODEL = "each_model", _("each model by itself")

    name = models.CharField(_("name"), max_length=63, unique=True, validators=[validate_name])
    provider = models.CharField(_("provider"), max_length=50)
    base_url = models.URLField(_("address"), max_length=2000, blank=True)
    rate_limits = models.CharField(_("rate limits count"), max_length=16, choices=RateLimits, default=RateLimits.USUAL)
    secret = EncryptedTextField(_("secret"), blank=True, editable=False)
    # Of the secret, so that people can tell two apart; never enough to guess one.
    hint = models.CharField(_("ends with"), max_length=4, blank=True, editable=False)
    changed_at = models.DateTimeField(_("secret set"), null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("credential")
        verbose_name_plural = _("credentials")
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name


class Deployment(BaseModel):
    """One model at one provider under one credential; without one, the provider's environment variables are used.

    Caps are for the whole installation; empty means none.
    """

    name = models.CharField(_("name"), max_length=63, unique=True, validators=[validate_name])
    provider = models.CharField(_("provider"), max_length=50)
    model = models.CharField(_("model"), max_length=200)
    credential = models.ForeignKey(
        Credential, on_delete=models.PROTECT, null=True, blank=True, related_name="deployments",
        verbose_name=_("credential"),
    )  # fmt: skip
    parameters = models.JSONField(_("model parameters"), default=dict, blank=True)
    is_enabled = models.BooleanField(_("enabled"), default=True)
    most_concurrent = models.PositiveIntegerField(
        _("calls at a time"), null=True, blank=True, validators=[MinValueValidator(1)]
    )
    most_requests = models.PositiveIntegerField(
        _("calls a minute"), null=True, blank=True, validators=[MinValueValidator(1)]
    )
    most_tokens = models.PositiveIntegerField(
        _("tokens a minute"), null=True, blank=True, validators=[MinValueValidator(1)]
    )

    class Meta:
        verbose_name = _("deployment")
        verbose_name_plural = _("deployments")
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=(Q(most_concurrent=None) | Q(most_concurrent__gte=1))
                & (Q(most_requests=None) | Q(most_requests__gte=1))
                & (Q(most_tokens=None) | Q(most_tokens__gte=1)),
                name="gateway_caps_from_one",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Route(BaseModel):
    """A name by which agents call models (`route:<name>`): deployments, and in which order they are tried.

    Times are in seconds. The deadline is shared by all tries of a call; empty means the installation's.
    """

    class Strategy(models.TextChoices):
        ORDERED = "ordered", _("in their order")
        WEIGHTED = "weighted", _("by weight")
        LATENCY = "latency", _("the quickest first")

    name = models.CharField(_("name"), max_length=63, unique=True, validators=[validate_name])
    description = models.TextField(_("description"), blank=True)
    strategy = models.CharField(_("strategy"), max_length=8, choices=Strategy.choices, default=Strategy.ORDERED)
    is_enabled = models.BooleanField(_("enabled"), default=True)
    deadline_seconds = models.FloatField(
        _("deadline"), null=True, blank=True, validators=[MinValueValidator(0.1), MaxValueValidator(86_400)]
    )
    first_token_seconds = models.FloatField(
        _("longest wait for the first token"), null=True, blank=True,
        validators=[MinValueValidator(0.1), MaxValueValidator(86_400)],
    )  # fmt: skip
    stall_seconds = models.FloatField(
        _("longest wait between tokens"), null=True, blank=True,
        validators=[MinValueValidator(0.1), MaxValueValidator(86_400)],
    )  # fmt: skip
    most_tries = models.PositiveSmallIntegerField(
        _("tries of each deployment"), null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(10)]
    )
    # Where calls go that are too long for these models, or that they refuse to answer.
    longer_route = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="+",
        verbose_name=_("route for what is too long"),
    )  # fmt: skip
    refused_route = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="+",
        verbose_name=_("route for what was refused"),
    )  # fmt: skip
    deployments = models.ManyToManyField(Deployment, through="RouteStep", related_name="routes")

    class Meta:
        verbose_name = _("route")
        verbose_name_plural = _("routes")
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=(Q(longer_route=None) | ~Q(longer_route=F("id")))
                & (Q(refused_route=None) | ~Q(refused_route=F("id"))),
                name="gateway_no_route_to_itself",
            ),
            models.CheckConstraint(
                condition=(Q(deadline_seconds=None) | Q(deadline_seconds__gt=0))
                & (Q(first_token_seconds=None) | Q(first_token_seconds__gt=0))
                & (Q(stall_seconds=None) | Q(stall_seconds__gt=0))
                & (Q(most_tries=None) | Q(most_tries__gte=1)),
                name="gateway_route_times_above_zero",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class RouteStep(BaseModel):
    """A deployment's place in a route."""

    route = models.ForeignKey(Route, on_delete=models.CASCADE, related_name="steps", verbose_name=_("route"))
    deployment = models.ForeignKey(
        Deployment, on_delete=models.PROTECT, related_name="steps", verbose_name=_("deployment")
    )
    position = models.PositiveSmallIntegerField(_("position"), default=0)
    weight = models.PositiveSmallIntegerField(_("weight"), default=1, validators=[MaxValueValidator(1000)])

    class Meta:
        verbose_name = _("step of a route")
        verbose_name_plural = _("steps of a route")
        ordering: ClassVar = ["position", "id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["route", "deployment"], name="gateway_deployment_once_a_route"),
        ]

    def __str__(self) -> str:
        return f"{self.route} → {self.deployment}"
