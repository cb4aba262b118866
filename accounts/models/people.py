"""People, service accounts and roles."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.contrib.auth.models import AbstractUser, Group, UserManager
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _
from guardian.mixins import GuardianUserMixin

from foundation.models import new_id


class PeopleManager(UserManager["User"]):
    """Makes users, with mail addresses in small letters: allauth looks for them so."""

    @classmethod
    def normalize_email(cls, email: str | None) -> str:
        """Also called by every form with a user's mail, through `AbstractUser.clean`."""
        return (email or "").strip().lower()

    def visible_to(self, user: User) -> models.QuerySet[User]:
        """Everybody for whoever may view users, else oneself."""
        return self.all() if user.has_perm("accounts.view_user") else self.filter(pk=user.pk)

    def administrators(self) -> models.QuerySet[User]:
        """People who can sign in and give rights: superusers, and who may change both users and roles."""
        found = self.filter(is_active=True, is_service=False)
        for permission in ("accounts.change_user", "accounts.change_role"):
            holders = self.with_perm(permission, is_active=True, backend="django.contrib.auth.backends.ModelBackend")
            found = found.filter(pk__in=holders.values("pk"))
        return found


class ServiceAccountManager(PeopleManager):
    """Service accounts alone."""

    def get_queryset(self) -> models.QuerySet[User]:
        """No people."""
        return super().get_queryset().filter(is_service=True)


class User(GuardianUserMixin, AbstractUser):
    """A person or a service account."""

    class Theme(models.TextChoices):
        SYSTEM = "", _("as the system")
        LIGHT = "light", _("light")
        DARK = "dark", _("dark")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    # Has API keys and no password: nobody signs in as it.
    is_service = models.BooleanField(
        _("service account"), default=False, help_text=_("For programs: it has API keys, and nobody signs in as it.")
    )
    # What was known of the person is gone; the row stays for what it has spent.
    erased_at = models.DateTimeField(_("erased"), null=True, blank=True, editable=False)
    # Empty: what the browser asks for.
    language = models.CharField(_("language"), max_length=10, choices=settings.LANGUAGES, blank=True)
    theme = models.CharField(_("appearance"), max_length=5, choices=Theme.choices, blank=True)

    objects: ClassVar[PeopleManager] = PeopleManager()

    # No column: the agents that the credential of this request reaches (slugs); None: all. See accounts.narrowing.
    narrowed_to: frozenset[str] | None = None

    class Meta(AbstractUser.Meta):
        verbose_name = _("user")  # type: ignore[assignment]  # the stubs know only plain text here
        verbose_name_plural = _("users")  # type: ignore[assignment]
        permissions: ClassVar = [("administer_user", _("Can export and erase people"))]
        constraints: ClassVar = [
            # People sign in, and get back in, by their mail address.
            models.UniqueConstraint(
                Lower("email"),
                condition=~Q(email=""),
                name="accounts_user_mail",
                violation_error_message=_("Another account has this mail address."),
            ),
            models.CheckConstraint(
                condition=Q(is_service=False) | Q(is_staff=False, is_superuser=False),
                name="accounts_service_is_no_staff",
            ),
            models.CheckConstraint(
                condition=Q(erased_at=None) | Q(is_active=False), name="accounts_erased_is_inactive"
            ),
        ]

    @property
    def may_come_in(self) -> bool:
        """Whether any credential of theirs opens anything."""
        return self.is_active and self.erased_at is None

    @property
    def may_sign_in(self) -> bool:
        """Whether a password, or what came of one, opens anything: not for service accounts."""
        return self.may_come_in and not self.is_service


class ServiceAccount(User):
    """A user that is a program."""

    objects: ClassVar[ServiceAccountManager] = ServiceAccountManager()

    class Meta:
        proxy = True
        default_permissions = ()  # those for users
        verbose_name = _("service account")
        verbose_name_plural = _("service accounts")


class Role(Group):
    """A named set of rights. Django's group, under the word people use."""

    class Meta:
        proxy = True
        verbose_name = _("role")
        verbose_name_plural = _("roles")
