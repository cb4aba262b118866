from __future__ import annotations

from django.urls import include, path

from mutirao.pages import agents, operations, overview, tasks

app_name = "pages"

urlpatterns = [
    path("", overview.overview, name="overview"),
    path("", include("mutirao.pages.account.urls")),
    path("chat/", include("mutirao.pages.chat.urls")),
    path("agents/", agents.agent_list, name="agents"),
    path("agents/<slug:slug>/", agents.agent_page, name="agent"),
    path("operations/", operations.operations_page, name="operations"),
    path("operations/queues/<str:name>/<str:verb>/", operations.queue_verb, name="queue-verb"),
    path("tasks/", tasks.task_list, name="tasks"),
    path("tasks/<uuid:pk>/", tasks.task_page, name="task"),
    path("tasks/<uuid:pk>/live/", tasks.task_live, name="task-live"),
    path("tasks/<uuid:pk>/<str:verb>/", tasks.task_verb, name="task-verb"),
]
