"""What a person fills in to decide about a tool call: the same in the admin and on the pages."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from agents.tools.approvals import check_arguments
from agents.tools.exceptions import InvalidArguments
from agents.tools.models import Approval

MOST_CHARACTERS = 100_000


class DecisionForm(forms.Form):
    """Arguments (JSON) and a reason. `decision_for` makes "approve" with other arguments an "edit": what is on the
    screen is what will be done.
    """

    arguments = forms.CharField(
        label=gettext_lazy("Arguments"), max_length=MOST_CHARACTERS, strip=False,
        widget=forms.Textarea(attrs={"rows": 8, "spellcheck": "false", "class": "mono"}),
        help_text=gettext_lazy("JSON. Change it, and the tool is called with what stands here."),
    )  # fmt: skip
    reason = forms.CharField(
        label=gettext_lazy("Reason"), required=False, max_length=2000, widget=forms.Textarea(attrs={"rows": 2}),
        help_text=gettext_lazy("Kept with the decision; a refusal's is told to the model."),
    )  # fmt: skip

    def __init__(self, data: Any = None, *, approval: Approval) -> None:
        written = json.dumps(approval.arguments, ensure_ascii=False, indent=2)
        super().__init__(data, initial={"arguments": written})
        self.approval = approval

    def clean_arguments(self) -> dict[str, Any]:
        """An object that the tool takes."""
        try:
            found = json.loads(self.cleaned_data["arguments"])
        except ValueError as error:
            raise forms.ValidationError(_("This is not JSON: %(reason)s.") % {"reason": error}) from error
        if found != self.approval.arguments and not self._is_refusal():
            try:
                check_arguments(found, self.approval.arguments_schema, shown=self.approval.arguments)
            except InvalidArguments as error:
                raise forms.ValidationError(str(error)) from error
        return dict(found) if isinstance(found, dict) else {}

    def decision_for(self) -> dict[str, Any]:
        """`decision`, `arguments` and `reason`, as `approvals.decide` takes them."""
        reason = self.cleaned_data["reason"]
        if self._is_refusal():
            return {"decision": "refuse", "reason": reason}
        arguments = self.cleaned_data["arguments"]
        if arguments == self.approval.arguments:
            return {"decision": "approve", "reason": reason}
        return {"decision": "edit", "arguments": arguments, "reason": reason}

    def _is_refusal(self) -> bool:
        return bool(self.data.get("decision") == "refuse")
