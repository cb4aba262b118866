"""Who may see what in the chat: everybody their own and what was shared with them, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, cast
from uuid import UUID

from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import resolve_url
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from accounts.models import User
from agents.memory.models import Conversation, Message
from agents.tasks.models import Task

Args = ParamSpec("Args")


class ChatRequest(HttpRequest):
    """A request of somebody who is signed in."""

    user: User
    htmx: HtmxDetails
    request_id: str


View = Callable[Concatenate[ChatRequest, Args], HttpResponse]


def signed_in(view: View[Args]) -> View[Args]:
    """Asks others to sign in; a page whose session is over is sent there as a whole, not one of its parts."""

    def asked(request: ChatRequest, /, *args: Args.args, **kwargs: Args.kwargs) -> HttpResponse:
        if request.user.is_authenticated:
            return view(request, *args, **kwargs)
        if request.htmx:
            return HttpResponseClientRedirect(resolve_url("account_login"))
        return redirect_to_login(request.get_full_path())

    # Its type would be that of a wrapper with a named argument, which no caller uses.
    return cast("View[Args]", wraps(view)(asked))


def own_conversation(user: User, pk: UUID) -> Conversation:
    """Raises Http404 for one that is not there or somebody else's, also for those who may view all."""
    found = Conversation.objects.select_related("agent").filter(owner=user, pk=pk).first()
    if found is None:
        raise Http404
    return found


def shared_conversation(user: User, pk: UUID) -> Conversation:
    """One of somebody else's that was shared with this person. Raises Http404 for any other."""
    rows = Conversation.objects.select_related("agent", "owner")
    found = rows.shared_with(user).filter(pk=pk).first()
    if found is None:
        raise Http404
    return found


def readable_message(user: User, pk: UUID) -> Message:
    """A message of one's own conversations or of those that were shared. Raises Http404 for any other."""
    found = Message.objects.select_related("conversation").filter(pk=pk).first()
    if found is None:
        raise Http404
    if found.conversation.owner_id != user.pk:
        shared_conversation(user, found.conversation_id)
    return found


def own_message(user: User, pk: UUID) -> Message:
    """The same for a message."""
    rows = Message.objects.select_related("conversation__agent")
    found = rows.filter(conversation__owner=user, pk=pk).first()
    if found is None:
        raise Http404
    return found


def own_task(user: User, pk: UUID) -> Task:
    """The same for a task."""
    found = Task.objects.select_related("agent_version__agent").filter(owner=user, pk=pk).first()
    if found is None:
        raise Http404
    return found
