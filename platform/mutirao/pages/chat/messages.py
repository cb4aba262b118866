"""What one does with messages: say, ask again, change, stop; and the parts of the page that follow."""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.audit import Actor
from agents.memory.data import Posted
from agents.memory.exchanges import exchange_of
from agents.memory.feedback import reject_answer
from agents.memory.models import Conversation, Message
from agents.memory.services import SERIAL_PREFIX, edit_message, post_message, regenerate
from agents.tasks.exceptions import IdempotencyConflict, IllegalTransition
from agents.tasks.models import Task
from agents.tasks.services import cancel
from mutirao.pages.chat import replies
from mutirao.pages.chat.access import (
    ChatRequest,
    own_conversation,
    own_message,
    own_task,
    readable_message,
    signed_in,
)
from mutirao.pages.chat.cards import card_of


def post(request: ChatRequest, conversation: Conversation) -> Posted:
    """Says what the form has. An old form with another text (the browser's "back") is a new message."""
    text = _text(request)
    key = request.POST.get("key") or None
    try:
        return post_message(
            conversation=conversation, text=text, owner=request.user, idempotency_key=key,
            request_id=request.request_id,
        )  # fmt: skip
    except IdempotencyConflict:
        return post_message(conversation=conversation, text=text, owner=request.user, request_id=request.request_id)


def sent_before(request: ChatRequest) -> Message | None:
    """The message that this very form has made already, when it is sent twice."""
    key = request.POST.get("key")
    if not key:
        return None
    sent = Message.objects.filter(task__owner=request.user, task__idempotency_key=key, content=_text(request))
    return sent.filter(role=Message.Role.USER).first()


def _text(request: ChatRequest) -> str:
    """Browsers send line breaks as CR LF."""
    return request.POST.get("text", "").replace("\r\n", "\n").strip()


@require_POST
@signed_in
def say(request: ChatRequest, pk: UUID) -> HttpResponse:
    """The next message of a conversation."""
    conversation = own_conversation(request.user, pk)
    try:
        posted = post(request, conversation)
    except replies.REFUSALS as error:
        return replies.refused(request, error, back=conversation)
    if not request.htmx:
        return redirect(replies.address_of(posted.message))
    return _turn(request, posted.message, key=replies.new_key())


@require_GET
@signed_in
def show(request: ChatRequest, pk: UUID) -> HttpResponse:
    """One exchange, as it stands now."""
    message = own_message(request.user, pk)
    return _turn(request, message) if request.htmx else redirect(replies.address_of(message))


@require_GET
@signed_in
def whole(request: ChatRequest, pk: UUID) -> HttpResponse:
    """A message that is too long for the page, as plain text."""
    message = readable_message(request.user, pk)
    return HttpResponse(message.content, content_type="text/plain; charset=utf-8")


@require_http_methods(["GET", "POST"])
@signed_in
def edit(request: ChatRequest, pk: UUID) -> HttpResponse:
    """Changes a message of one's own; what followed is cut, and it is asked anew."""
    message = own_message(request.user, pk)
    if request.method == "GET":
        context = {"message": message, "conversation": message.conversation, "current": str(message.conversation_id)}
        if request.htmx:
            return render(request, "chat/edit_form.html", context)
        return replies.page(request, "chat/edit.html", **context)
    try:
        edit_message(message=message, text=_text(request), owner=request.user, request_id=request.request_id)
    except replies.REFUSALS as error:
        return replies.refused(request, error, back=message.conversation)
    # What followed is gone from the page too, so the whole page is new.
    return replies.go_to(request, resolve_url("pages:conversation", message.conversation_id))


@require_POST
@signed_in
def again(request: ChatRequest, pk: UUID) -> HttpResponse:
    """Another answer to the same question."""
    message = own_message(request.user, pk)
    try:
        posted = regenerate(message=message, owner=request.user, request_id=request.request_id)
    except replies.REFUSALS as error:
        return replies.refused(request, error, back=message.conversation)
    return _turn(request, posted.message) if request.htmx else redirect(replies.address_of(posted.message))


@require_POST
@signed_in
def wrong(request: ChatRequest, pk: UUID) -> HttpResponse:
    """A thumbs-down for the answer."""
    message = own_message(request.user, pk)
    try:
        reject_answer(message=message, owner=request.user, actor=Actor.of(request))
    except replies.REFUSALS as error:
        return replies.refused(request, error, back=message.conversation)
    return _turn(request, message) if request.htmx else redirect(replies.address_of(message))


@require_POST
@signed_in
def stop(request: ChatRequest, pk: UUID) -> HttpResponse:
    """Stops an answer; what was said stays. One that has just ended needs no stopping."""
    task = own_task(request.user, pk)
    with suppress(IllegalTransition):
        cancel(task=task, actor=Actor.of(request))
    if request.htmx:
        return HttpResponse(status=204)
    return redirect(_conversation_of(task))


def _conversation_of(task: Task) -> str:
    """The page that shows this task's answer."""
    key = task.serial_key or ""
    if not key.startswith(SERIAL_PREFIX):
        return resolve_url("pages:chat")
    return resolve_url("pages:conversation", UUID(key.removeprefix(SERIAL_PREFIX)))


def _turn(request: ChatRequest, message: Message, *, key: str = "") -> HttpResponse:
    """The part of the page that is this exchange; with a key for the form when it was that form's."""
    context = {
        "card": card_of(exchange_of(message), request.user),
        "conversation": message.conversation,
        "new_key": key,
    }
    return render(request, "chat/turn_alone.html", context)
