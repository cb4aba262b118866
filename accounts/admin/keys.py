"""API keys."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from accounts.audit import Actor
from accounts.exceptions import AccountError
from accounts.models import ApiKey
from accounts.scopes import SCOPES
from accounts.services import issue_api_key, revoke_api_key
from foundation.admin import BaseAdmin, confirmation, is_confirmed, page


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
