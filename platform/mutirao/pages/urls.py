from __future__ import annotations

from django.urls import include, path

from mutirao.pages import agents, operations, overview, schedules, tasks

app_name = "pages"

urlpatterns = [
    path("", overview.overview, name="overview"),
    path("", include("mutirao.pages.account.urls")),
    path("webhooks/", include("mutirao.pages.webhooks.urls")),
    path("chat/", include("mutirao.pages.chat.urls")),
    path("agents/", agents.agent_list, name="agents"),
    path("agents/<slug:slug>/", agents.agent_page, name="agent"),
    path("operations/", operations.operations_page, name="operations"),
    path("operations/queues/<str:name>/<str:verb>/", operations.queue_verb, name="queue-verb"),
    path("tasks/", tasks.task_list, name="tasks"),
    path("tasks/<uuid:pk>/", tasks.task_page, name="task"),
    path("tasks/<uuid:pk>/live/", tasks.task_live, name="task-live"),
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
