"""What the OpenAPI document says of views, in one place, so that the views stay readable."""

from __future__ import annotations

from typing import Final

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema

from agents.api.serializers import (
    BulkSubmissionSerializer,
    BulkSubmittedSerializer,
    MessageSubmissionSerializer,
    PostedMessageSerializer,
    TaskDetailSerializer,
    TaskReviewSerializer,
    TaskSubmissionSerializer,
    TaskWithConversationSerializer,
)
from agents.memory.serializers import MessageSerializer
from agents.tasks.serializers import ResumeSerializer, RetrySerializer

HEADER: Final = "header"
PREFER = OpenApiParameter(
    "Prefer", str, HEADER,
    description="`wait=30` waits up to that many seconds (at most 60) for the task to end.",
)  # fmt: skip
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key", str, HEADER,
    description="1 to 255 visible ASCII characters. The same key with the same body gives the same task "
    "(`Idempotent-Replayed: true`); with another body it is refused with 409.",
)  # fmt: skip
LOCATION = OpenApiParameter("Location", OpenApiTypes.URI_REF, HEADER, response=[200, 202], description="The task.")
REPLAYED = OpenApiParameter(
    "Idempotent-Replayed",
    str,
    HEADER,
    response=[200, 202],
    description="`true` for a task that was there before.",
)
APPLIED = OpenApiParameter("Preference-Applied", str, HEADER, response=[200, 202], description="`wait`.")
LAST_EVENT_ID = OpenApiParameter("Last-Event-ID", int, HEADER, description="Resumes after this event.")
AFTER = OpenApiParameter("after", int, description="The same as Last-Event-ID, for a first request.")
SUBMITTING = [PREFER, IDEMPOTENCY_KEY, LOCATION, REPLAYED, APPLIED]

_TASK = TaskWithConversationSerializer
_STREAM = OpenApiResponse(
    OpenApiTypes.STR,
    description="Server-sent events with `id` (the number), `event` (status, step, message, tool_call, tool_result, "
    "custom) and `data` (JSON); comments as heartbeats; at the end `done` with `status`, `result`, `error`, `usage`.",
)

LIST_TASKS = extend_schema(operation_id="tasks_list", summary="List tasks", tags=["tasks"])
SUBMIT_TASK = extend_schema(
    operation_id="tasks_submit", summary="Submit a task", tags=["tasks"], parameters=SUBMITTING,
    request=TaskSubmissionSerializer,
    responses={
        202: OpenApiResponse(_TASK, description="Accepted."),
        200: OpenApiResponse(_TASK, description="Ended, also when it failed, while the caller waited."),
    },
)  # fmt: skip
GET_TASK = extend_schema(
    operation_id="tasks_get", summary="Show a task", tags=["tasks"], responses={200: TaskDetailSerializer}
)
CANCEL_TASK = extend_schema(
    operation_id="tasks_cancel", summary="Cancel a task", tags=["tasks"], request=None,
    responses={
        200: OpenApiResponse(_TASK, description="Cancelled."),
        202: OpenApiResponse(_TASK, description="Running; it stops at its next step."),
    },
)  # fmt: skip
RETRY_TASK = extend_schema(
    operation_id="tasks_retry", summary="Run a task again", tags=["tasks"], request=RetrySerializer,
    parameters=[OpenApiParameter("Location", OpenApiTypes.URI_REF, HEADER, response=[202])],
    responses={202: OpenApiResponse(_TASK, description="The new task.")},
)  # fmt: skip
SUBMIT_TASKS = extend_schema(
    operation_id="tasks_submit_bulk", summary="Submit several tasks", tags=["tasks"], request=BulkSubmissionSerializer,
    responses={202: OpenApiResponse(BulkSubmittedSerializer, description="All accepted.")},
)  # fmt: skip
RESUME_TASK = extend_schema(
    operation_id="tasks_resume", summary="Answer a task", tags=["tasks"], request=ResumeSerializer,
    responses={202: OpenApiResponse(_TASK, description="It goes on.")},
)  # fmt: skip
REVIEW_TASK = extend_schema(
    operation_id="tasks_review", summary="Review a task", tags=["tasks"], request=TaskReviewSerializer,
    responses={200: OpenApiResponse(_TASK, description="As it stands now.")},
)  # fmt: skip
TASK_EVENTS = extend_schema(
    operation_id="tasks_events", summary="Follow a task", tags=["tasks"], parameters=[LAST_EVENT_ID, AFTER],
    responses={(200, "text/event-stream"): _STREAM},
)  # fmt: skip
LIST_MESSAGES = extend_schema(
    operation_id="messages_list", summary="List messages", tags=["conversations"],
    responses=MessageSerializer(many=True),
)  # fmt: skip
POST_MESSAGE = extend_schema(
    operation_id="messages_post", summary="Post a message", tags=["conversations"], parameters=SUBMITTING,
    request=MessageSubmissionSerializer,
    responses={
        202: OpenApiResponse(PostedMessageSerializer, description="Accepted."),
        200: OpenApiResponse(PostedMessageSerializer, description="Answered while the caller waited."),
    },
)  # fmt: skip
