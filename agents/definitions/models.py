"""Agents and their versions: what can be run."""

from __future__ import annotations

from typing import Any, ClassVar

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models import Shared
from agents.definitions.data import Configuration
from agents.definitions.exceptions import VersionIsImmutable
from agents.definitions.querysets import AgentQuerySet
from foundation.models import BaseModel

validate_slug = RegexValidator(r"^[a-z][a-z0-9-]{0,62}$", _("Lower-case letters, digits and hyphens, a letter first."))


class Agent(Shared, BaseModel):
    """A named agent. What it does is said by its current version."""

    class Source(models.TextChoices):
        CODE = "code", _("code")
        ADMIN = "admin", _("admin")

    slug = models.CharField(_("slug"), max_length=63, unique=True, validators=[validate_slug])
    name = models.CharField(_("name"), max_length=100)
    description = models.TextField(_("description"), blank=True)
    source = models.CharField(
        _("defined in"), max_length=5, choices=Source.choices, default=Source.ADMIN, editable=False
    )
    is_enabled = models.BooleanField(_("enabled"), default=True)
    queue = models.CharField(_("queue"), max_length=32, default="interactive")
    current_version = models.ForeignKey(
        "AgentVersion",
        on_delete=models.PROTECT,
        null=True,
        editable=False,
        related_name="+",
        verbose_name=_("current version"),
    )

    objects = AgentQuerySet.as_manager()

    class Meta:
        verbose_name = _("agent")
        verbose_name_plural = _("agents")
        ordering: ClassVar = ["slug"]
        permissions: ClassVar = [("use_agent", _("Can use agents"))]

    def __str__(self) -> str:
        return self.slug

    @property
    def is_usable(self) -> bool:
        """Whether a task may be submitted to it: it is enabled, and its code, if it has any, is installed."""
        return self.is_enabled and self.current_version_id is not None


class AgentVersion(BaseModel):
    """One immutable configuration of an agent. Tasks point here, so that what ran stays known."""

    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="versions", verbose_name=_("agent"))
    number = models.PositiveIntegerField(_("number"))
    kind = models.CharField(_("graph kind"), max_length=100, default="tool-calling")
    model = models.CharField(_("model"), max_length=200, blank=True)
    system_prompt = models.TextField(_("system prompt"), blank=True)
    tools = models.JSONField(_("tools"), default=list, blank=True)
    parameters = models.JSONField(_("model parameters"), default=dict, blank=True)
    limits = models.JSONField(_("limits"), default=dict, blank=True)
    memory_messages = models.PositiveIntegerField(_("messages remembered"), default=20)
    policy = models.JSONField(_("execution policy"), default=dict, blank=True)
    cache = models.JSONField(_("cache policy"), default=dict, blank=True)
    digest = models.CharField(_("digest"), max_length=64, editable=False)

    class Meta:
        verbose_name = _("agent version")
        verbose_name_plural = _("agent versions")
        ordering: ClassVar = ["-number"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["agent", "number"], name="agents_version_number"),
            models.CheckConstraint(condition=Q(number__gte=1), name="agents_version_from_one"),
        ]

    def __str__(self) -> str:
        return f"{self.agent.slug} v{self.number}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Writes a new row; raises VersionIsImmutable for one that exists."""
        if not self._state.adding:
            raise VersionIsImmutable
        super().save(*args, **kwargs)

    @property
    def configuration(self) -> Configuration:
        """What it is made of."""
        return Configuration(
            kind=self.kind,
            model=self.model,
            system_prompt=self.system_prompt,
            tools=tuple(self.tools),
            parameters=self.parameters,
            limits=self.limits,
            memory_messages=self.memory_messages,
            policy=self.policy,
            cache=self.cache,
        )
