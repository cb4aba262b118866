from __future__ import annotations

from django.urls import path

from agents.webhooks.views import (
    DeliveryDetail,
    DeliveryList,
    DeliveryReplay,
    EndpointDetail,
    EndpointList,
    EndpointRotation,
    EndpointTest,
    TaskSecretRotation,
)

urlpatterns = [
    path("webhooks", EndpointList.as_view(), name="webhooks"),
    path("webhooks/task-secret", TaskSecretRotation.as_view(), name="webhook-task-secret"),
    path("webhooks/deliveries", DeliveryList.as_view(), name="webhook-deliveries"),
    path("webhooks/deliveries/<uuid:pk>", DeliveryDetail.as_view(), name="webhook-delivery"),
    path("webhooks/deliveries/<uuid:pk>/replay", DeliveryReplay.as_view(), name="webhook-replay"),
    path("webhooks/<uuid:pk>", EndpointDetail.as_view(), name="webhook"),
    path("webhooks/<uuid:pk>/rotate", EndpointRotation.as_view(), name="webhook-rotate"),
    path("webhooks/<uuid:pk>/test", EndpointTest.as_view(), name="webhook-test"),
]
