"""Rows of the agents that a key reaches: what `visible_to` of every room ends with. See accounts.narrowing."""

from __future__ import annotations

import uuid
from typing import Any, TypeVar

from django.db.models import QuerySet

from accounts import narrowing
from accounts.models import User
from agents.definitions.models import Agent

Rows = TypeVar("Rows", bound="QuerySet[Any]")


def agents_within(user: User) -> list[uuid.UUID] | None:
    """The ids of the agents that the person's credential reaches; None: all.

    Looked up first: with a join the database would not know whether their rows are many or few.
    """
    if user.narrowed_to is None:
        return None
    return [*Agent.objects.filter(slug__in=user.narrowed_to).values_list("pk", flat=True)]


def narrowed(rows: Rows, user: User, path: str = "agent") -> Rows:
    """These rows, or those of them whose agent (at `path`) the person's credential reaches."""
    within = agents_within(user)
    return rows if within is None else rows.filter(**{f"{path}__in": within})


def list_agents(user: User | None) -> list[narrowing.AgentChoice]:
    """The agents that this person may use, by name; all that can be used, for None."""
    rows = Agent.objects.usable() if user is None else Agent.objects.usable_by(user)
    pairs = rows.order_by("name", "slug").values_list("slug", "name")
    return [narrowing.AgentChoice(slug, name) for slug, name in pairs]
