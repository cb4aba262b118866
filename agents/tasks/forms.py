"""A task's input as people edit it."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from agents.tasks.exceptions import InvalidInput
from agents.tasks.inputs import check_input
from agents.tasks.models import Task


class RetryForm(forms.Form):
    """The input of a task that is tried again: text as it is, anything else as JSON."""

    input = forms.CharField(label=gettext_lazy("Input"), strip=False, widget=forms.Textarea(attrs={"rows": 8}))

    def __init__(self, *args: Any, task: Task, **kwargs: Any) -> None:
        self._task = task
        super().__init__(*args, **kwargs)
        self.initial["input"] = _as_text(task.input)

    def clean_input(self) -> Any:
        """The input as a task has it."""
        text = self.cleaned_data["input"].replace("\r\n", "\n")
        if text == _as_text(self._task.input):
            return self._task.input
        given = text if isinstance(self._task.input, str) else _from_json(text)
        try:
            check_input(given)
        except InvalidInput as error:
            raise forms.ValidationError(str(error)) from error
        return given

    def options(self) -> dict[str, Any]:
        """What `services.retry` is to be given: nothing when the input stays."""
        given = self.cleaned_data["input"]
        return {} if given == self._task.input else {"input": given}


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)


def _from_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise forms.ValidationError(_("This is not JSON: %(error)s.") % {"error": error}) from error
