"""Whose a limit is, as an operator says it: a person, a role, a key, an agent or everybody, and the name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from django import forms
from django.contrib.auth.models import Group
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from accounts.exceptions import UnknownSubject
from accounts.limits import is_there
from accounts.models import ApiKey, Quota, RateLimit, User
from accounts.subjects import EVERYBODY, agents, parse_subject

WHOSE = (
    (EVERYBODY, gettext_lazy("everybody")),
    ("user", gettext_lazy("a person or a service account")),
    ("role", gettext_lazy("a role")),
    ("key", gettext_lazy("an API key, with all that follow it by rotation")),
    ("agent", gettext_lazy("an agent")),
)
MOST_SUGGESTED = 100


class SuggestingInput(UnfoldAdminTextInputWidget):  # type: ignore[misc]  # unfold has no types
    """A line of text that suggests the names there are."""

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """The line, and the names there are now."""
        listed = f"{name}-names"
        line: SafeString = super().render(name, value, {**(attrs or {}), "list": listed}, renderer)
        known = {"id": listed, "names": sorted(set(_names()))}
        return line + render_to_string("admin/accounts/suggestions.html", known)


def _names() -> Iterable[str]:
    yield from User.objects.order_by("username").values_list("username", flat=True)[:MOST_SUGGESTED]
    yield from Group.objects.order_by("name").values_list("name", flat=True)[:MOST_SUGGESTED]
    yield from agents().slugs().values()
    yield from ApiKey.objects.live().order_by("-created_at").values_list("prefix", flat=True)[:MOST_SUGGESTED]


class SubjectForm(forms.ModelForm):  # type: ignore[type-arg]  # Django gives it no type at run time
    """What the forms of both kinds of limits share. A row that is there keeps its subject."""

    whose = forms.ChoiceField(label=gettext_lazy("For whom"), choices=WHOSE, widget=UnfoldAdminSelectWidget)
    whose_name = forms.CharField(
        label=gettext_lazy("Name"), required=False, max_length=200, widget=SuggestingInput,
        help_text=gettext_lazy("The user name, the role, the agent's slug, or the key's id (mut_THIS_…)."),
    )  # fmt: skip

    def clean(self) -> dict[str, Any] | None:
        """Finds the subject."""
        given = super().clean() or {}
        whose, name = given.get("whose"), given.get("whose_name", "")
        if whose is None:
            return given
        try:
            subject = parse_subject(EVERYBODY if whose == EVERYBODY else f"{whose}:{name}")
        except UnknownSubject:
            self.add_error("whose_name", _("There is none of this name."))
            return given
        for column, value in subject.columns.items():
            setattr(self.instance, column, value)
        return given


class QuotaForm(SubjectForm):
    """A new quota."""

    class Meta:
        model = Quota
        fields: ClassVar = ["unit", "period", "amount", "each_member", "reserve", "is_enabled"]

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]  # Django's, without a type
        if not self.errors and self.instance._state.adding and is_there(self.instance):
            self.add_error(None, _("There is such a quota already; change that one."))


class RateLimitForm(SubjectForm):
    """A new rate limit."""

    class Meta:
        model = RateLimit
        fields: ClassVar = ["rate"]
