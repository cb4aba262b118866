"""Narrowing the list of tasks, and reading it page by page without counting."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from agents.definitions.models import Agent
from agents.tasks.models import Status, Task
from agents.tasks.querysets import TaskQuerySet

ROWS = 30


class TaskSearch(forms.Form):
    """`?q=…&status=failed&agent=assistant`. What is not understood narrows nothing."""

    q = forms.CharField(label=_("Search"), required=False, max_length=255, strip=True)
    status = forms.ChoiceField(label=_("Status"), required=False)
    agent = forms.ChoiceField(label=_("Agent"), required=False)

    def __init__(self, data: Mapping[str, Any], *, user: User) -> None:
        super().__init__(data)
        self.fields["q"].widget.attrs |= {
            "type": "search", "placeholder": _("Id, request, trace or key"),
        }  # fmt: skip
        slugs = _agents_of(user)
        self._choices("status", [("", _("any")), *Status.choices])
        self._choices("agent", [("", _("any")), *((slug, slug) for slug in slugs)])

    def _choices(self, name: str, choices: list[tuple[Any, Any]]) -> None:
        self.fields[name].choices = choices  # type: ignore[attr-defined]
        self.fields[name].widget.attrs["data-submit"] = ""

    @property
    def is_narrow(self) -> bool:
        """Whether something is left out."""
        return any(self._given().values())

    def applied_to(self, tasks: TaskQuerySet) -> TaskQuerySet:
        """The tasks that were asked for."""
        given = self._given()
        if given["q"]:
            tasks = tasks.named(given["q"])
        if given["status"]:
            tasks = tasks.filter(status=given["status"])
        if given["agent"]:
            tasks = tasks.of_agent(given["agent"])
        return tasks

    def address(self, **more: str) -> str:
        """The list with what was asked for."""
        asked = {name: value for name, value in {**self._given(), **more}.items() if value}
        query = f"?{urlencode(asked)}" if asked else ""
        return f"{reverse('pages:tasks')}{query}"

    def _given(self) -> dict[str, str]:
        self.is_valid()
        return {name: self.cleaned_data.get(name, "") for name in self.fields}


def _agents_of(user: User) -> list[str]:
    agents = Agent.objects.all() if user.has_perm("agents_tasks.view_task") else Agent.objects.usable_by(user)
    return [*agents.order_by("slug").values_list("slug", flat=True)[:200]]


@dataclass(frozen=True, slots=True)
class Page:
    """Rows, and the id after which the next page begins (empty: this is the last one)."""

    rows: list[Task]
    next: str


def page_of(tasks: QuerySet[Task], visible: QuerySet[Task], *, before: str = "", size: int = ROWS) -> Page:
    """The newest of these tasks, or the newest of those older than the task of this id, if that is a visible one."""
    edge = _edge(visible, before)
    if edge is not None:
        older = Q(created_at__lt=edge.created_at) | Q(created_at=edge.created_at, pk__lt=edge.pk)
        # The first condition alone lets an index begin at the edge.
        tasks = tasks.filter(older, created_at__lte=edge.created_at)
    rows = [*tasks.order_by("-created_at", "-id")[: size + 1]]
    return Page(rows[:size], str(rows[size - 1].pk) if len(rows) > size else "")


def _edge(visible: QuerySet[Task], before: str) -> Task | None:
    """Where somebody else's task would stand is not told."""
    try:
        return visible.filter(pk=uuid.UUID(before)).only("pk", "created_at").first()
    except ValueError:
        return None
