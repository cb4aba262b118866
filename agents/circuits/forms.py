"""What people ask of a circuit breaker in the admin."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy

from agents.circuits.serializers import FORCED
from agents.circuits.services import LONGEST_REASON

RELEASE = "release"


class HoldForm(forms.Form):
    """Holding it open or closed, with the reason, or releasing it. Anything else is refused, not guessed at."""

    state = forms.ChoiceField(choices=[*FORCED, (RELEASE, gettext_lazy("Release"))])
    reason = forms.CharField(max_length=LONGEST_REASON, required=False)
