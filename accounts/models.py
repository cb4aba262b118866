"""People, their roles and keys, and the record of what they did."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.contrib.auth.models import AbstractUser, Group, UserManager
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from guardian.mixins import GuardianUserMixin

from accounts.querysets import ApiKeyQuerySet
from foundation.models import BaseModel, new_id


class PeopleManager(UserManager["User"]):
    """Makes users, with mail addresses in small letters: allauth looks for them so."""

    @classmethod
    def normalize_email(cls, email: str | None) -> str:
        """Also called by every form with a user's mail, through `AbstractUser.clean`."""
        return (email or "").strip().lower()


class User(GuardianUserMixin, AbstractUser):
    """A person or a service account."""

    class Theme(models.TextChoices):
        SYSTEM = "", _("as the system")
        LIGHT = "light", _("light")
        DARK = "dark", _("dark")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    # Empty: what the browser asks for.
    language = models.CharField(_("language"), max_length=10, choices=settings.LANGUAGES, blank=True)
    theme = models.CharField(_("appearance"), max_length=5, choices=Theme.choices, blank=True)

    objects: ClassVar[PeopleManager] = PeopleManager()

    class Meta(AbstractUser.Meta):
        verbose_name = _("user")  # type: ignore[assignment]  # the stubs know only plain text here
        verbose_name_plural = _("users")  # type: ignore[assignment]
        constraints: ClassVar = [
            # People sign in, and get back in, by their mail address.
            models.UniqueConstraint(
                Lower("email"),
                condition=~Q(email=""),
                name="accounts_user_mail",
                violation_error_message=_("Another account has this mail address."),
            )
        ]


class Role(Group):
    """A named set of rights. Django's group, under the word people use."""

    class Meta:
        proxy = True
        verbose_name = _("role")
        verbose_name_plural = _("roles")


class ApiKey(BaseModel):
    """A credential `mut_<prefix>_<secret>`; only a digest of the secret is kept."""

    owner = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_keys", verbose_name=_("owner"))
    name = models.CharField(_("name"), max_length=100)
    prefix = models.CharField(_("key id"), max_length=16, unique=True, editable=False)
    digest = models.CharField(_("digest"), max_length=64, editable=False)
    scopes = models.JSONField(_("scopes"), default=list, blank=True)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True, editable=False)
    replaced_by = models.OneToOneField(
        "self", on_delete=models.SET_NULL, null=True, blank=True, editable=False, related_name="replaces",
        verbose_name=_("replaced by"),
    )  # fmt: skip

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")
        ordering: ClassVar = ["-created_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                # A rotated key lives on for a while beside its successor, which has taken over the name.
                fields=["owner", "name"],
                condition=Q(revoked_at=None, replaced_by=None),
                name="accounts_apikey_live_name",
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} (mut_{self.prefix}_…)"

    @property
    def is_live(self) -> bool:
        """Neither revoked nor past its expiry."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > timezone.now())


class AuditEvent(BaseModel):
    """Who did what, on what, from where, and with which outcome. Never changed, never deleted by hand."""

    class Outcome(models.TextChoices):
        DONE = "done", _("done")
        DENIED = "denied", _("denied")

    verb = models.CharField(_("verb"), max_length=64)
    outcome = models.CharField(_("outcome"), max_length=8, choices=Outcome.choices, default=Outcome.DONE)
    actor_id = models.UUIDField(_("actor id"), null=True, blank=True, db_index=True)
    actor_name = models.CharField(_("actor"), max_length=150, blank=True)
    subject_type = models.CharField(_("subject type"), max_length=64, blank=True)
    subject_id = models.UUIDField(_("subject id"), null=True, blank=True, db_index=True)
    subject_name = models.CharField(_("subject"), max_length=200, blank=True)
    changes = models.JSONField(_("changes"), default=dict, blank=True)
    address = models.GenericIPAddressField(_("address"), null=True, blank=True)
    request_id = models.CharField(_("request id"), max_length=64, blank=True)

    class Meta:
        verbose_name = _("audit event")
        verbose_name_plural = _("audit events")
        ordering: ClassVar = ["-created_at", "-id"]
        indexes: ClassVar = [
            models.Index(fields=["-created_at"], name="accounts_audit_recent"),
            models.Index(fields=["verb", "-created_at"], name="accounts_audit_verb"),
        ]

    def __str__(self) -> str:
        return f"{self.actor_name or '—'} {self.verb} {self.subject_name}".strip()
