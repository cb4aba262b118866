"""The ledger of model calls, and its part of the task page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import or_
from typing import Any, cast

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import display

from accounts.models import User
from agents.definitions.models import Agent
from agents.gateway import entries
from agents.gateway.evidence import answered_by, cost_of, entry_of, money, told_to_operator
from agents.gateway.models import ModelCall
from agents.gateway.providers import known_providers
from agents.gateway.resources import SEE_CALLS
from agents.tasks.models import Task
from agents.tasks.panels import Panel, register_panel
from agents.tasks.shown import shown
from foundation.admin import ReadOnlyAdmin, uuid_of

MOST_CALLS = 100
# Of one trace.
MOST_TASKS = 500
COLOURS = {
    ModelCall.Outcome.SUCCEEDED: "success", ModelCall.Outcome.FAILED: "danger", ModelCall.Outcome.CANCELLED: "warning",
}  # fmt: skip
NOTHING = "—"


class PricedFilter(admin.SimpleListFilter):
    """Calls whose cost is not known."""

    title = gettext_lazy("cost")
    parameter_name = "priced"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        """Only the exception is worth a filter."""
        return [("no", gettext_lazy("not known"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Those without a price."""
        return queryset.filter(cost=None) if self.value() == "no" else queryset


class ProviderFilter(admin.SimpleListFilter):
    """The known providers. Django's own filter of a text asks all rows for their values."""

    title = gettext_lazy("provider")
    parameter_name = "provider"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """What can be chosen."""
        return [(name, name) for name in known_providers()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The calls to the provider that was chosen."""
        name = self.value()
        return queryset.filter(provider=name) if name else queryset


@admin.register(ModelCall)
class ModelCallAdmin(ReadOnlyAdmin):
    """One row a call; nothing is counted to list them."""

    list_display = (
        "started_at", "what", "badge", "answered_by", "tokens", "money", "saved", "latency", "first_token",
    )  # fmt: skip
    list_filter = (
        "outcome", "tier", "cache_why", ProviderFilter, PricedFilter, ("started_at", admin.DateFieldListFilter),
    )  # fmt: skip
    # Only what has an index that gives this order: of others the first page would sort all calls.
    sortable_by = ("started_at",)
    # Shows the field; what is looked for is for `_named` to say.
    search_fields = ("id",)
    search_help_text = gettext_lazy("Id of the call, task or cache entry, trace, agent or owner, exactly.")
    ordering = ("-started_at", "-id")
    fieldsets = (
        (None, {"fields": (
            "id", "started_at", "outcome", "route", "provider", "model", "task_id", "fence", "agent_id", "owner_id",
            "latency", "first_token", "error_type", "error_message", "trace_id",
        )}),
        (gettext_lazy("Tries"), {"fields": ("tries_table",)}),
        (gettext_lazy("Tokens and money"), {"fields": (
            "input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "is_estimate", "money", "price_id",
        )}),
        (gettext_lazy("Cache"), {"fields": (
            "answered_by", "in_words", "cache_entry_id", "similarity", "age_seconds", "saved_input_tokens",
            "saved_output_tokens", "saved_cost", "saved_ms", "evidence",
        )}),
    )  # fmt: skip

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Sequence[str]:
        """Also those that are computed."""
        return ("latency", "first_token", "tries_table", "money", "answered_by", "in_words", "evidence")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[ModelCall], search_term: str
    ) -> tuple[QuerySet[ModelCall], bool]:
        """Exactly: a part of a name would read the whole ledger."""
        return (queryset.filter(_named(search_term.strip())) if search_term else queryset), False

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> ModelCall | None:
        """With the address of the cache entry, for whoever may see it."""
        call: ModelCall | None = super().get_object(request, object_id, from_field)
        if call is not None:
            call.entry_address = entries.address_of(cast("User", request.user), entry_of(call))  # type: ignore[attr-defined]
        return call

    @display(description=gettext_lazy("model"))
    def what(self, call: ModelCall) -> str:
        """Who answered, and by which route."""
        return f"{call} ({call.route})" if call.route and call.route != str(call) else str(call)

    @display(description=gettext_lazy("outcome"), label=COLOURS)
    def badge(self, call: ModelCall) -> tuple[str, str]:
        """A coloured badge."""
        return call.outcome, call.get_outcome_display()

    @display(description=gettext_lazy("answered by"))
    def answered_by(self, call: ModelCall) -> str:
        """A provider, or the cache."""
        return answered_by(call)

    @display(description=gettext_lazy("tokens"))
    def tokens(self, call: ModelCall) -> str:
        """Read and written."""
        about = "≈ " if call.is_estimate else ""
        return f"{about}{call.input_tokens} → {call.output_tokens}"

    @display(description=gettext_lazy("cost"), empty_value=NOTHING)
    def money(self, call: ModelCall) -> str:
        """Not zero where no price is known."""
        return cost_of(call)

    @display(description=gettext_lazy("saved"))
    def saved(self, call: ModelCall) -> str:
        """Money, or tokens where no price is known."""
        if not call.tier:
            return NOTHING
        tokens = call.saved_input_tokens + call.saved_output_tokens
        return money(call.saved_cost) if call.saved_cost else _("%(count)d tokens") % {"count": tokens}

    @display(description=gettext_lazy("latency (ms)"))
    def latency(self, call: ModelCall) -> str:
        """Whole ones."""
        return number_format(round(call.latency_ms))

    @display(description=gettext_lazy("first token (ms)"))
    def first_token(self, call: ModelCall) -> str:
        """Whole ones; nothing for what was not streamed."""
        return NOTHING if call.first_token_ms is None else number_format(round(call.first_token_ms))

    @display(description=gettext_lazy("tries"))
    def tries_table(self, call: ModelCall) -> str:
        """In their order."""
        labels = dict(ModelCall.Outcome.choices)
        tries = [{**each, "outcome": labels.get(each["outcome"], each["outcome"])} for each in call.tries]
        return render_to_string("admin/agents_gateway/tries.html", {"tries": tries})

    @display(description=gettext_lazy("why"))
    def in_words(self, call: ModelCall) -> str:
        """Why the cache served an answer, or did not, and the entry that it looked at."""
        context = {"told": told_to_operator(call), "entry_address": getattr(call, "entry_address", "")}
        return render_to_string("admin/agents_gateway/why.html", context)

    @display(description=gettext_lazy("evidence"))
    def evidence(self, call: ModelCall) -> str:
        """The same as it was written down, with every figure."""
        return render_to_string(
            "admin/agents_gateway/json.html",
            {"text": "" if call.cache_evidence is None else shown(call.cache_evidence)},
        )


def _named(text: str) -> Q:
    """Calls with exactly this id, or of this task, trace, cache entry, agent or owner: all of them have an index here.
    Traces and names are looked up where these have one.
    """
    tasks = Task.objects.filter(trace_id=text).values_list("pk", flat=True)
    wanted = Q(task_id__in=[*tasks[:MOST_TASKS]])
    if (found := uuid_of(text)) is not None:  # which a trace may look like, too
        ids = ("pk", "task_id", "cache_entry_id", "agent_id", "owner_id")
        return reduce(or_, (Q(**{name: found}) for name in ids), wanted)
    agents = Agent.objects.filter(slug=text).values_list("pk", flat=True)
    owners = User.objects.filter(username=text).values_list("pk", flat=True)
    return wanted | Q(agent_id__in=[*agents]) | Q(owner_id__in=[*owners])


def _calls(task: Task) -> dict[str, Any]:
    calls = ModelCall.objects.filter(task_id=task.pk).order_by("started_at")[:MOST_CALLS]
    return {"calls": [told_to_operator(call) for call in calls]}


register_panel(Panel(gettext_lazy("Model calls"), "admin/agents_gateway/calls.html", _calls, SEE_CALLS))
