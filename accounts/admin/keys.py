"""API keys: issued, shown once, rotated and revoked; never changed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import display
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from accounts.audit import Actor
from accounts.exceptions import AccountError, AgentNotUsable, InvalidAddress
from accounts.issuing import IssuedKey, check_may_issue, issue_api_key, revoke_api_key, rotate_api_key
from accounts.models import ApiKey, User
from accounts.narrowing import check_agents, choices_for
from accounts.networks import check_networks
from accounts.rates import validate_rate
from accounts.rights import may_manage
from accounts.scopes import SCOPES
from foundation.admin import BaseAdmin, confirmation, is_confirmed, page

OVERLAPS = {
    "0": gettext_lazy("at once"),
    "3600": gettext_lazy("in 1 hour"),
    "86400": gettext_lazy("in 24 hours"),
    "604800": gettext_lazy("in 7 days"),
}
ASKED = ("owner", "name", "scopes", "agents", "addresses", "expires_at", "rate", "monthly_cost")
SHOWN = (
    "owner", "name", "prefix", "may_do", "may_use", "used_from", "created_at", "expires_at", "revoked_at",
    "last_used_at", "last_used_from", "replaced_by", "made_with",
)  # fmt: skip


def _agent_choices() -> list[tuple[str, str]]:
    return [(choice.slug, choice.name) for choice in choices_for(None)]


class IssueForm(forms.ModelForm):  # type: ignore[type-arg]  # Django gives it no type at run time
    """What a new key is made of."""

    asker: User  # set by the page

    scopes = forms.MultipleChoiceField(
        choices=[(name, f"{name}: {label}") for name, label in SCOPES.items()],
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=gettext_lazy("None: the key may do all that its owner may."),
    )
    agents = forms.MultipleChoiceField(
        choices=_agent_choices,
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=gettext_lazy("None: the key may use all agents that its owner may. Otherwise it sees only these."),
    )
    addresses = forms.CharField(
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text=gettext_lazy("Networks that it may be used from, one a line. None: from everywhere."),
    )
    rate = forms.CharField(
        label=gettext_lazy("Most requests"),
        required=False,
        max_length=20,
        validators=[validate_rate],
        widget=UnfoldAdminTextInputWidget,
        help_text=gettext_lazy("How many in which time: 100/m, 5/s, 1000/h. Empty: no limit of its own."),
    )
    monthly_cost = forms.DecimalField(
        label=gettext_lazy("Most money a month (US$)"),
        required=False,
        min_value=0,
        max_digits=18,
        decimal_places=6,
        widget=UnfoldAdminDecimalFieldWidget,
        help_text=gettext_lazy("Empty: no limit of its own."),
    )

    class Meta:
        model = ApiKey
        fields = ("owner", "name", "scopes", "agents", "addresses", "expires_at")

    def clean_owner(self) -> User:
        """Somebody for whom the asker may issue keys."""
        owner: User = self.cleaned_data["owner"]
        try:
            check_may_issue(user=self.asker, owner=owner)
        except AccountError as error:
            raise forms.ValidationError(str(error)) from error
        return owner

    def clean_addresses(self) -> list[str]:
        """As they are kept."""
        try:
            return check_networks(self.cleaned_data["addresses"].replace(",", "\n").splitlines())
        except InvalidAddress as error:
            raise forms.ValidationError(str(error)) from error

    def clean(self) -> dict[str, Any] | None:
        """The name is free among the owner's live keys, and the agents are the owner's to use."""
        given = super().clean() or {}
        owner = given.get("owner")
        live = ApiKey.objects.filter(owner=owner, name=given.get("name"), revoked_at=None, replaced_by=None)
        if owner is not None and live.exists():
            self.add_error("name", _("There is a live key of this name already."))
        try:
            if owner is not None:
                check_agents(given.get("agents", []), owner)
        except AgentNotUsable as error:
            self.add_error("agents", str(error))
        return given


class RotateForm(forms.Form):
    """How long the old keys go on."""

    overlap = forms.ChoiceField(
        label=gettext_lazy("The old key ends"), choices=list(OVERLAPS.items()), initial="86400",
        widget=UnfoldAdminSelectWidget,
    )  # fmt: skip

    def overlap_time(self) -> timedelta:
        """What was chosen."""
        return timedelta(seconds=int(self.cleaned_data["overlap"]))


@admin.register(ApiKey)
class ApiKeyAdmin(BaseAdmin):
    """Keys of everybody; what is done to one asks for the rights of its owner."""

    form = IssueForm
    list_display = ("name", "owner", "prefix", "live", "created_at", "expires_at", "last_used_at", "last_used_from")
    list_filter = (("revoked_at", admin.EmptyFieldListFilter), "owner__is_service")
    list_select_related = ("owner",)
    search_fields = ("name", "=prefix", "=owner__username")
    autocomplete_fields = ("owner",)
    actions: ClassVar = ["rotate_keys", "revoke_keys"]

    @display(description=gettext_lazy("opens something"), boolean=True)
    def live(self, key: ApiKey) -> bool:
        """Neither revoked nor expired, and its owner may come in."""
        return key.is_live and key.owner.may_come_in

    @display(description=gettext_lazy("may do"))
    def may_do(self, key: ApiKey) -> str:
        """In words."""
        return "; ".join(key.scope_names) or _("all that the owner may")

    @display(description=gettext_lazy("may use"))
    def may_use(self, key: ApiKey) -> str:
        """Which agents."""
        return ", ".join(key.agents) or _("all agents that the owner may use")

    @display(description=gettext_lazy("may be used from"))
    def used_from(self, key: ApiKey) -> str:
        """Which networks."""
        return ", ".join(key.addresses) or _("everywhere")

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        """A form for a new one, facts of an old one."""
        return SHOWN if obj else ASKED

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        """Nothing of a key changes."""
        return SHOWN if obj else ()

    def get_form(self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002
        """The form knows who asks. The fields that are no columns are its own."""
        if obj is None:
            kwargs["fields"] = IssueForm.Meta.fields
        form = super().get_form(request, obj, change, **kwargs)
        form.asker = cast("User", request.user)
        return form

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Whose key it is to be, when one comes from their page. Networks are text here, a list in the model."""
        return {**super().get_changeform_initial_data(request), "addresses": "", "scopes": [], "agents": []}

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Never the row; revoking and rotating are actions."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """A revoked key stays, for the record."""
        return False

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Whoever may change keys."""
        return bool(request.user.has_perm("accounts.change_apikey"))

    def has_rotate_permission(self, request: HttpRequest) -> bool:
        """Whoever may issue keys: they see the new one."""
        return bool(self.has_add_permission(request))

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: FBT001
        """Through the service, which alone knows how; the text waits for `response_add`."""
        given = {name: form.cleaned_data[name] for name in ASKED}
        issued = issue_api_key(**given, actor=Actor.of(request))
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

    @admin.action(permissions=["rotate"], description=gettext_lazy("Rotate"))
    def rotate_keys(self, request: HttpRequest, keys: QuerySet[ApiKey]) -> HttpResponse | None:
        """Gives keys successors, shown in this answer and never again; the old ones go on as long as is chosen."""
        form = RotateForm(request.POST if is_confirmed(request) else None)
        rows = [*keys.select_related("owner")]
        if any(not self._may_issue_for(request, key.owner) for key in rows):
            self.message_user(
                request, _("Some of these keys are of people who have rights that you lack."), messages.ERROR
            )
            return None
        if not form.is_valid():
            return page(
                self, request, "admin/mutirao/confirm.html", title=_("Rotate these keys?"), rows=rows, form=form,
                sentence=_("Each gets a successor with the same name, narrowing and limits."),
                action="rotate_keys", checkbox=helpers.ACTION_CHECKBOX_NAME, back=request.get_full_path(),
            )  # fmt: skip
        issued = self._rotate(request, rows, form.overlap_time())
        if not issued:
            return None
        response = page(self, request, "admin/accounts/issued_keys.html", title=_("The new API keys"), issued=issued)
        response["Cache-Control"] = "no-store"
        return response

    def _rotate(self, request: HttpRequest, rows: list[ApiKey], overlap: timedelta) -> list[IssuedKey]:
        issued: list[IssuedKey] = []
        for key in rows:
            try:
                issued.append(rotate_api_key(api_key=key, actor=Actor.of(request), overlap=overlap))
            except AccountError as error:
                self.message_user(request, f"{key}: {error}", messages.ERROR)
        return issued

    def _may_issue_for(self, request: HttpRequest, owner: User) -> bool:
        user = cast("User", request.user)
        return user.pk == owner.pk or may_manage(user, owner)

    @admin.action(permissions=["revoke"], description=gettext_lazy("Revoke"))
    def revoke_keys(self, request: HttpRequest, keys: QuerySet[ApiKey]) -> HttpResponse | None:
        """Ends keys for good."""
        if not is_confirmed(request):
            sentence = _("Whoever uses them is refused from now on. This cannot be undone.")
            return confirmation(
                self, request, action="revoke_keys", title=_("Revoke these keys?"), sentence=sentence, rows=keys
            )
        done = sum(revoke_api_key(api_key=key, actor=Actor.of(request)) for key in keys)
        self.message_user(request, _("%(done)d keys revoked.") % {"done": done}, messages.SUCCESS)
        return None
