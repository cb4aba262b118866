"""The forms of webhook endpoints."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from agents.definitions.models import Agent
from agents.tasks.models import TERMINAL
from agents.webhooks.models import Endpoint
from agents.webhooks.services import Wishes

OVERLAPS = {
    "0": _("at once"),
    "3600": _("in 1 hour"),
    "86400": _("in 24 hours"),
    "604800": _("in 7 days"),
}


class EndpointForm(forms.Form):
    """Where to, and of what."""

    url = forms.CharField(
        label=_("Address"), max_length=2000, widget=forms.URLInput(attrs={"autocomplete": "off", "inputmode": "url"}),
        help_text=_("https://…, reachable from here. It is asked with POST."),
    )  # fmt: skip
    description = forms.CharField(
        label=_("Description"), max_length=200, required=False, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
    statuses = forms.MultipleChoiceField(
        label=_("Tell it of tasks that"), choices=[(each.value, each.label) for each in TERMINAL],
        widget=forms.CheckboxSelectMultiple,
    )  # fmt: skip
    agent = forms.ModelChoiceField(
        label=_("Of this agent"), queryset=Agent.objects.none(), required=False, empty_label=_("every agent")
    )
    includes_result = forms.BooleanField(
        label=_("Send the result too"), required=False,
        help_text=_("Otherwise only the address of the task, from where the receiver can fetch it."),
    )  # fmt: skip

    def __init__(self, data: Any, *, user: User, endpoint: Endpoint | None = None) -> None:
        before = Wishes.of(endpoint) if endpoint else Wishes(url="")
        initial = {
            "url": before.url, "description": before.description, "statuses": list(before.statuses),
            "agent": before.agent, "includes_result": before.includes_result,
        }  # fmt: skip
        super().__init__(data, initial=initial)
        agents = Agent.objects.usable_by(user)
        if before.agent is not None:
            agents = Agent.objects.filter(pk__in=[*agents.values_list("pk", flat=True), before.agent.pk])
        self.fields["agent"].queryset = agents.order_by("slug")  # type: ignore[attr-defined]

    def wishes(self) -> Wishes:
        """What was chosen."""
        given = self.cleaned_data
        return Wishes(
            given["url"], given["description"], tuple(given["statuses"]), given["agent"], given["includes_result"]
        )


class RotateForm(forms.Form):
    """How long the old secret goes on."""

    overlap = forms.ChoiceField(
        label=_("The old secret ends"), choices=list(OVERLAPS.items()), initial="86400", widget=forms.RadioSelect
    )

    def overlap_time(self) -> timedelta:
        """What was chosen."""
        return timedelta(seconds=int(self.cleaned_data["overlap"]))
