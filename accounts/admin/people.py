"""People."""

from __future__ import annotations

from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as BaseUserAdmin
from django.db.models import Model
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from accounts import audit
from accounts.audit import Actor
from accounts.models import User
from accounts.services import forget_mail

# allauth's: the first shows secrets, the second is a copy of what stands in the user's row, the third lists the
# sessions of others by key.
admin.site.unregister(Authenticator)
admin.site.unregister(EmailAddress)
admin.site.unregister(UserSession)


@admin.register(User)
class UserAdmin(BaseUserAdmin, ModelAdmin):  # type: ignore[misc, type-arg]  # unfold has no types
    """People. Only a superuser makes superusers, or touches one."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "email", "is_active", "is_staff", "last_login")
    list_filter = ("is_active", "is_staff", "groups")
    ordering = ("username",)

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        """Rights beyond roles are a superuser's to give."""
        own = tuple(super().get_readonly_fields(request, obj))
        return own if _is_superuser(request) else (*own, "is_superuser", "user_permissions")

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """A superuser's row is theirs alone."""
        allowed: bool = super().has_change_permission(request, obj)
        return allowed and (_is_superuser(request) or not getattr(obj, "is_superuser", False))

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """The same."""
        allowed: bool = super().has_delete_permission(request, obj)
        return allowed and (_is_superuser(request) or not getattr(obj, "is_superuser", False))

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: FBT001
        """With its audit entry."""
        super().save_model(request, obj, form, change)
        if "email" in form.changed_data:
            forget_mail(user=obj)
        changed = {"fields": [name for name in form.changed_data if "password" not in name]}
        audit.record(
            verb=f"user.{'change' if change else 'create'}", actor=Actor.of(request), subject=obj, changes=changed
        )

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Django's page for the password of somebody else calls this and nothing of ours."""
        if request.resolver_match and request.resolver_match.url_name == "auth_user_password_change":
            audit.record(verb="auth.password_change", actor=Actor.of(request), subject=obj)
        return super().log_change(request, obj, message)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """With its audit entry."""
        audit.record(verb="user.delete", actor=Actor.of(request), subject=obj)
        super().delete_model(request, obj)


def _is_superuser(request: HttpRequest) -> bool:
    return isinstance(request.user, User) and request.user.is_superuser
