"""An agent as a form: what is said of it, and the configuration that becomes its next version."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from agents.definitions import registry, validators
from agents.definitions.data import TOOL_CALLING, Configuration
from agents.definitions.exceptions import InvalidAgent
from agents.definitions.models import Agent

CONFIGURATION = (
    "kind", "model", "system_prompt", "tools", "parameters", "limits", "memory_messages", "policy", "cache",
)  # fmt: skip
MAPPINGS = ("parameters", "limits", "policy", "cache")


class AgentForm(forms.ModelForm):  # type: ignore[type-arg]  # Django gives it no type at run time
    """For agents made in the admin. Tools are names, one a line."""

    kind = forms.ChoiceField(label=gettext_lazy("graph kind"), widget=UnfoldAdminSelectWidget)
    model = forms.CharField(
        label=gettext_lazy("model"), required=False, widget=UnfoldAdminTextInputWidget,
        help_text=gettext_lazy("provider:model; empty: the default of this installation."),
    )  # fmt: skip
    system_prompt = forms.CharField(
        label=gettext_lazy("system prompt"), required=False, widget=UnfoldAdminTextareaWidget
    )
    tools = forms.CharField(
        label=gettext_lazy("tools"), required=False, widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text=gettext_lazy("Names, one a line."),
    )  # fmt: skip
    parameters = forms.JSONField(
        label=gettext_lazy("model parameters"),
        initial=dict, required=False, widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text=gettext_lazy('Such as {"temperature": 0.2}; no secrets.'),
    )  # fmt: skip
    limits = forms.JSONField(
        label=gettext_lazy("limits"),
        initial=dict, required=False, widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text=gettext_lazy('Such as {"seconds": 120, "steps": 20, "tokens": 20000}.'),
    )  # fmt: skip
    memory_messages = forms.IntegerField(
        label=gettext_lazy("messages remembered"), initial=20, min_value=0, widget=UnfoldAdminIntegerFieldWidget
    )
    policy = forms.JSONField(
        label=gettext_lazy("execution policy"),
        initial=dict, required=False, widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text=gettext_lazy('Such as {"max_attempts": 5, "if_busy": "interrupt"}.'),
    )  # fmt: skip
    cache = forms.JSONField(
        label=gettext_lazy("cache policy"),
        initial=dict, required=False, widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text=gettext_lazy('Such as {"mode": "semantic", "ttl": 3600, "shareable": true}.'),
    )  # fmt: skip

    class Meta:
        model = Agent
        fields = ("slug", "name", "description", "queue", "is_enabled")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.label = capfirst(field.label)
        kinds = sorted({TOOL_CALLING, *registry.graph_kinds()})
        if "kind" in self.fields:
            self.fields["kind"].choices = [(kind, kind) for kind in kinds]  # type: ignore[attr-defined]
            if names := validators.model_names():
                self.fields["model"].help_text = _(
                    "provider:model, or one of %(names)s; empty: the default of this installation."
                ) % {"names": ", ".join(names)}
            self.fields["tools"].help_text = _("Names, one a line: %(names)s.") % {
                "names": ", ".join(validators.tool_names())
            }
        if self.instance.pk and self.instance.current_version:
            self.initial.update(_initial(self.instance.current_version.configuration))

    def clean(self) -> dict[str, Any]:
        """The configuration is one that can be published."""
        given: dict[str, Any] = super().clean() or {}
        if "kind" not in self.fields or self.errors:
            return given
        given["tools"] = [name.strip() for name in given["tools"].splitlines() if name.strip()]
        given |= {name: given[name] or {} for name in MAPPINGS}
        try:
            validators.validate(Configuration(**{**self._configuration(given), "tools": tuple(given["tools"])}))
        except InvalidAgent as error:
            for field, sentences in error.errors.items():
                self.add_error(field if field in self.fields else None, sentences)
        return given

    def configuration(self) -> dict[str, Any]:
        """What the next version is made of."""
        return self._configuration(self.cleaned_data)

    @staticmethod
    def _configuration(given: dict[str, Any]) -> dict[str, Any]:
        return {name: given[name] for name in CONFIGURATION}


def _initial(configuration: Configuration) -> dict[str, Any]:
    fields = dict(configuration.as_fields())
    return fields | {"tools": "\n".join(configuration.tools)}
