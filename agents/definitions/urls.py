from __future__ import annotations

from django.urls import path

from agents.definitions.views import AgentDetail, AgentList

urlpatterns = [
    path("agents", AgentList.as_view(), name="agents"),
    path("agents/<str:slug>", AgentDetail.as_view(), name="agent"),
]
