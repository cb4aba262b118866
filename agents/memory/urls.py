from __future__ import annotations

from django.urls import path

from agents.memory.views import ConversationDetail, ConversationList

urlpatterns = [
    path("conversations", ConversationList.as_view(), name="conversations"),
    path("conversations/<uuid:pk>", ConversationDetail.as_view(), name="conversation"),
]
