"""Circuit breakers in the admin: how each stands and why, what it did, and holding it open or closed."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import display

from accounts.audit import Actor
from agents.circuits import services
from agents.circuits.directory import everything
from agents.circuits.exceptions import NotForced, UnknownCircuit
from agents.circuits.forms import RELEASE, HoldForm
from agents.circuits.models import CircuitChange, State
from agents.circuits.resources import FORCE
from foundation.admin import ReadOnlyAdmin, is_confirmed, page

COLOURS = {State.CLOSED: "success", State.OPEN: "danger", State.HALF_OPEN: "warning"}
RECENT = 50
QUESTIONS = {
    State.OPEN: (gettext_lazy("Hold it open?"), gettext_lazy("Nothing is sent there until you release it.")),
    State.CLOSED: (
        gettext_lazy("Hold it closed?"),
        gettext_lazy("Everything is sent there, whatever comes back, until you release it."),
    ),
    RELEASE: (gettext_lazy("Release it?"), gettext_lazy("It decides by itself again, beginning closed.")),
}


@admin.register(CircuitChange)
class CircuitChangeAdmin(ReadOnlyAdmin):
    """Every step of every breaker; above the list, how they stand."""

    list_display = ("at", "name", "step", "why", "opens_until")
    list_filter = ("after", ("at", admin.DateFieldListFilter))
    # Shows the field; what is looked for is for `get_search_results` to say.
    search_fields = ("key",)
    search_help_text = gettext_lazy("Key or name of what it protects, exactly.")
    ordering = ("-at", "-id")
    list_before_template = "admin/agents_circuits/standings.html"

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """With how they stand."""
        standings = [(each, COLOURS[State(each.state)], State(each.state).label) for each in services.standings()]
        shown: HttpResponse = super().changelist_view(request, {**(extra_context or {}), "standings": standings})
        return shown

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """With the names of what the breakers protect, asked for once."""
        changes = super().get_changelist_instance(request)
        names = {each.key: each.name for each in everything()}
        for change in changes.result_list:
            change.protected_name = names.get(change.key, change.key)
        return changes

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[CircuitChange], search_term: str
    ) -> tuple[QuerySet[CircuitChange], bool]:
        """By whole keys, which have an index."""
        text = search_term.strip()
        if not text:
            return queryset, False
        return queryset.filter(key__in=[text, *(each.key for each in everything() if each.name == text)]), False

    @display(description=gettext_lazy("circuit breaker"))
    def name(self, change: CircuitChange) -> str:
        """Of what it protects; its key when that is gone."""
        return getattr(change, "protected_name", change.key)

    @display(description=gettext_lazy("step"), label=COLOURS)
    def step(self, change: CircuitChange) -> tuple[str, str]:
        """To which state."""
        return change.after, change.get_after_display()

    def get_urls(self) -> list[Any]:
        """The page of one breaker beside the usual addresses. Names of models have slashes."""
        wrap = self.admin_site.admin_view
        own = path("of/<path:key>/", wrap(self.circuit_view), name="agents_circuits_circuit")
        return [own, *super().get_urls()]

    def circuit_view(self, request: HttpRequest, key: str) -> HttpResponse:
        """One breaker: how it stands, what it did, and the form that holds it, which asks before it does."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            standing = services.standing_of(key)
            return self._wanted(request, standing) if request.method == "POST" else self._shown(request, standing)
        except UnknownCircuit as error:
            raise Http404 from error

    def _shown(self, request: HttpRequest, standing: services.Standing, form: HoldForm | None = None) -> HttpResponse:
        key, state = standing.protected.key, State(standing.state)
        return page(
            self, request, "admin/agents_circuits/circuit.html",
            title=standing.protected.name, standing=standing, state=state.label, colour=COLOURS[state],
            may_force=request.user.has_perms(FORCE), form=form or HoldForm(initial={"reason": standing.forced_reason}),
            changes=[*CircuitChange.objects.filter(key=key)[:RECENT]],
        )  # fmt: skip

    def _wanted(self, request: HttpRequest, standing: services.Standing) -> HttpResponse:
        """Says what is wrong, or asks, or does it and shows where the breaker is."""
        if not request.user.has_perms(FORCE):
            raise PermissionDenied
        form = HoldForm(request.POST)
        if not form.is_valid():
            return self._shown(request, standing, form)
        if not is_confirmed(request):
            return self._asked(request, standing, form)
        self._carry_out(request, standing.protected.key, **form.cleaned_data)
        return HttpResponseRedirect(_address_of(standing.protected.key))

    def _asked(self, request: HttpRequest, standing: services.Standing, form: HoldForm) -> HttpResponse:
        title, sentence = QUESTIONS[form.cleaned_data["state"]]
        return page(
            self, request, "admin/mutirao/confirm.html", title=title, sentence=sentence, carried=form, action="",
            rows=[standing.protected.name], back=request.get_full_path(),
        )  # fmt: skip

    def _carry_out(self, request: HttpRequest, key: str, state: str, reason: str) -> None:
        actor = Actor.of(request)
        try:
            if state == RELEASE:
                services.release(key=key, actor=actor)
                said = _("The circuit breaker decides by itself again.")
            else:
                services.force(key=key, state=state, reason=reason, actor=actor)
                said = _("The circuit breaker is held until you release it.")
        except NotForced as error:
            self.message_user(request, str(error), messages.WARNING)
        else:
            self.message_user(request, said, messages.SUCCESS)


def _address_of(key: str) -> str:
    """Its page; the list's when it is known no more, as a model that was only held."""
    if any(each.key == key for each in everything()):
        return reverse("admin:agents_circuits_circuit", args=[key])
    return reverse("admin:agents_circuits_circuitchange_changelist")
