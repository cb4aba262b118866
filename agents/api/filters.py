"""Narrowing that crosses rooms."""

from __future__ import annotations

import uuid

import django_filters
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from agents.memory.services import SERIAL_PREFIX
from agents.tasks.filters import TaskFilter
from agents.tasks.models import Task


class TaskWithConversationFilter(TaskFilter):
    """TaskFilter, and `?conversation=<id>`."""

    conversation = django_filters.UUIDFilter(method="of_conversation", label=_("Tasks of this conversation."))

    def of_conversation(self, tasks: QuerySet[Task], _name: str, value: uuid.UUID) -> QuerySet[Task]:
        """Tasks that answer messages of this conversation."""
        return tasks.filter(serial_key=f"{SERIAL_PREFIX}{value}")
