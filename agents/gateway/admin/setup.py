"""Credentials, deployments and routes in the admin. Secrets go in and never come out."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import TabularInline
from unfold.decorators import display

from accounts.audit import Actor
from agents.circuits.models import State
from agents.circuits.services import states_of
from agents.gateway import services
from agents.gateway.admin.forms import CredentialForm, DeploymentForm, RouteForm, StepFormSet
from agents.gateway.models import Credential, Deployment, Route, RouteStep
from agents.gateway.refusals import InUse
from foundation.admin import BaseAdmin, page

CIRCUITS = {State.CLOSED: "success", State.OPEN: "danger", State.HALF_OPEN: "warning"}


class SettingAdmin(BaseAdmin):
    """What they share: a name stays, and what is in use is not deleted."""

    search_fields = ("name",)
    ordering = ("name",)

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        """Agents, files and the record know it by its name."""
        return ("name",) if obj else ()

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Deleted one by one, each with a look at what uses it."""
        found: dict[str, Any] = super().get_actions(request)
        found.pop("delete_selected", None)
        return found

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """What is in use stays, and says by what."""
        try:
            answer: HttpResponse = super().delete_view(request, object_id, extra_context)
        except InUse as error:
            self.message_user(request, str(error), messages.ERROR)
            return HttpResponseRedirect(request.path.replace("/delete/", "/change/"))
        return answer


@admin.register(Credential)
class CredentialAdmin(SettingAdmin):
    """What providers are shown."""

    form = CredentialForm
    list_display = ("name", "provider", "base_url", "ends_with", "changed_at")
    list_filter = ("provider",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Credential]:
        """Secrets are not even read."""
        rows: QuerySet[Credential] = super().get_queryset(request)
        return rows.defer("secret")

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        """Of an old one, what is known of its secret."""
        if obj is None:
            return ("name", "provider", "base_url", "rate_limits", "new_secret")
        known = ("name", "provider", "base_url", "rate_limits", "ends_with", "changed_at")
        return (*known, "new_secret") if self.has_change_permission(request) else known

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        """A secret is one provider's."""
        return ("name", "provider", "ends_with", "changed_at") if obj else ()

    @display(description=gettext_lazy("secret"))
    def ends_with(self, row: Credential) -> str:
        """Enough to tell two apart."""
        if row.changed_at is None:
            return _("not set")
        return f"…{row.hint}" if row.hint else _("set")

    def save_model(self, request: HttpRequest, obj: Credential, form: Any, change: bool) -> None:  # noqa: FBT001
        """Through the services, with their audit."""
        actor, secret = Actor.of(request), form.cleaned_data["new_secret"]
        if not change:
            made = services.create_credential(
                name=obj.name, provider=obj.provider, secret=secret, actor=actor, **_given(obj)
            )
            obj.pk = made.pk
            return
        row = services.change_credential(credential=obj, actor=actor, changes=_given(obj))
        if secret:
            services.set_secret(credential=row, secret=secret, actor=actor)
        elif "base_url" in form.changed_data:
            self.message_user(request, _("Its secret was cleared with the old address."), messages.WARNING)

    def delete_model(self, request: HttpRequest, obj: Credential) -> None:
        """The same."""
        services.delete_credential(credential=obj, actor=Actor.of(request))


def _given(row: Credential) -> dict[str, Any]:
    return {name: getattr(row, name) for name in services.CREDENTIAL_FIELDS}


@admin.register(Deployment)
class DeploymentAdmin(SettingAdmin):
    """Models at their providers. One verb beside saving: trying it."""

    form = DeploymentForm
    list_display = ("name", "provider", "model", "credential", "is_enabled", "circuit")
    list_filter = ("provider", "is_enabled")
    list_select_related = ("credential",)
    change_form_before_template = "admin/agents_gateway/try_link.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Deployment]:
        """Secrets are not even read."""
        rows: QuerySet[Deployment] = super().get_queryset(request)
        return rows.select_related("credential").defer("credential__secret")

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """With the states of their circuit breakers, asked for once."""
        changes = super().get_changelist_instance(request)
        states = states_of([_circuit_of(row) for row in changes.result_list])
        for row in changes.result_list:
            row.circuit_state = states[_circuit_of(row)]
        return changes

    @display(description=gettext_lazy("circuit breaker"), label=CIRCUITS)
    def circuit(self, row: Deployment) -> tuple[str, Any]:
        """Whether it is left alone at the moment."""
        state = State(getattr(row, "circuit_state", State.CLOSED))
        return state.value, state.label

    def save_model(self, request: HttpRequest, obj: Deployment, form: Any, change: bool) -> None:  # noqa: FBT001
        """Through the service, with its audit."""
        services.save_deployment(deployment=obj, actor=Actor.of(request))

    def delete_model(self, request: HttpRequest, obj: Deployment) -> None:
        """The same."""
        services.delete_deployment(deployment=obj, actor=Actor.of(request))

    def get_urls(self) -> list[Any]:
        """The page of trying beside the usual addresses."""
        view = self.admin_site.admin_view(self.try_view)
        return [path("<uuid:pk>/try/", view, name="agents_gateway_deployment_try"), *super().get_urls()]

    def try_view(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        """Asks it for a word, and says how that went."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        row = Deployment.objects.select_related("credential").filter(pk=pk).first()
        if row is None:
            raise Http404
        result = None
        if request.method == "POST":
            # LangChain, which takes a second to import.
            from agents.gateway.trying import try_deployment

            result = try_deployment(row, Actor.of(request))
        return page(
            self, request, "admin/agents_gateway/try.html", title=row.name, deployment=row, result=result,
            back=reverse("admin:agents_gateway_deployment_change", args=[pk]),
        )  # fmt: skip


def _circuit_of(row: Deployment) -> str:
    return f"deployment:{row.pk}"


class StepInline(TabularInline):  # type: ignore[misc]  # unfold has no types
    """Where it leads."""

    model = RouteStep
    formset = StepFormSet
    fields = ("position", "deployment", "weight")
    extra = 1
    ordering = ("position", "id")
    hide_title = True


@admin.register(Route)
class RouteAdmin(SettingAdmin):
    """Names that agents can use, with their steps."""

    form = RouteForm
    inlines: ClassVar = [StepInline]
    list_display = ("named", "strategy", "leads_to", "is_enabled")
    list_filter = ("strategy", "is_enabled")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Route]:
        """With where they lead."""
        rows: QuerySet[Route] = super().get_queryset(request)
        return rows.prefetch_related("steps__deployment")

    @display(description=gettext_lazy("name"), ordering="name")
    def named(self, row: Route) -> str:
        """As agents say it."""
        return f"route:{row.name}"

    @display(description=gettext_lazy("leads to"))
    def leads_to(self, row: Route) -> str:
        """In their order."""
        return ", ".join(step.deployment.name for step in row.steps.all())

    def save_model(self, request: HttpRequest, obj: Route, form: Any, change: bool) -> None:  # noqa: FBT001
        """Together with its steps, see save_related."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:  # noqa: FBT001
        """Through the service, with its audit."""
        (steps,) = formsets
        services.save_route(route=form.instance, steps=steps.steps(), actor=Actor.of(request))
        # What Django tells of the changes is looked for here.
        steps.new_objects, steps.changed_objects, steps.deleted_objects = [], [], []

    def delete_model(self, request: HttpRequest, obj: Route) -> None:
        """The same."""
        services.delete_route(route=obj, actor=Actor.of(request))
