from __future__ import annotations

from django.urls import path

from agents.tools.views import ApprovalDecide, ApprovalList, ToolCallList

urlpatterns = [
    path("approvals", ApprovalList.as_view(), name="approvals"),
    path("approvals/<uuid:pk>/decide", ApprovalDecide.as_view(), name="approval-decide"),
    path("tasks/<uuid:pk>/tool-calls", ToolCallList.as_view(), name="task-tool-calls"),
]
