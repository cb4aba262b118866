from __future__ import annotations

from django.urls import path

from mutirao.pages.webhooks import deliveries, endpoints

urlpatterns = [
    path("", endpoints.webhook_list, name="webhooks"),
    path("new/", endpoints.endpoint_new, name="webhook-new"),
    path("task-secret/", endpoints.task_secret, name="webhook-task-secret"),
    path("deliveries/<uuid:pk>/", deliveries.delivery_page, name="webhook-delivery"),
    path("deliveries/<uuid:pk>/live/", deliveries.delivery_live, name="webhook-delivery-live"),
    path("deliveries/<uuid:pk>/replay/", deliveries.delivery_replay, name="webhook-replay"),
    path("<uuid:pk>/", endpoints.endpoint_page, name="webhook"),
    path("<uuid:pk>/rotate/", endpoints.endpoint_rotate, name="webhook-rotate"),
    path("<uuid:pk>/delete/", endpoints.endpoint_delete, name="webhook-delete"),
    path("<uuid:pk>/test/", endpoints.endpoint_test, name="webhook-test"),
    path("<uuid:pk>/switch/", endpoints.endpoint_switch, name="webhook-switch"),
]
