"""Agents that one may use: cards, and a page to try one."""

from __future__ import annotations

import json
from typing import Any, cast

from django import forms
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from accounts.models import User
from accounts.sharing import verbs_to_share
from agents.definitions.definition import CODE_KIND
from agents.definitions.exceptions import UnknownAgent
from agents.definitions.models import Agent
from agents.definitions.services import get_usable_agent
from agents.tasks.exceptions import TaskError
from agents.tasks.models import Priority, Task
from agents.tasks.services import submit

MOST_CARDS = 200
MOST_CHARACTERS = 200_000
MOST_TASKS = 5


class TryForm(forms.Form):
    """What to say to an agent."""

    text = forms.CharField(
        label=gettext_lazy("What shall it do?"), max_length=MOST_CHARACTERS, widget=forms.Textarea(attrs={"rows": 5})
    )
    as_object = forms.BooleanField(
        label=gettext_lazy("This is a JSON object, for an agent with an input of its own"), required=False
    )
    priority = forms.TypedChoiceField(
        label=gettext_lazy("Priority"), choices=Priority.choices, coerce=int, initial=Priority.NORMAL
    )

    def clean(self) -> dict[str, Any]:
        """With `input`: the text, or the object in it."""
        given: dict[str, Any] = super().clean() or {}
        if "text" in given:
            given["input"] = self._object(given["text"]) if given.get("as_object") else given["text"]
        return given

    def _object(self, text: str) -> Any:
        try:
            found = json.loads(text)
        except ValueError as error:
            self.add_error("text", _("This is not JSON: %(reason)s.") % {"reason": error})
            return None
        if not isinstance(found, dict):
            self.add_error("text", _("This is JSON, but not an object."))
        return found


@login_required
@require_safe
def agent_list(request: HttpRequest) -> HttpResponse:
    """Cards of the agents that one may use."""
    user = cast("User", request.user)
    wanted = request.GET.get("q", "").strip()[:100]
    agents = Agent.objects.usable_by(user).select_related("current_version").order_by("name", "slug")
    if wanted:
        agents = agents.filter(name__icontains=wanted) | agents.filter(slug__icontains=wanted)
    return render(request, "agents/list.html", {"agents": [*agents[:MOST_CARDS]], "q": wanted})


@login_required
@require_http_methods(["GET", "POST"])
def agent_page(request: HttpRequest, slug: str) -> HttpResponse:
    """One agent: what it is made of, one's latest tasks with it, and a form to try it."""
    user = cast("User", request.user)
    try:
        agent = get_usable_agent(slug=slug, user=user)
    except UnknownAgent as error:
        raise Http404 from error
    form = TryForm(request.POST or None, initial={"as_object": _wants_object(agent)})
    if form.is_valid() and (task := _submitted(request, form, agent, user)) is not None:
        return redirect("pages:task", task.pk)
    mine = Task.objects.filter(owner=user, agent_version__agent=agent).select_related("agent_version__agent")
    context = {"agent": agent, "form": form, "tasks": [*mine.order_by("-created_at", "-id")[:MOST_TASKS]]}
    context["may_share"] = bool(verbs_to_share(user, agent))
    return render(request, "agents/page.html", context, status=400 if form.errors else 200)


def _submitted(request: HttpRequest, form: TryForm, agent: Agent, user: User) -> Task | None:
    """The task; None when it was refused, which the form says then."""
    given = form.cleaned_data
    request_id = str(getattr(request, "request_id", ""))
    try:
        submitted = submit(
            owner=user, agent=agent, input=given["input"], priority=Priority(given["priority"]), request_id=request_id
        )
    except TaskError as error:
        form.add_error("text", str(error))
        return None
    return submitted.task


def _wants_object(agent: Agent) -> bool:
    """A graph of its own often has an input of its own."""
    version = agent.current_version
    return version is not None and version.kind.startswith(CODE_KIND)
