"""People, roles, refresh tokens and the audit log."""

from __future__ import annotations

from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as BaseGroupAdmin
from django.contrib.auth.admin import UserAdmin as BaseUserAdmin
from django.contrib.auth.models import Group
from django.db.models import Model
from django.http import HttpRequest
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from accounts import admin_record, audit, limits_admin  # noqa: F401 (two register themselves)
from accounts.admin_privacy import PrivacyAdmin
from accounts.audit import Actor
from accounts.changes import form_changes
from accounts.models import Role, User
from accounts.services import forget_mail
from accounts.sessions import end_all
from foundation.admin import ReadOnlyAdmin

admin.site.unregister(Group)
admin.site.unregister(OutstandingToken)
admin.site.unregister(BlacklistedToken)
# allauth's: the first shows secrets, the second is a copy of what stands in the user's row, the third lists the
# sessions of others by key.
admin.site.unregister(Authenticator)
admin.site.unregister(EmailAddress)
admin.site.unregister(UserSession)


@admin.register(User)
class UserAdmin(PrivacyAdmin, BaseUserAdmin, ModelAdmin):  # type: ignore[misc, type-arg]  # unfold has no types
    """People. Only a superuser makes superusers, or touches one."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "email", "is_active", "is_staff", "last_login")
    list_filter = ("is_active", "is_staff", "is_service", "groups")
    ordering = ("username",)

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        """Rights beyond roles are a superuser's to give."""
        own = tuple(super().get_readonly_fields(request, obj))
        return own if _is_superuser(request) else (*own, "is_superuser", "user_permissions")

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """A superuser's row is theirs alone; service accounts have a page of their own."""
        allowed: bool = super().has_change_permission(request, obj) and not getattr(obj, "is_service", False)
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
        audit.record(
            verb=f"user.{'change' if change else 'create'}",
            actor=Actor.of(request),
            subject=obj,
            changes=form_changes(form),
        )

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Django's page for the password of somebody else calls this and nothing of ours."""
        if request.resolver_match and request.resolver_match.url_name == "auth_user_password_change":
            audit.record(verb="auth.password_change", actor=Actor.of(request), subject=obj)
            end_all(user=obj)
        return super().log_change(request, obj, message)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """With its audit entry."""
        audit.record(verb="user.delete", actor=Actor.of(request), subject=obj)
        super().delete_model(request, obj)


@admin.register(Role)
class RoleAdmin(BaseGroupAdmin, ModelAdmin):  # type: ignore[misc]
    """Named sets of rights."""

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: FBT001
        """With its audit entry."""
        super().save_model(request, obj, form, change)
        verb = f"role.{'change' if change else 'create'}"
        audit.record(verb=verb, actor=Actor.of(request), subject=obj, changes=form_changes(form))

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """With its audit entry."""
        audit.record(verb="role.delete", actor=Actor.of(request), subject=obj)
        super().delete_model(request, obj)


@admin.register(OutstandingToken)
class OutstandingTokenAdmin(ReadOnlyAdmin):
    """Refresh tokens that were given out; never their text."""

    list_display = ("jti", "user", "created_at", "expires_at")
    list_select_related = ("user",)
    search_fields = ("=jti", "=user__username")
    fields = ("jti", "user", "created_at", "expires_at")
    ordering = ("-id",)


@admin.register(BlacklistedToken)
class BlacklistedTokenAdmin(ReadOnlyAdmin):
    """Refresh tokens that open nothing any more."""

    list_display = ("jti", "blacklisted_at")
    list_select_related = ("token",)
    search_fields = ("=token__jti",)
    fields = ("jti", "blacklisted_at")
    readonly_fields = ("jti",)
    ordering = ("-id",)

    @display(description="jti")
    def jti(self, row: Any) -> str:
        """The token's id."""
        return str(row.token.jti)


def _is_superuser(request: HttpRequest) -> bool:
    return isinstance(request.user, User) and request.user.is_superuser
