"""People and service accounts."""

from __future__ import annotations

from typing import Any, ClassVar

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as BaseUserAdmin
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin
from unfold.decorators import action, display
from unfold.forms import AdminPasswordChangeForm, UserCreationForm

from accounts import audit
from accounts.admin.forms import PersonForm
from accounts.admin.privacy import PrivacyAdmin
from accounts.audit import Actor
from accounts.changes import form_changes
from accounts.exceptions import AccountError
from accounts.guard import keeping_an_administrator
from accounts.models import User
from accounts.people import delete_person
from accounts.reasons import access_of
from accounts.refusals import record_refusal
from accounts.rights import may_manage, rights_changed
from accounts.roles import set_roles
from accounts.services import forget_mail
from accounts.sessions import end_all
from foundation.admin import page

# allauth's: the first shows secrets, the second is a copy of what stands in the user's row, the third lists the
# sessions of others by key.
admin.site.unregister(Authenticator)
admin.site.unregister(EmailAddress)
admin.site.unregister(UserSession)

# Rights beyond roles are a superuser's to give.
BEYOND_ROLES = ("is_superuser", "user_permissions")


@admin.register(User)
class UserAdmin(PrivacyAdmin, BaseUserAdmin, ModelAdmin):  # type: ignore[misc, type-arg]  # unfold has no types
    """Nobody changes an account that has more rights than they have, nor gives a role that is more than they are."""

    form = PersonForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "kind", "email", "roles", "is_active", "is_staff", "last_login")
    list_filter = ("is_active", "is_service", "is_staff", "groups")
    ordering = ("username",)
    filter_horizontal = ("user_permissions",)
    readonly_fields = ("is_service", "last_login", "date_joined")
    actions_detail: ClassVar = ["explain"]
    fieldsets = (
        (None, {"fields": ("username", "password", "is_service")}),
        (gettext_lazy("About"), {"fields": ("first_name", "last_name", "email")}),
        (gettext_lazy("What they may do"), {"fields": ("is_active", "is_staff", "groups", *BEYOND_ROLES)}),
        (gettext_lazy("When"), {"fields": ("last_login", "date_joined")}),
    )

    @display(description=gettext_lazy("kind"), label={"person": "info", "service": "warning"})
    def kind(self, user: User) -> tuple[str, str]:
        """A person or a program."""
        return ("service", _("service account")) if user.is_service else ("person", _("person"))

    @display(description=gettext_lazy("roles"))
    def roles(self, user: User) -> str:
        """By name."""
        names = [_("superuser")] * user.is_superuser + sorted(role.name for role in user.groups.all())
        return ", ".join(names) or "—"

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        """With their roles."""
        users: QuerySet[User] = super().get_queryset(request)
        return users.prefetch_related("groups")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Without raw permissions for whoever may not give them."""
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or _is_superuser(request):
            return fieldsets
        return [
            (title, {**options, "fields": [name for name in options["fields"] if name not in BEYOND_ROLES]})
            for title, options in fieldsets
        ]

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002 (Django's signature)
        """It knows who fills it in."""
        form = super().get_form(request, obj, change=change, **kwargs)
        return type(form.__name__, (form,), {"by": request.user}) if obj else form

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """One at a time: an account is deactivated, or deleted with a look at what goes with it."""
        return {}

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Of the accounts that one may manage; service accounts have a page of their own."""
        allowed: bool = super().has_change_permission(request, obj) and not getattr(obj, "is_service", False)
        return allowed and _may_manage(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """The same."""
        allowed: bool = super().has_delete_permission(request, obj)
        return allowed and _may_manage(request, obj)

    def has_explain_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever sees the account."""
        return self.has_view_permission(request)

    @action(description=gettext_lazy("What may this person do, and why?"), url_path="access", permissions=["explain"])
    def explain(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Every right, and where it comes from."""
        user = self.get_object(request, object_id)
        if user is None:
            raise Http404
        if not isinstance(request.user, User):
            raise PermissionDenied
        title, access = _("What may %(user)s do, and why?") % {"user": user}, access_of(user=user, viewer=request.user)
        return page(self, request, "admin/accounts/user/access.html", title=title, access=access, original=user)

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Saving keeps an administrator; a refusal is said on the same page."""
        if request.method != "POST":
            return super().changeform_view(request, object_id, form_url, extra_context)
        try:
            with keeping_an_administrator():
                return super().changeform_view(request, object_id, form_url, extra_context)
        except AccountError as error:
            return self._refused(request, error)

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """The same."""
        try:
            return super().delete_view(request, object_id, extra_context)
        except AccountError as error:
            return self._refused(request, error)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: FBT001
        """With its audit entry; roles have one of their own."""
        super().save_model(request, obj, form, change)
        if "email" in form.changed_data:
            forget_mail(user=obj)
        changes = {name: told for name, told in form_changes(form).items() if name != "groups"}
        if changes or not change:
            verb = f"user.{'change' if change else 'create'}"
            audit.record(verb=verb, actor=Actor.of(request), subject=obj, changes=changes)
        rights_changed()

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:  # noqa: FBT001
        """Roles through their service, which knows who may give what."""
        if "groups" in form.cleaned_data:
            set_roles(
                user=form.instance, roles=form.cleaned_data["groups"], by=request.user, actor=Actor.of(request)  # type: ignore[arg-type]
            )  # fmt: skip
        super().save_related(request, form, formsets, change)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:  # noqa: A002 (Django's name)
        """Nobody signs in as a service account."""
        user = self.get_object(request, id)
        if isinstance(user, User) and user.is_service:
            raise PermissionDenied
        return super().user_change_password(request, id, form_url)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Django's page for the password of somebody else calls this and nothing of ours."""
        if request.resolver_match and request.resolver_match.url_name == "auth_user_password_change":
            audit.record(verb="auth.password_change", actor=Actor.of(request), subject=obj)
            end_all(user=obj)
        return super().log_change(request, obj, message)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Through the service."""
        delete_person(user=obj, by=request.user, actor=Actor.of(request))  # type: ignore[arg-type]

    def _refused(self, request: HttpRequest, error: AccountError) -> HttpResponse:
        record_refusal(error, Actor.of(request))
        self.message_user(request, str(error), messages.ERROR)
        return redirect(request.get_full_path())


def _is_superuser(request: HttpRequest) -> bool:
    return isinstance(request.user, User) and request.user.is_superuser


def _may_manage(request: HttpRequest, target: Any) -> bool:
    """Unfold asks also with the id of a row, and Django with nothing, for the list."""
    return not isinstance(target, User) or (isinstance(request.user, User) and may_manage(request.user, target))
