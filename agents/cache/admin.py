"""The answer cache in the admin: what is kept, what it was given for, and what was learned of it."""

from __future__ import annotations

import json
from functools import reduce
from operator import or_
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import TabularInline
from unfold.decorators import display

from accounts.audit import Actor
from accounts.models import User
from agents.cache import learning, services
from agents.cache.models import CacheEntry, CacheEpoch, Calibration, Trial
from agents.definitions.models import Agent
from foundation.admin import ReadOnlyAdmin, confirmation, is_confirmed, uuid_of

NOTHING = "—"
EVICT = "agents_cache.change_cacheentry"
LEARN = "agents_cache.change_calibration"
CHANGE_KNOWLEDGE = "agents_cache.change_cacheepoch"


class NamedAgents:
    """Lists whose rows know their agent by id alone, with its name."""

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """With the agents' names, asked for once."""
        changes = super().get_changelist_instance(request)  # type: ignore[misc]
        rows = [*changes.result_list]
        names = dict(Agent.objects.filter(pk__in={row.agent_id for row in rows}).values_list("pk", "slug"))
        for row in rows:
            row.agent_name = names.get(row.agent_id, "")
        changes.result_list = rows
        return changes

    @display(description=gettext_lazy("agent"))
    def agent(self, row: Any) -> str:
        """Its slug; its id when it is gone. A page of one row asks for it by itself."""
        if not hasattr(row, "agent_name"):
            row.agent_name = Agent.objects.filter(pk=row.agent_id).values_list("slug", flat=True).first()
        return row.agent_name or str(row.agent_id)


@admin.register(CacheEntry)
class CacheEntryAdmin(NamedAgents, ReadOnlyAdmin):
    """Answers. Whoever may delete them can evict them, which leaves an audit entry."""

    list_display = ("short_question", "agent", "sharing", "hits", "state", "answered_at", "expires_at")
    list_filter = ("evicted_because", "is_exact_only", ("created_at", admin.DateFieldListFilter))
    # Shows the field; what is looked for is for `_named` to say.
    search_fields = ("id",)
    search_help_text = gettext_lazy(
        "Id of the entry or task, agent or owner; a digest, of answers that are live; exactly."
    )
    ordering = ("-created_at", "-id")
    actions: ClassVar = ["evict_entries"]
    fields = (
        "id", "agent_id", "agent_version_id", "owner_id", "asked_by_id", "task_id", "target", "question",
        "conversation", "answer_text", "is_exact_only", "embedding", "epoch", "tag_names", "scope", "exact",
        "input_tokens", "output_tokens", "cost", "latency_ms", "hits", "last_hit_at", "answered_at", "stale_at",
        "expires_at", "evicted_at", "evicted_because", "evidence",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[CacheEntry]:
        """Lists read no vectors, answers or conversations; the page of one entry reads what it shows."""
        rows: QuerySet[CacheEntry] = super().get_queryset(request)
        return rows.defer("vector", "answer", "dialogue")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[CacheEntry], search_term: str
    ) -> tuple[QuerySet[CacheEntry], bool]:
        """Exactly: a part of a name would read the whole table."""
        return (queryset.filter(_named(search_term.strip())) if search_term else queryset), False

    @display(description=gettext_lazy("question"))
    def short_question(self, entry: CacheEntry) -> str:
        """Its beginning."""
        return entry.question[:80] or NOTHING

    @display(description=gettext_lazy("given to"))
    def sharing(self, entry: CacheEntry) -> str:
        """Whom it may be given to."""
        return _("one person") if entry.owner_id else _("all users of the agent")

    @display(description=gettext_lazy("state"), label={"live": "success", "evicted": "default"})
    def state(self, entry: CacheEntry) -> tuple[str, str]:
        """Live, or why not."""
        if entry.evicted_at is None:
            return "live", _("live")
        return "evicted", str(entry.get_evicted_because_display())

    @display(description=gettext_lazy("conversation"))
    def conversation(self, entry: CacheEntry) -> str:
        """Turn by turn."""
        return "\n".join(f"{turn['role']}: {turn['content']}" for turn in entry.dialogue) or NOTHING

    @display(description=gettext_lazy("answer"))
    def answer_text(self, entry: CacheEntry) -> str:
        """Its words, or its tool calls."""
        message = entry.answer.get("message", {})
        content = message.get("content")
        said = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        return said or json.dumps(message.get("calls", []), ensure_ascii=False)

    @display(description=gettext_lazy("tags"))
    def tag_names(self, entry: CacheEntry) -> str:
        """By which it is invalidated."""
        return ", ".join(entry.tags.order_by("tag").values_list("tag", flat=True)) or NOTHING

    @display(description=gettext_lazy("looked at"))
    def evidence(self, entry: CacheEntry) -> str:
        """What was found when somebody looked whether it was right."""
        trials = Trial.objects.filter(entry_id=entry.pk)[:20]
        return "\n".join(_line(trial) for trial in trials) or NOTHING

    def has_evict_permission(self, request: HttpRequest) -> bool:
        """May evict."""
        return bool(request.user.has_perm(EVICT))

    @admin.action(permissions=["evict"], description=gettext_lazy("Evict"))
    def evict_entries(self, request: HttpRequest, entries: QuerySet[CacheEntry]) -> HttpResponse | None:
        """They are given no more."""
        if not is_confirmed(request):
            return confirmation(
                self, request, action="evict_entries", title=_("Evict these answers?"),
                sentence=_("They are given to nobody any more; the questions are asked anew."), rows=entries,
            )  # fmt: skip
        done = services.evict(entry_ids=entries.values_list("pk", flat=True), actor=Actor.of(request))
        self.message_user(request, _("%(done)d answers: evicted.") % {"done": done}, messages.SUCCESS)
        return None


class TrialInline(TabularInline):  # type: ignore[misc]  # unfold has no types
    """The latest looks."""

    model = Trial
    fields = ("at", "source", "was_served", "is_right", "score", "similarity", "entry_id")
    readonly_fields = fields
    extra = 0
    max_num = 0
    can_delete = False
    hide_title = True
    per_page = 50

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever sees the calibration."""
        return bool(request.user.has_perm("agents_cache.view_trial"))


@admin.register(Calibration)
class CalibrationAdmin(NamedAgents, ReadOnlyAdmin):
    """What was learned about the semantic tier of each agent."""

    list_display = ("agent", "kind", "standing", "threshold", "bound", "error_target", "trials", "errors", "changed_at")
    list_filter = ("is_off", "kind")
    search_fields = ("=agent_id",)
    ordering = ("-changed_at", "-id")
    fields = (
        "agent", "kind", "in_words", "threshold", "bound", "error_target", "trials", "errors", "verifier",
        "changed_at",
    )  # fmt: skip
    inlines: ClassVar = [TrialInline]
    actions: ClassVar = ["start_anew"]
    list_before_template = "admin/agents_cache/explained.html"

    @display(description=gettext_lazy("state"), label={"on": "success", "off": "danger"})
    def standing(self, calibration: Calibration) -> tuple[str, str]:
        """On, or off."""
        return ("off", _("turned off")) if calibration.is_off else ("on", _("on"))

    @display(description=gettext_lazy("state"))
    def in_words(self, calibration: Calibration) -> str:
        """On, or off and why."""
        return _("turned off. %(why)s") % {"why": calibration.off_because} if calibration.is_off else _("on")

    def has_learn_permission(self, request: HttpRequest) -> bool:
        """May make it forget."""
        return bool(request.user.has_perm(LEARN))

    @admin.action(permissions=["learn"], description=gettext_lazy("Start anew"))
    def start_anew(self, request: HttpRequest, calibrations: QuerySet[Calibration]) -> HttpResponse | None:
        """Forgets what was seen."""
        if not is_confirmed(request):
            return confirmation(
                self, request, action="start_anew", title=_("Forget what was learned?"),
                sentence=_("The verifier's own threshold counts again, and the semantic tier is on."),
                rows=calibrations,
            )  # fmt: skip
        for calibration in calibrations:
            learning.start_anew(calibration=calibration, actor=Actor.of(request))
        self.message_user(request, _("The semantic tier begins anew."), messages.SUCCESS)
        return None


@admin.register(CacheEpoch)
class CacheEpochAdmin(ReadOnlyAdmin):
    """How often each piece of knowledge has changed. One that has not yet is added to say that it has."""

    list_display = ("name", "number", "changed_at")
    search_fields = ("=name",)
    ordering = ("name",)
    actions: ClassVar = ["say_changed"]

    def get_fieldsets(self, request: HttpRequest, obj: CacheEpoch | None = None) -> Any:
        """Its name is all that is said of a new one."""
        if obj is not None:
            return [(None, {"fields": ("name", "number", "changed_at")})]
        said = _(
            "The name of knowledge, as agents have it in “cache”, that has changed for the first time. Answers that "
            "were made from it are given to nobody any more."
        )
        return [(None, {"fields": ("name",), "description": said})]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Whoever may say that it has changed."""
        return self.has_change_knowledge_permission(request)

    def save_model(self, request: HttpRequest, obj: CacheEpoch, form: Any, change: bool) -> None:  # noqa: FBT001
        """For the first time."""
        services.bump_epoch(name=obj.name, actor=Actor.of(request))

    def has_change_knowledge_permission(self, request: HttpRequest) -> bool:
        """May say so."""
        return bool(request.user.has_perm(CHANGE_KNOWLEDGE))

    @admin.action(permissions=["change_knowledge"], description=gettext_lazy("Say that it has changed"))
    def say_changed(self, request: HttpRequest, epochs: QuerySet[CacheEpoch]) -> HttpResponse | None:
        """What was made from it is given no more."""
        if not is_confirmed(request):
            return confirmation(
                self, request, action="say_changed", title=_("Has this knowledge changed?"),
                sentence=_("Answers that were made from it are given to nobody any more."), rows=epochs,
            )  # fmt: skip
        done = sum(services.bump_epoch(name=each.name, actor=Actor.of(request)).evicted for each in epochs)
        self.message_user(request, _("%(done)d answers: evicted.") % {"done": done}, messages.SUCCESS)
        return None


def _named(text: str) -> Q:
    """Answers with exactly this id, or of this task, agent or owner, and live ones of this digest: each has an index.
    Names are looked up where they have one.
    """
    if (found := uuid_of(text)) is not None:
        return reduce(or_, (Q(**{name: found}) for name in ("pk", "task_id", "agent_id", "owner_id", "asked_by_id")))
    agents = Agent.objects.filter(slug=text).values_list("pk", flat=True)
    owners = User.objects.filter(username=text).values_list("pk", flat=True)
    digest = Q(exact=text, evicted_at=None) | Q(scope=text, evicted_at=None)
    return digest | Q(agent_id__in=[*agents]) | Q(owner_id__in=[*owners])


def _line(trial: Trial) -> str:
    verdict = _("right") if trial.is_right else _("wrong")
    return f"{trial.at:%Y-%m-%d %H:%M} · {trial.get_source_display()} · {verdict} · {trial.score:.3f}"
