from __future__ import annotations

from django.urls import path

from agents.memory.sharing import ConversationGrantDetail, ConversationGrantList
from agents.memory.views import ConversationDetail, ConversationList

urlpatterns = [
    path("conversations", ConversationList.as_view(), name="conversations"),
    path("conversations/<uuid:pk>", ConversationDetail.as_view(), name="conversation"),
    path("conversations/<uuid:pk>/grants", ConversationGrantList.as_view(), name="conversation-grants"),
    path("conversations/<uuid:pk>/grants/<str:grant>", ConversationGrantDetail.as_view(), name="conversation-grant"),
]
