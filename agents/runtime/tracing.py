"""Runs as LangSmith sees them, when LANGSMITH_TRACING is on: with our ids, without secrets, and never in the way.

LangSmith's client queues in memory, sends from threads of its own, and drops what does not fit; a server that is away
costs a run nothing. The same variables switch LangChain's own tracing on, whose client would mask nothing: so ours is
made the process's only one before anything runs.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import langsmith
from django.conf import settings
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.tracers.langchain import LangChainTracer
from langsmith import Client

from agents.runtime.json_values import storable
from agents.runtime.run import Run
from telemetry import farewell
from telemetry.masking import masked

# Connecting, and waiting for an answer: the sender's thread, not a run's.
TIMEOUT_MS = (3_000, 10_000)
# What a run is made of beside inputs, outputs, error and metadata, which the client hands to its masks itself.
ALSO_MASKED = ("extra", "serialized", "events", "tags")


class MaskingClient(Client):
    """LangSmith's client, with the masks on every part of a run."""

    def create_run(self, name: str, inputs: dict[str, Any], run_type: Any, **kwargs: Any) -> None:
        """See Client."""
        super().create_run(name, inputs, run_type, **_masked_parts(kwargs))

    def update_run(self, run_id: Any, **kwargs: Any) -> None:
        """See Client."""
        super().update_run(run_id, **_masked_parts(kwargs))


def start() -> None:
    """Once in a process that runs agents: from here on whatever LangChain traces goes through our client."""
    if is_on():
        langsmith.configure(client=client())


def is_on() -> bool:
    """Whether runs are traced."""
    return bool(settings.LANGSMITH_TRACING and settings.LANGSMITH_HAS_KEY)


def tracers_of(run: Run) -> list[BaseCallbackHandler]:
    """What traces this run; nothing while LangSmith is off."""
    if not is_on():
        return []
    claim = run.claim
    ids = {
        "task_id": str(claim.task_id), "trace_id": claim.trace_id, "request_id": claim.request_id,
        "user_id": str(claim.owner_id), "agent": run.version.slug, "attempt": str(claim.fence),
    }  # fmt: skip
    return [LangChainTracer(project_name=settings.LANGSMITH_PROJECT, client=client(), metadata=ids)]


@lru_cache(maxsize=1)
def client() -> Client:
    """The client of this process."""
    made = MaskingClient(
        api_url=settings.LANGSMITH_ENDPOINT,
        timeout_ms=TIMEOUT_MS,
        anonymizer=_mask,
        hide_metadata=_mask,
        omit_traced_runtime_info=True,
    )
    farewell.register("langsmith", made.flush)
    return made


def _mask(data: Any) -> Any:
    """JSON without secrets: LangChain's messages as objects."""
    return masked(storable(data))


def _masked_parts(parts: dict[str, Any]) -> dict[str, Any]:
    return {name: masked(value) if name in ALSO_MASKED else value for name, value in parts.items()}
