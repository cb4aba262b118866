"""The API, `/api/v1`: every room's addresses, the views that cross rooms, and the schema. No trailing slashes."""

from __future__ import annotations

from django.urls import include, path
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView
from rest_framework.permissions import AllowAny

from agents.api.feedback import MessageRejection, TaskRejection
from agents.api.messages import MessageRegenerate
from agents.api.usage import Usage
from agents.api.views import (
    MessageList,
    Nothing,
    TaskBulk,
    TaskCancel,
    TaskDetail,
    TaskEvents,
    TaskList,
    TaskResume,
    TaskRetry,
    TaskReview,
)

PUBLIC = {"permission_classes": [AllowAny], "authentication_classes": []}

urlpatterns = [
    path("", include("accounts.urls")),
    path("", include("agents.definitions.urls")),
    path("", include("agents.schedules.urls")),
    path("", include("agents.memory.urls")),
    path("", include("agents.tools.urls")),
    path("", include("agents.worker.urls")),
    path("", include("agents.webhooks.urls")),
    path("", include("agents.circuits.urls")),
    path("", include("agents.cache.urls")),
    path("", include("agents.gateway.urls")),
    path("tasks", TaskList.as_view(), name="tasks"),
    path("tasks/bulk", TaskBulk.as_view(), name="tasks-bulk"),
    path("tasks/<uuid:pk>", TaskDetail.as_view(), name="task"),
    path("tasks/<uuid:pk>/events", TaskEvents.as_view(), name="task-events"),
    path("tasks/<uuid:pk>/cancel", TaskCancel.as_view(), name="task-cancel"),
    path("tasks/<uuid:pk>/retry", TaskRetry.as_view(), name="task-retry"),
    path("tasks/<uuid:pk>/resume", TaskResume.as_view(), name="task-resume"),
    path("tasks/<uuid:pk>/review", TaskReview.as_view(), name="task-review"),
    path("tasks/<uuid:pk>/reject-answers", TaskRejection.as_view(), name="task-reject-answers"),
    path("conversations/<uuid:pk>/messages", MessageList.as_view(), name="messages"),
    path(
        "conversations/<uuid:pk>/messages/<uuid:message>/regenerate",
        MessageRegenerate.as_view(),
        name="message-regenerate",
    ),
    path("conversations/<uuid:pk>/messages/<uuid:message>/reject", MessageRejection.as_view(), name="message-reject"),
    path("usage", Usage.as_view(), name="usage"),
    path("schema", SpectacularJSONAPIView.as_view(**PUBLIC), name="schema"),
    path("docs", SpectacularSwaggerSplitView.as_view(**PUBLIC, url_name="schema"), name="docs"),
    path("<path:anything>", Nothing.as_view(), name="nothing"),
]
