"""What tool calls and approvals keep of a person: of their own tasks, and what they said about those of others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from accounts.privacy import Holding, blank, ids_of, register_holding, rows_of
from agents.tools.models import Approval, ToolCall


def _calls(user: User) -> QuerySet[ToolCall]:
    return ToolCall.objects.filter(task__owner=user)


def _approvals(user: User) -> QuerySet[Approval]:
    return Approval.objects.filter(Q(task__owner=user) | Q(decided_by=user))


def _export_approvals(user: User) -> Iterator[Mapping[str, Any]]:
    """Of the tasks of others only what this person decided."""
    yield from rows_of(Approval.objects.filter(task__owner=user))
    decided = Approval.objects.filter(decided_by=user).exclude(task__owner=user)
    yield from rows_of(decided, without=("arguments", "arguments_schema", "edited_arguments"))


def _erase_approvals(user: User) -> int:
    own = Approval.objects.filter(task__owner=user)
    blank(own.filter(state=Approval.State.EDITED), edited_arguments={})
    blank(own, arguments={}, arguments_schema={}, description="")
    return blank(_approvals(user), reason="")


def register_holdings() -> None:
    """Called when the application starts."""
    register_holding(
        Holding(
            "tool-calls", _("tool calls"), lambda user: rows_of(_calls(user)),
            lambda user: blank(_calls(user), arguments={}, result=None, error=""), order=410,
            things=lambda user: ids_of(_calls(user)),
        )
    )  # fmt: skip
    register_holding(
        Holding(
            "approvals", _("approvals"), _export_approvals, _erase_approvals, order=400,
            things=lambda user: ids_of(_approvals(user)),
        )
    )  # fmt: skip
