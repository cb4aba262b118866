"""The forms of one's keys and settings."""

from __future__ import annotations

from datetime import timedelta
from itertools import groupby
from typing import Any

from django import forms
from django.conf import settings
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from accounts.exceptions import InvalidAddress
from accounts.models import ApiKey, User
from accounts.narrowing import choices_for
from accounts.networks import check_networks
from accounts.rates import validate_rate
from accounts.scopes import SCOPES, group_of

LIVES = {
    "30": _("30 days"),
    "90": _("90 days"),
    "365": _("1 year"),
    "": _("never"),
}
OVERLAPS = {
    "0": _("at once"),
    "3600": _("in 1 hour"),
    "86400": _("in 24 hours"),
    "604800": _("in 7 days"),
}


class IssueForm(forms.ModelForm):  # type: ignore[type-arg]  # Django gives it no type at run time
    """What a new key is made of."""

    scopes = forms.MultipleChoiceField(
        label=_("What it may do"),
        choices=list(SCOPES.items()),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("None chosen: it may do all that you may."),
    )
    agents = forms.MultipleChoiceField(
        label=_("Which agents it may use"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("None chosen: all that you may use. Otherwise it sees nothing of the others, and of their tasks."),
    )
    addresses = forms.CharField(
        label=_("Where it may be used from"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "autocomplete": "off", "spellcheck": "false"}),
        help_text=_("Addresses or networks, one a line: 203.0.113.7, 10.1.0.0/16. Empty: from everywhere."),
    )
    days = forms.ChoiceField(label=_("Expires"), choices=list(LIVES.items()), required=False, initial="90")
    rate = forms.CharField(
        label=_("Most requests"),
        required=False,
        max_length=20,
        validators=[validate_rate],
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text=_("How many in which time: 100/m, 5/s, 1000/h. Empty: no limit of its own."),
    )
    monthly_cost = forms.DecimalField(
        label=_("Most money a month (US$)"),
        required=False,
        min_value=0,
        max_digits=18,
        decimal_places=6,
        help_text=_("Empty: no limit of its own."),
    )

    class Meta:
        model = ApiKey
        fields = ("name",)
        widgets = {"name": forms.TextInput(attrs={"autocomplete": "off"})}
        help_texts = {"name": _("What it is for: “laptop”, “nightly report”.")}

    def __init__(self, data: Any, *, owner: User) -> None:
        super().__init__(data)
        choices = [(choice.slug, choice.name) for choice in choices_for(owner)]
        self.fields["agents"].choices = choices  # type: ignore[attr-defined]

    def clean_addresses(self) -> list[str]:
        """As they are kept."""
        try:
            return check_networks(self.cleaned_data["addresses"].replace(",", "\n").splitlines())
        except InvalidAddress as error:
            raise forms.ValidationError(str(error)) from error

    def scope_groups(self) -> list[tuple[str, list[Any]]]:
        """The checkboxes of the scopes under their headings."""
        boxes = self["scopes"].subwidgets
        return [(name, [*group]) for name, group in groupby(boxes, key=lambda box: group_of(box.data["value"]))]

    def wishes(self) -> dict[str, Any]:
        """What the service is asked for."""
        given, days = self.cleaned_data, self.cleaned_data["days"]
        names = ("name", "scopes", "agents", "addresses", "rate", "monthly_cost")
        expires_at = now() + timedelta(days=int(days)) if days else None
        return {name: given[name] for name in names} | {"expires_at": expires_at}


class RotateForm(forms.Form):
    """How long the old key goes on."""

    overlap = forms.ChoiceField(
        label=_("The old key ends"), choices=list(OVERLAPS.items()), initial="86400", widget=forms.RadioSelect
    )

    def overlap_time(self) -> timedelta:
        """What was chosen."""
        return timedelta(seconds=int(self.cleaned_data["overlap"]))


class ProfileForm(forms.ModelForm):  # type: ignore[type-arg]
    """What a person says about themselves."""

    class Meta:
        model = User
        fields = ("first_name", "last_name", "email", "language", "theme")
        labels = {"email": _("Mail address")}
        help_texts = {"email": _("You can sign in with it, and reset your password by it.")}
        widgets = {
            "first_name": forms.TextInput(attrs={"autocomplete": "given-name"}),
            "last_name": forms.TextInput(attrs={"autocomplete": "family-name"}),
            "email": forms.EmailInput(attrs={"autocomplete": "email"}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["language"] = forms.ChoiceField(
            label=_("Language"), required=False, choices=[("", _("as the browser asks")), *settings.LANGUAGES]
        )

    def clean_email(self) -> str:
        """In small letters, as everywhere."""
        return User.objects.normalize_email(self.cleaned_data["email"])
