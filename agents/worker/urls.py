from __future__ import annotations

from django.urls import path

from agents.worker.views import OperationsView, QueueDetail, QueueList

urlpatterns = [
    path("operations", OperationsView.as_view(), name="operations"),
    path("queues", QueueList.as_view(), name="queues"),
    path("queues/<str:name>", QueueDetail.as_view(), name="queue"),
]
