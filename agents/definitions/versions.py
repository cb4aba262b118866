"""Publishing a version of an agent: the one place where AgentVersion rows are made."""

from __future__ import annotations

import hashlib
import json

from django.db import transaction
from django.db.models import Max

from agents.definitions.data import Configuration
from agents.definitions.models import Agent, AgentVersion


def digest_of(configuration: Configuration, *, source: str = "") -> str:
    """SHA-256, in hex, of a configuration and of the code that belongs to it."""
    said = dict(configuration.as_fields())
    for later in ("policy", "cache"):
        # As it was before agents had one, so that what has not changed keeps its digest.
        if not said[later]:
            del said[later]
    fields = json.dumps([said, source], sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(fields.encode()).hexdigest()


def publish(*, agent: Agent, configuration: Configuration, digest: str) -> AgentVersion:
    """Makes the version with this content the agent's current one; a new row only when there is none with it.

    So a deploy that is rolled back goes back to the version it came from. Safe from any number of processes
    at once.
    """
    with transaction.atomic():
        locked = Agent.objects.select_for_update(no_key=True).get(pk=agent.pk)
        version = locked.versions.filter(digest=digest).first() or _new_version(locked, configuration, digest)
        if locked.current_version_id != version.pk:
            locked.current_version = version
            locked.save(update_fields=["current_version"])
    agent.current_version = version
    return version


def _new_version(agent: Agent, configuration: Configuration, digest: str) -> AgentVersion:
    latest = agent.versions.aggregate(latest=Max("number"))["latest"] or 0
    fields = configuration.as_fields()
    return AgentVersion.objects.create(agent=agent, number=latest + 1, digest=digest, **fields)
