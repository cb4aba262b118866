"""Narrowing that crosses rooms."""

from __future__ import annotations

import uuid
from typing import Any, cast

import django_filters
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from rest_framework.fields import CharField
from rest_framework.filters import SearchFilter
from rest_framework.request import Request
from rest_framework.views import APIView

from agents.memory.services import SERIAL_PREFIX
from agents.tasks.filters import TaskFilter
from agents.tasks.models import Task
from agents.tasks.querysets import TaskQuerySet


class TaskWithConversationFilter(TaskFilter):
    """TaskFilter, and `?conversation=<id>`."""

    conversation = django_filters.UUIDFilter(method="of_conversation", label=_("Tasks of this conversation."))

    def of_conversation(self, tasks: QuerySet[Task], _name: str, value: uuid.UUID) -> QuerySet[Task]:
        """Tasks that answer messages of this conversation."""
        return tasks.filter(serial_key=f"{SERIAL_PREFIX}{value}")


class TaskNameFilter(SearchFilter):
    """`?search=` for tasks: exactly one of a task's names, never a part of one."""

    search_description: Any = _("A task's id, request id, trace or idempotency key, an owner or an agent: exactly.")

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: APIView) -> QuerySet[Any]:
        """The tasks of this name; all without one. Raises ValidationError for what no text may contain."""
        text = CharField(allow_blank=True).run_validation(request.query_params.get(self.search_param, ""))
        return cast("TaskQuerySet", queryset).named(text) if text else queryset
