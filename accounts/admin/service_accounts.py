"""Service accounts: name, roles, and the keys that they have."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin, messages
from django.db.models import Count, Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import display

from accounts.admin.forms import ServiceAccountForm
from accounts.audit import Actor
from accounts.models import ServiceAccount, User
from accounts.rights import may_manage
from accounts.service_accounts import change_service_account, make_service_account
from foundation.admin import BaseAdmin


@admin.register(ServiceAccount)
class ServiceAccountAdmin(BaseAdmin):
    """Under the rights for users, and only by whoever has all rights of the account."""

    form = ServiceAccountForm
    list_display = ("username", "is_active", "role_names", "live_keys", "date_joined")
    list_filter = ("is_active",)
    search_fields = ("username",)
    ordering = ("username",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        """With what the list counts."""
        unended = Q(api_keys__revoked_at=None, api_keys__replaced_by=None) & Q(api_keys__id__isnull=False)
        rows: QuerySet[User] = super().get_queryset(request)
        return rows.annotate(key_count=Count("api_keys", filter=unended)).prefetch_related("groups")

    @display(description=gettext_lazy("roles"))
    def role_names(self, account: User) -> str:
        """By name."""
        return ", ".join(sorted(role.name for role in account.groups.all())) or "—"

    @display(description=gettext_lazy("keys"))
    def live_keys(self, account: Any) -> str:
        """How many, with the way to them."""
        address = reverse("admin:accounts_apikey_changelist")
        return format_html('<a href="{}?owner__id__exact={}">{}</a>', address, account.pk, account.key_count)

    @display(description=gettext_lazy("new key"))
    def new_key(self, account: User) -> str:
        """The form with this owner."""
        address = reverse("admin:accounts_apikey_add")
        return format_html('<a href="{}?owner={}">{}</a>', address, account.pk, _("Issue a key"))

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        """A new one is on."""
        return ("username", "is_active", "groups", "live_keys", "new_key") if obj else ("username", "groups")

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        """Its name stands in the record."""
        return ("username", "live_keys", "new_key") if obj else ()

    def get_form(self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002
        """The form knows who asks."""
        form = super().get_form(request, obj, change, **kwargs)
        return type(form.__name__, (form,), {"by": request.user})

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Whoever may view users."""
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Whoever may view users."""
        return bool(request.user.has_perm("accounts.view_user") or request.user.has_perm("accounts.change_user"))

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Whoever may make users."""
        return bool(request.user.has_perm("accounts.add_user"))

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Whoever may change users, and has all rights of this one."""
        user = cast("User", request.user)
        return user.has_perm("accounts.change_user") and (obj is None or may_manage(user, cast("User", obj)))

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """What it has done stays; it is turned off instead."""
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: FBT001
        """Through the services."""
        given, actor, by = form.cleaned_data, Actor.of(request), cast("User", request.user)
        if change:
            account = User.objects.get(pk=obj.pk)
            is_active, roles = given["is_active"], given["groups"]
            change_service_account(user=account, actor=actor, is_active=is_active, roles=roles, by=by)
        else:
            made = make_service_account(name=given["username"], actor=actor, roles=given["groups"], by=by)
            obj.pk, obj._state.adding = made.pk, False

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:  # noqa: FBT001
        """The services did it."""

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        """On to its page, where it gets a key."""
        self.message_user(request, _("“%(name)s” is there. It needs a key now.") % {"name": obj}, messages.SUCCESS)
        return redirect("admin:accounts_serviceaccount_change", obj.pk)
