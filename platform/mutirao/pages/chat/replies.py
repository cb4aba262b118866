"""What every view of the chat answers with: a part for htmx, a whole page or a way back for everybody else."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django_htmx.http import HttpResponseClientRedirect, reswap, retarget

from agents.definitions.exceptions import AgentError
from agents.memory.exceptions import MemoryFault
from agents.memory.models import Conversation, Message
from agents.tasks.exceptions import TaskError
from foundation.models import new_id
from mutirao.pages.chat.access import ChatRequest
from mutirao.pages.chat.lists import conversations_of

REFUSALS = (MemoryFault, TaskError, AgentError)


def page(request: ChatRequest, template: str, **context: Any) -> HttpResponse:
    """A whole page: the list of conversations, and beside it what the template shows."""
    found = conversations_of(request.user, search=request.GET.get("q", ""), after=request.GET.get("after", ""))
    return render(request, template, {"conversations": found, **context})


def new_key() -> str:
    """The idempotency key of one form: sent twice, it is one message."""
    return f"chat-{new_id()}"


def address_of(message: Message) -> str:
    """Where this exchange stands on its page."""
    return f"{resolve_url('pages:conversation', message.conversation_id)}#turn-{message.pk}"


def go_to(request: ChatRequest, address: str) -> HttpResponse:
    """Sends the whole page there."""
    return HttpResponseClientRedirect(address) if request.htmx else redirect(address)


def refused(request: ChatRequest, error: Exception, *, back: Conversation | None = None) -> HttpResponse:
    """Says why not: in the page that is there, or on the one that it goes back to."""
    if not request.htmx:
        messages.error(request, str(error))
        return redirect("pages:conversation", back.pk) if back is not None else redirect("pages:chat")
    notice = render(request, "chat/notice.html", {"text": str(error)}, status=409)
    return reswap(retarget(notice, "#notice"), "innerHTML")
