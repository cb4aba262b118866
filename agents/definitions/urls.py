from __future__ import annotations

from django.urls import path

from agents.definitions.sharing import AgentGrantDetail, AgentGrantList
from agents.definitions.views import AgentDetail, AgentList

urlpatterns = [
    path("agents", AgentList.as_view(), name="agents"),
    path("agents/<str:slug>", AgentDetail.as_view(), name="agent"),
    path("agents/<str:slug>/grants", AgentGrantList.as_view(), name="agent-grants"),
    path("agents/<str:slug>/grants/<str:grant>", AgentGrantDetail.as_view(), name="agent-grant"),
]
