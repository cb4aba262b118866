"""People, roles, keys and the audit log."""

from __future__ import annotations

from typing import Any, ClassVar

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as BaseGroupAdmin
from django.contrib.auth.admin import UserAdmin as BaseUserAdmin
from django.contrib.auth.models import Group
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from accounts import admin_record, audit, limits_admin  # noqa: F401 (two register themselves)
from accounts.admin_privacy import PrivacyAdmin
from accounts.audit import Actor
from accounts.changes import form_changes
from accounts.exceptions import AccountError
from accounts.models import ApiKey, Role, User
from accounts.scopes import SCOPES
from accounts.services import forget_mail, issue_api_key, revoke_api_key
from foundation.admin import BaseAdmin, ReadOnlyAdmin, confirmation, is_confirmed, page

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


class IssueForm(forms.ModelForm):  # type: ignore[type-arg]  # Django gives it no type at run time
    """What a new key is made of."""

    scopes = forms.MultipleChoiceField(
        choices=[(name, f"{name}: {label}") for name, label in SCOPES.items()],
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=gettext_lazy("None: the key may do all that its owner may."),
    )

    class Meta:
        model = ApiKey
        fields = ("owner", "name", "scopes", "expires_at")

    def clean(self) -> dict[str, Any] | None:
        """The name is free among the owner's live keys."""
        given = super().clean() or {}
        live = ApiKey.objects.filter(
            owner=given.get("owner"), name=given.get("name"), revoked_at=None, replaced_by=None
        )
        if live.exists():
            self.add_error("name", _("There is a live key of this name already."))
        return given


@admin.register(ApiKey)
class ApiKeyAdmin(BaseAdmin):
    """Keys are issued, shown once, and revoked; never changed."""

    form = IssueForm
    list_display = ("name", "owner", "prefix", "live", "created_at", "expires_at", "last_used_at")
    list_filter = (("revoked_at", admin.EmptyFieldListFilter),)
    list_select_related = ("owner",)
    search_fields = ("name", "=prefix", "=owner__username")
    autocomplete_fields = ("owner",)
    actions: ClassVar = ["revoke_keys"]
    shown = (
        "owner",
        "name",
        "prefix",
        "scopes",
        "created_at",
        "expires_at",
        "revoked_at",
        "last_used_at",
        "replaced_by",
    )

    @display(description=gettext_lazy("opens something"), boolean=True)
    def live(self, key: ApiKey) -> bool:
        """Neither revoked nor expired."""
        return key.is_live

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        """A form for a new one, facts of an old one."""
        return self.shown if obj else ("owner", "name", "scopes", "expires_at")

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        """Nothing of a key changes."""
        return self.shown if obj else ()

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Never the row; revoking is an action."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """A revoked key stays, for the record."""
        return False

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Whoever may change keys."""
        return bool(request.user.has_perm("accounts.change_apikey"))

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: FBT001
        """Through the service, which alone knows how; the text waits for `response_add`."""
        given = form.cleaned_data
        issued = issue_api_key(
            owner=given["owner"],
            name=given["name"],
            scopes=given["scopes"],
            expires_at=given["expires_at"],
            actor=Actor.of(request),
        )
        obj.pk, obj.prefix = issued.row.pk, issued.row.prefix
        request.issued_key = issued.key  # type: ignore[attr-defined]

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        """Shows the key, in this answer and never again."""
        response = page(
            self, request, "admin/accounts/issued_key.html",
            title=_("The new API key"), key=request.issued_key, row=obj,  # type: ignore[attr-defined]
        )  # fmt: skip
        response["Cache-Control"] = "no-store"
        return response

    @admin.action(permissions=["revoke"], description=gettext_lazy("Revoke"))
    def revoke_keys(self, request: HttpRequest, keys: QuerySet[ApiKey]) -> HttpResponse | None:
        """Ends keys for good."""
        if not is_confirmed(request):
            sentence = _("Whoever uses them is refused within seconds. This cannot be undone.")
            return confirmation(
                self, request, action="revoke_keys", title=_("Revoke these keys?"), sentence=sentence, rows=keys
            )
        try:
            done = sum(revoke_api_key(api_key=key, actor=Actor.of(request)) for key in keys)
        except AccountError as error:
            self.message_user(request, str(error), messages.ERROR)
        else:
            self.message_user(request, _("%(done)d keys revoked.") % {"done": done}, messages.SUCCESS)
        return None


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
