"""What people and programs show at the door: API keys, and the sessions that JWTs belong to."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models.people import User
from accounts.networks import holds
from accounts.querysets import ApiKeyQuerySet, ApiSessionQuerySet
from accounts.scopes import SCOPES
from foundation.models import BaseModel, new_id


class ApiKey(BaseModel):
    """A credential `mut_<prefix>_<secret>`; only a digest of the secret is kept."""

    owner = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_keys", verbose_name=_("owner"))
    name = models.CharField(_("name"), max_length=100)
    prefix = models.CharField(_("key id"), max_length=16, unique=True, editable=False)
    digest = models.CharField(_("digest"), max_length=64, editable=False)
    # What it is narrowed to; an empty list narrows nothing.
    scopes = models.JSONField(_("scopes"), default=list, blank=True)
    agents = models.JSONField(_("agents"), default=list, blank=True)  # slugs
    addresses = models.JSONField(_("addresses"), default=list, blank=True)  # networks in CIDR notation
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True, editable=False)
    last_used_from = models.GenericIPAddressField(_("last used from"), null=True, blank=True, editable=False)
    replaced_by = models.OneToOneField(
        "self", on_delete=models.SET_NULL, null=True, blank=True, editable=False, related_name="replaces",
        verbose_name=_("replaced by"),
    )  # fmt: skip
    # The key that it was made with, if any: it ends when that one is revoked.
    made_with = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, editable=False, related_name="made",
        verbose_name=_("made with"),
    )  # fmt: skip
    # The same for a key, all that have followed it by rotation, and all that were made with one of them: limits and
    # quotas are theirs together.
    lineage = models.UUIDField(_("lineage"), default=new_id, editable=False, db_index=True)

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

    @property
    def scope_names(self) -> list[str]:
        """What it may do, in words."""
        return [str(SCOPES.get(scope, scope)) for scope in self.scopes]

    def opens_from(self, address: str | None) -> bool:
        """Whether the address is on the list; with an empty list, always. Without an address (a Unix socket), never."""
        return not self.addresses or (address is not None and holds(tuple(self.addresses), address))


class ApiSession(BaseModel):
    """One signing in to the API: every access and refresh token that has come of it carries its id (`sid`)."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_sessions", verbose_name=_("user"))
    address = models.GenericIPAddressField(_("address"), null=True, blank=True)
    user_agent = models.CharField(_("program"), max_length=200, blank=True)
    refreshed_at = models.DateTimeField(_("last refreshed"), default=timezone.now)
    # After this no token of it is good for anything, whatever happens to the row.
    expires_at = models.DateTimeField(_("expires"))
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)

    objects = ApiSessionQuerySet.as_manager()

    class Meta:
        verbose_name = _("API session")
        verbose_name_plural = _("API sessions")
        ordering: ClassVar = ["-created_at", "-id"]
        indexes: ClassVar = [
            models.Index(fields=["user", "-created_at"], condition=Q(ended_at=None), name="accounts_sessions_open"),
            models.Index(fields=["expires_at"], name="accounts_sessions_expiry"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} {self.created_at:%Y-%m-%d %H:%M}"

    @property
    def is_open(self) -> bool:
        """Neither ended nor past its expiry."""
        return self.ended_at is None and self.expires_at > timezone.now()
