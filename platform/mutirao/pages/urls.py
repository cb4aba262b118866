from __future__ import annotations

from django.urls import include, path

from mutirao.pages import (
    agents,
    answer_cache,
    approvals,
    operations,
    overview,
    schedules,
    sharing,
    tasks,
    usage,
    waiting,
)

app_name = "pages"

urlpatterns = [
    path("", overview.overview, name="overview"),
    path("", include("mutirao.pages.account.urls")),
    path("webhooks/", include("mutirao.pages.webhooks.urls")),
    path("chat/", include("mutirao.pages.chat.urls")),
    path("agents/", agents.agent_list, name="agents"),
    path("agents/<slug:slug>/", agents.agent_page, name="agent"),
    path("usage/", usage.usage_page, name="usage"),
    path("cache/", answer_cache.answer_cache_page, name="answer-cache"),
    path("agents/<slug:slug>/sharing/", sharing.agent, name="agent-sharing"),
    path("operations/", operations.operations_page, name="operations"),
    path("operations/queues/<str:name>/<str:verb>/", operations.queue_verb, name="queue-verb"),
    path("approvals/", approvals.approval_list, name="approvals"),
    path("approvals/<uuid:pk>/", approvals.approval_page, name="approval"),
    path("tasks/", tasks.task_list, name="tasks"),
    path("tasks/<uuid:pk>/", tasks.task_page, name="task"),
    path("tasks/<uuid:pk>/live/", tasks.task_live, name="task-live"),
    path("tasks/<uuid:pk>/answer/", waiting.answer, name="task-answer"),
    path("tasks/<uuid:pk>/review/", waiting.review, name="task-review"),
    path("tasks/<uuid:pk>/calls/<uuid:call>/", waiting.call_review, name="task-call"),
    path("tasks/<uuid:pk>/<str:verb>/", tasks.task_verb, name="task-verb"),
    path("schedules/", schedules.schedule_list, name="schedules"),
    path("schedules/new/", schedules.schedule_new, name="schedule-new"),
    path("schedules/preview/", schedules.schedule_preview, name="schedule-preview"),
    path("schedules/<uuid:pk>/", schedules.schedule_page, name="schedule"),
    path("schedules/<uuid:pk>/edit/", schedules.schedule_edit, name="schedule-edit"),
    path("schedules/<uuid:pk>/preview/", schedules.schedule_preview, name="schedule-preview-of"),
    path("schedules/<uuid:pk>/delete/", schedules.schedule_delete, name="schedule-delete"),
    path("schedules/<uuid:pk>/<str:verb>/", schedules.schedule_verb, name="schedule-verb"),
]
