"""Django REST framework and its schema."""

from __future__ import annotations

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.authentication.BearerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": [
        "rest_framework.permissions.IsAuthenticated",
        "accounts.permissions.HasScope",
        "accounts.permissions.WithinAgents",
    ],
    "DEFAULT_THROTTLE_CLASSES": ["accounts.throttling.Throttle"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["foundation.parsers.BoundedJSONParser"],
    "DEFAULT_PAGINATION_CLASS": "foundation.pagination.CursorPagination",
    "DEFAULT_FILTER_BACKENDS": [
        "django_filters.rest_framework.DjangoFilterBackend",
        "rest_framework.filters.SearchFilter",
        "foundation.pagination.TiedOrdering",
    ],
    "DEFAULT_SCHEMA_CLASS": "foundation.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "foundation.problems.exception_handler",
    "UNAUTHENTICATED_USER": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "PAGE_SIZE": 50,
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Mutirão",
    "DESCRIPTION": "Run LangChain and LangGraph agents in production.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "foundation.openapi.add_problems",
    ],
    "ENUM_NAME_OVERRIDES": {
        "TaskStatus": "agents.tasks.models.Status",
        "ApprovalState": "agents.tools.models.Approval.State",
        "ToolCallState": "agents.tools.models.ToolCall.State",
        "DeliveryState": "agents.webhooks.models.Delivery.State",
        "CircuitState": "agents.circuits.models.State",
        "ForcedState": "agents.circuits.serializers.FORCED",
        "CallOutcome": "agents.gateway.models.ModelCall.Outcome",
    },
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}
