"""The form with which people share one thing: the same on pages and in the admin."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db import models
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.audit import Actor
from accounts.exceptions import AccountError, UnknownReceiver
from accounts.models import User
from accounts.resources import Verb
from accounts.sharing import PERSON, ROLE, find_receiver, share, unshare, verbs_to_share

KINDS = ((PERSON, _("a person")), (ROLE, _("a role")))


class ShareForm(forms.Form):
    """With whom, and what they may do then. Names are typed, and looked up exactly: nobody is listed."""

    kind = forms.ChoiceField(label=_("With"), choices=KINDS, initial=PERSON, widget=forms.RadioSelect)
    name = forms.CharField(
        label=_("Name"), max_length=150, help_text=_("The whole user name, or the whole name of the role."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
    )  # fmt: skip
    verb = forms.ChoiceField(label=_("They may"), widget=forms.RadioSelect)

    def __init__(self, *args: Any, verbs: list[Verb], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["verb"]
        field.choices = [(verb.value, verb.label) for verb in verbs]  # type: ignore[attr-defined]
        field.initial = verbs[0].value
        if len(verbs) == 1:
            field.widget = forms.HiddenInput()


def form_for(thing: models.Model, user: User, data: Any = None) -> ShareForm | None:
    """None for whoever may not share it."""
    verbs = verbs_to_share(user, thing)
    return ShareForm(data, verbs=verbs) if verbs else None


def answer(request: HttpRequest, thing: models.Model, user: User) -> ShareForm | None:
    """Does what was sent: takes the grant `take` back, or shares. None when it is done, else the form with errors.

    Raises NotYoursToShare.
    """
    actor = Actor.of(request)
    if grant := request.POST.get("take", ""):
        unshare(thing=thing, grant_id=grant, by=user, actor=actor)
        return None
    form = form_for(thing, user, request.POST)
    if form is None or not form.is_valid():
        return form
    given = form.cleaned_data
    try:
        to = find_receiver(kind=given["kind"], name=given["name"])
        share(thing=thing, verb=given["verb"], to=to, by=user, actor=actor)
    except UnknownReceiver as error:
        form.add_error("name", str(error))
        return form
    except AccountError as error:
        form.add_error(None, str(error))
        return form
    return None
