from __future__ import annotations

from django.urls import path

from mutirao.pages import sharing
from mutirao.pages.chat import conversations, events, messages

urlpatterns = [
    path("", conversations.new, name="chat"),
    path("conversations/", conversations.listed, name="chat-list"),
    path("<uuid:pk>/", conversations.show, name="conversation"),
    path("<uuid:pk>/title/", conversations.rename, name="conversation-title"),
    path("<uuid:pk>/sharing/", sharing.conversation, name="conversation-sharing"),
    path("<uuid:pk>/delete/", conversations.delete, name="conversation-delete"),
    path("<uuid:pk>/say/", messages.say, name="chat-say"),
    path("messages/<uuid:pk>/", messages.show, name="chat-message"),
    path("messages/<uuid:pk>/whole/", messages.whole, name="chat-whole"),
    path("messages/<uuid:pk>/edit/", messages.edit, name="chat-edit"),
    path("messages/<uuid:pk>/again/", messages.again, name="chat-again"),
    path("messages/<uuid:pk>/wrong/", messages.wrong, name="chat-wrong"),
    path("tasks/<uuid:pk>/stop/", messages.stop, name="chat-stop"),
    path("tasks/<uuid:pk>/events", events.events, name="chat-events"),
]
