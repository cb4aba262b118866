"""Credentials, deployments, routes and prices as forms: what is wrong is said beside the field."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminSelectWidget

from agents.gateway import checking, services
from agents.gateway.models import Credential, Deployment, Price, Route
from agents.gateway.providers import LIMITING_EACH_MODEL, LOCAL, MODULES, SCRIPTED, known_providers
from agents.gateway.refusals import InvalidSetting
from agents.gateway.services import Step


class CheckedForm(forms.ModelForm):  # type: ignore[type-arg]  # Django gives it no type at run time
    """Says on the form what the service would refuse."""

    complaints: Callable[[Any], Iterator[tuple[str, str]]]

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        if self.errors:
            return
        for field, sentence in type(self).complaints(self.instance):
            self.add_error(field if field in self.fields else None, sentence)


class CredentialForm(CheckedForm):
    """The secret is written, never read."""

    complaints = staticmethod(checking.credential_complaints)

    provider = forms.ChoiceField(
        label=gettext_lazy("Provider"), choices=[(name, name) for name in sorted(MODULES)],
        widget=UnfoldAdminSelectWidget,
    )  # fmt: skip
    new_secret = forms.CharField(
        label=gettext_lazy("Secret"), required=False, strip=False, max_length=checking.LONGEST_SECRET,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text=gettext_lazy("Empty: it stays as it is. It is sealed and never shown again."),
    )  # fmt: skip

    class Meta:
        model = Credential
        fields = ("name", "provider", "base_url", "rate_limits")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "new_secret" in self.fields and not self.instance._state.adding:
            self.fields["new_secret"].label = _("New secret")
        if "base_url" in self.fields:
            self.fields["base_url"].help_text = _(
                "Empty: the provider's own. Another address clears the secret, unless a new one is given here. Only "
                "for: %(names)s."
            ) % {"names": ", ".join(sorted(checking.ADDRESSABLE))}
        if "rate_limits" in self.fields:
            self.fields["rate_limits"].help_text = _(
                "After a 429 all of the credential is left alone for as long as the provider says, or the one "
                "deployment only, so that a smaller model under the same key may answer. Usual: each model by itself "
                "at the own addresses of %(names)s; all together elsewhere."
            ) % {"names": ", ".join(sorted(LIMITING_EACH_MODEL))}

    def clean_new_secret(self) -> str:
        """One that can be sent."""
        secret: str = self.cleaned_data["new_secret"]
        if secret:
            for _field, sentence in checking.secret_complaints(secret):
                raise ValidationError(sentence)
        return secret


class DeploymentForm(CheckedForm):
    """A model at a provider. The client is built with the parameters; nothing is called."""

    complaints = staticmethod(checking.deployment_complaints)

    provider = forms.ChoiceField(label=gettext_lazy("Provider"), widget=UnfoldAdminSelectWidget)

    class Meta:
        model = Deployment
        fields = (
            "name", "provider", "model", "credential", "parameters", "is_enabled", "most_concurrent", "most_requests",
            "most_tokens",
        )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "parameters" not in self.fields:
            return  # of somebody who may only look
        self.fields["provider"].choices = [(name, name) for name in known_providers()]  # type: ignore[attr-defined]
        self.fields["parameters"].help_text = _("Such as {“temperature”: 0.2}; no secrets, no addresses.")
        self.fields["credential"].help_text = _("None: the provider's own variables of the environment.")

    def clean_parameters(self) -> Any:
        """Nothing is an empty object."""
        given = self.cleaned_data["parameters"]
        return {} if given is None else given


class RouteForm(CheckedForm):
    """A name that agents can use; its steps stand below."""

    complaints = staticmethod(checking.route_complaints)

    class Meta:
        model = Route
        fields = ("name", *services.ROUTE_FIELDS)


class PriceForm(CheckedForm):
    """A new price."""

    complaints = staticmethod(checking.price_complaints)

    provider = forms.ChoiceField(
        label=gettext_lazy("Provider"), widget=UnfoldAdminSelectWidget,
        choices=[(name, name) for name in sorted(MODULES) if name not in (LOCAL, SCRIPTED)],
    )  # fmt: skip

    class Meta:
        model = Price
        fields = ("provider", "model", *services.PRICE_FIELDS)


class StepFormSet(forms.BaseInlineFormSet):  # type: ignore[type-arg]  # Django gives it no type at run time
    """Where a route leads."""

    def steps(self) -> list[Step]:
        """By position, then as they stand."""
        kept = [form.cleaned_data for form in self.forms if _is_kept(form)]
        return [Step(each["deployment"], each["weight"]) for each in sorted(kept, key=lambda each: each["position"])]

    def clean(self) -> None:
        """Raises ValidationError unless a route can have these."""
        super().clean()
        if any(self.errors):
            return
        try:
            services.check_steps(self.steps())
        except InvalidSetting as error:
            raise ValidationError(str(error)) from error


def _is_kept(form: Any) -> bool:
    given = getattr(form, "cleaned_data", {})
    return not given.get("DELETE") and given.get("deployment") is not None
