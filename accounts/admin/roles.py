"""Roles, as a matrix of rights."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.models import Group
from django.db.models import Count, Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext_lazy
from unfold.decorators import display

from accounts.admin.forms import RoleForm
from accounts.audit import Actor
from accounts.exceptions import AccountError
from accounts.guard import keeping_an_administrator
from accounts.models import Role
from accounts.refusals import record_refusal
from accounts.resources import summarise
from accounts.rights import lacking, names_of
from accounts.roles import change_role, create_role, delete_role
from foundation.admin import BaseAdmin

admin.site.unregister(Group)


@admin.register(Role)
class RoleAdmin(BaseAdmin):
    """Named sets of rights."""

    form = RoleForm
    fields = ("name",)
    list_display = ("name", "gives", "members")
    search_fields = ("name",)
    ordering = ("name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        """With what they give and to how many."""
        roles: QuerySet[Group] = super().get_queryset(request)
        return roles.annotate(count=Count("user")).prefetch_related("permissions__content_type")

    @display(description=gettext_lazy("gives"))
    def gives(self, role: Group) -> str:
        """In the words of the matrix."""
        return summarise(names_of(role.permissions.all())).sentence or "—"

    @display(description=gettext_lazy("accounts"))
    def members(self, role: Any) -> int:
        """How many have it."""
        return int(role.count)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """One at a time: deleting a role is worth a look at it."""
        return {}

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002 (Django's signature)
        """It knows who fills it in."""
        form = super().get_form(request, obj, change=change, **kwargs)
        may = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        return type(form.__name__, (form,), {"by": request.user, "may_change": may})

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody deletes a role that is more than they are."""
        allowed: bool = super().has_delete_permission(request, obj)
        if not allowed or not isinstance(obj, Group):
            return allowed
        return not lacking(request.user, names_of(obj.permissions.select_related("content_type")))  # type: ignore[arg-type]

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Saving keeps an administrator; a refusal is said on the same page."""
        if request.method != "POST":
            shown: HttpResponse = super().changeform_view(request, object_id, form_url, extra_context)
            return shown
        try:
            with keeping_an_administrator():
                saved: HttpResponse = super().changeform_view(request, object_id, form_url, extra_context)
                return saved
        except AccountError as error:
            return self._refused(request, error)

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """The same."""
        try:
            deleted: HttpResponse = super().delete_view(request, object_id, extra_context)
        except AccountError as error:
            return self._refused(request, error)
        return deleted

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: FBT001
        """Through the services, which know who may give what."""
        name, wanted, actor = form.cleaned_data.get("name", obj.name), form.permissions(), Actor.of(request)
        if change:
            stored = Role.objects.get(pk=obj.pk)
            change_role(role=stored, name=name, permissions=wanted, by=request.user, actor=actor)  # type: ignore[arg-type]
        else:
            obj.pk = create_role(name=name, permissions=wanted, by=request.user, actor=actor).pk  # type: ignore[arg-type]

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:  # noqa: FBT001
        """Nothing is left: the services have given the permissions."""

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Through the service."""
        delete_role(role=obj, by=request.user, actor=Actor.of(request))  # type: ignore[arg-type]

    def _refused(self, request: HttpRequest, error: AccountError) -> HttpResponse:
        record_refusal(error, Actor.of(request))
        self.message_user(request, str(error), messages.ERROR)
        return redirect(request.get_full_path())
