"""Agents in the admin: those of the code are shown, those made here are configuration with versions."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy
from unfold.admin import TabularInline
from unfold.decorators import display

from accounts.audit import Actor
from accounts.models import User
from accounts.sharing import granted_ids
from accounts.sharing_admin import SharedAdmin
from agents.definitions.forms import CONFIGURATION, AgentForm
from agents.definitions.models import Agent, AgentVersion
from agents.definitions.permissions import CHANGE_AGENT, may_change
from agents.definitions.services import create_agent, publish_version, update_agent
from foundation.admin import ReadOnlyAdmin

DESCRIPTION = ("name", "description", "queue")


class VersionInline(TabularInline):  # type: ignore[misc]  # unfold has no types
    """What was published, newest first."""

    model = AgentVersion
    fk_name = "agent"
    fields = ("number", "kind", "model", "tools", "created_at")
    readonly_fields = fields
    ordering = ("-number",)
    extra = 0
    can_delete = False
    show_change_link = True

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Publishing is saving the agent."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Versions never change."""
        return False


@admin.register(Agent)
class AgentAdmin(SharedAdmin):
    """Saving publishes a version when the configuration has changed. Whoever may view or change only agents that were
    shared with them sees those.
    """

    form = AgentForm
    inlines = (VersionInline,)
    list_display = ("slug", "name", "source", "model", "is_enabled", "version")
    list_filter = ("source", "is_enabled", "queue")
    list_select_related = ("current_version",)
    search_fields = ("slug", "name", "description")
    ordering = ("slug",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Agent]:
        """All, or those that were shared with this person to be changed."""
        rows: QuerySet[Agent] = super().get_queryset(request)
        if super().has_view_permission(request):
            return rows
        return rows.filter(pk__in=_shared_ids(request))

    def has_module_permission(self, request: HttpRequest) -> bool:
        """In the index for whoever sees any."""
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """By the right to agents, or to this one. Unfold asks with an id: then the row itself is asked for later."""
        return bool(super().has_view_permission(request, obj)) or self._may_change(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """The same."""
        return bool(super().has_change_permission(request, obj)) or self._may_change(request, obj)

    @staticmethod
    def _may_change(request: HttpRequest, agent: Any) -> bool:
        if not isinstance(request.user, User):
            return False
        return may_change(request.user, agent) if isinstance(agent, Agent) else bool(_shared_ids(request))

    @display(description=gettext_lazy("model"))
    def model(self, agent: Agent) -> str:
        """Of its current version."""
        return (agent.current_version.model if agent.current_version else "") or "—"

    @display(description=gettext_lazy("current version"))
    def version(self, agent: Agent) -> str:
        """Its number."""
        return str(agent.current_version.number) if agent.current_version else "—"

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        """Of an agent that is defined in code only what is not in the code."""
        if isinstance(obj, Agent) and obj.source == Agent.Source.CODE:
            return ("slug", "source", *DESCRIPTION, "is_enabled")
        return ("slug", *DESCRIPTION, "is_enabled", *CONFIGURATION)

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        """A slug stays; code is changed in the code."""
        if isinstance(obj, Agent) and obj.source == Agent.Source.CODE:
            return ("slug", "source", *DESCRIPTION)
        return ("slug",) if obj else ()

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Tasks point at its versions; an agent that is no longer wanted is disabled."""
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: FBT001
        """Through the services, with their audit."""
        actor, given = Actor.of(request), form.cleaned_data
        if not change:
            said = {name: given[name] for name in ("slug", *DESCRIPTION, "is_enabled")}
            made = create_agent(**said, **form.configuration(), actor=actor)
            obj.pk, obj.current_version = made.pk, made.current_version
            return
        stored = Agent.objects.select_related("current_version").get(pk=obj.pk)
        if stored.source == Agent.Source.CODE:
            update_agent(agent=stored, is_enabled=given["is_enabled"], actor=actor)
            return
        update_agent(agent=stored, **{name: given[name] for name in (*DESCRIPTION, "is_enabled")}, actor=actor)
        publish_version(agent=stored, **form.configuration(), actor=actor)


@admin.register(AgentVersion)
class AgentVersionAdmin(ReadOnlyAdmin):
    """One version, as tasks ran it."""

    list_display = ("agent", "number", "kind", "model", "created_at")
    list_select_related = ("agent",)
    search_fields = ("=agent__slug",)
    ordering = ("-created_at",)


def _shared_ids(request: HttpRequest) -> list[uuid.UUID]:
    return granted_ids(request.user, CHANGE_AGENT) if isinstance(request.user, User) else []
