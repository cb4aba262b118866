"""The forms of one's keys and settings."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from accounts.models import ApiKey, User
from accounts.scopes import SCOPES

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
    days = forms.ChoiceField(label=_("Expires"), choices=list(LIVES.items()), required=False, initial="90")

    class Meta:
        model = ApiKey
        fields = ("name",)
        widgets = {"name": forms.TextInput(attrs={"autocomplete": "off"})}
        help_texts = {"name": _("What it is for: “laptop”, “nightly report”.")}

    def expires_at(self) -> Any:
        """The moment that was chosen, or None."""
        days = self.cleaned_data["days"]
        return now() + timedelta(days=int(days)) if days else None


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
