"""Pages of conversations: begin one, read one, find one, rename and delete them."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages as notices
from django.db import transaction
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from accounts.audit import Actor
from accounts.models import User
from agents.definitions.exceptions import AgentError
from agents.definitions.models import Agent
from agents.definitions.services import get_usable_agent
from agents.memory.models import Conversation
from agents.memory.services import delete_conversation, rename_conversation, start_conversation
from mutirao.pages.chat import replies
from mutirao.pages.chat.access import ChatRequest, own_conversation, shared_conversation, signed_in
from mutirao.pages.chat.cards import cards_of
from mutirao.pages.chat.lists import conversations_of
from mutirao.pages.chat.messages import post, sent_before

DEFAULT_AGENT = "assistant"
MOST_AGENTS = 100


@require_http_methods(["GET", "POST"])
@signed_in
def new(request: ChatRequest) -> HttpResponse:
    """A new conversation; `?agent=` chooses whom with. Its first message makes it."""
    if request.method == "POST":
        return _begin(request)
    agents = [*Agent.objects.usable_by(request.user).order_by("name", "slug")[:MOST_AGENTS]]
    chosen = _chosen(agents, request.GET.get("agent", ""))
    return replies.page(request, "chat/new.html", agents=agents, chosen=chosen, key=replies.new_key())


def _begin(request: ChatRequest) -> HttpResponse:
    begun = sent_before(request)
    if begun is not None:
        return redirect("pages:conversation", begun.conversation_id)
    try:
        agent = get_usable_agent(slug=request.POST.get("agent", DEFAULT_AGENT), user=request.user)
        # Both or neither: a conversation in which nothing could be said is none.
        with transaction.atomic():
            conversation = start_conversation(owner=request.user, agent=agent)
            post(request, conversation)
    except replies.REFUSALS as error:
        return replies.refused(request, error)
    return redirect("pages:conversation", conversation.pk)


def _chosen(agents: list[Agent], wanted: str) -> str:
    slugs = [agent.slug for agent in agents]
    return next((slug for slug in (wanted, DEFAULT_AGENT, *slugs) if slug in slugs), "")


@require_GET
@signed_in
def listed(request: ChatRequest) -> HttpResponse:
    """The conversations alone: a page of its own on a phone, the part that a search replaces everywhere."""
    if not request.htmx:
        return replies.page(request, "chat/list_page.html")
    found = conversations_of(request.user, search=request.GET.get("q", ""), after=request.GET.get("after", ""))
    current = request.GET.get("current", "")
    return render(request, "chat/list.html", {"conversations": found, "current": current})


@require_GET
@signed_in
def show(request: ChatRequest, pk: UUID) -> HttpResponse:
    """One conversation, its last messages first on the page; `?before=` pages to earlier ones. Somebody else's that
    was shared can only be read.
    """
    conversation = _readable(request.user, pk)
    before = request.GET.get("before", "")
    cards, has_earlier = cards_of(
        conversation, request.user, before=int(before) if before.isdecimal() and len(before) < 9 else None
    )
    shown = {"conversation": conversation, "cards": cards, "has_earlier": has_earlier, "is_earlier": bool(before)}
    if conversation.owner_id != request.user.pk:
        return replies.page(request, "chat/shared.html", current=str(pk), **shown)
    if request.htmx:
        return render(request, "chat/turns.html", shown)
    return replies.page(
        request, "chat/conversation.html", current=str(pk), key=replies.new_key(),
        may_speak=_may_use(request.user, conversation), is_pending=any(card.exchange.is_pending for card in cards),
        **shown,
    )  # fmt: skip


def _readable(user: User, pk: UUID) -> Conversation:
    try:
        return own_conversation(user, pk)
    except Http404:
        return shared_conversation(user, pk)


def _may_use(user: User, conversation: Conversation) -> bool:
    try:
        get_usable_agent(slug=conversation.agent.slug, user=user)
    except AgentError:
        return False
    return True


@require_http_methods(["GET", "POST"])
@signed_in
def rename(request: ChatRequest, pk: UUID) -> HttpResponse:
    """Another title."""
    conversation = own_conversation(request.user, pk)
    if request.method == "GET":
        context = {"conversation": conversation, "current": str(pk)}
        if request.htmx:
            return render(request, "chat/rename_form.html", context)
        return replies.page(request, "chat/rename.html", **context)
    try:
        rename_conversation(conversation=conversation, title=request.POST.get("title", ""), owner=request.user)
    except replies.REFUSALS as error:
        return replies.refused(request, error, back=conversation)
    return replies.go_to(request, resolve_url("pages:conversation", pk))


@require_http_methods(["GET", "POST"])
@signed_in
def delete(request: ChatRequest, pk: UUID) -> HttpResponse:
    """Asks, then forgets it."""
    conversation = own_conversation(request.user, pk)
    if request.method == "GET":
        return replies.page(request, "chat/delete.html", conversation=conversation, current=str(pk))
    delete_conversation(conversation=conversation, owner=request.user, actor=Actor.of(request))
    notices.success(request, _("The conversation has been deleted."))
    return redirect("pages:chat")
