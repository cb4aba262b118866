"""What one run knows, for the code that it calls.

Graphs are built once and shared by all runs of their version, so whatever belongs to one task is found
through a context variable, which LangGraph copies into its threads.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from langchain_core.language_models import BaseChatModel

from agents.definitions.cache_policy import asked_anew
from agents.definitions.data import VersionData
from agents.gateway.chat import chat_model
from agents.gateway.data import CallContext
from agents.runtime.control import RunControl
from agents.runtime.exceptions import NoRun
from agents.tasks.data import Claim

_current: ContextVar[Run | None] = ContextVar("mutirao_run", default=None)


@dataclass(frozen=True, slots=True)
class Run:
    """One attempt at one task, while it runs."""

    claim: Claim
    control: RunControl
    version: VersionData
    calls: CallContext
    _models: dict[str, BaseChatModel] = field(default_factory=dict)

    @classmethod
    def of(cls, claim: Claim, control: RunControl, version: VersionData) -> Run:
        """The run that this claim is for."""
        return cls(claim, control, version, _call_context(claim, control, version))

    def model(self, name: str, parameters: Mapping[str, Any]) -> BaseChatModel:
        """The model of this name, made once a run, whose calls are on this run's account."""
        name = name or self.version.model or settings.DEFAULT_MODEL
        key = f"{name} {sorted(parameters.items())}"
        if key not in self._models:
            self._models[key] = chat_model(name, parameters=parameters, context=self.calls)
        return self._models[key]

    def settle(self) -> None:
        """Makes what the run has spent known to whoever ends it."""
        self.control.usage = self.calls.meter.total


@contextmanager
def current(run: Run) -> Iterator[Run]:
    """Code called inside finds this run with `current_run`."""
    token = _current.set(run)
    try:
        yield run
    finally:
        _current.reset(token)


def current_run() -> Run:
    """The run that this code is part of. Raises NoRun outside any."""
    run = _current.get()
    if run is None:
        raise NoRun
    return run


def _call_context(claim: Claim, control: RunControl, version: VersionData) -> CallContext:
    return CallContext(
        task_id=claim.task_id,
        fence=claim.fence,
        agent_id=version.agent_id,
        agent_version_id=claim.agent_version_id,
        owner_id=claim.owner_id,
        trace_id=claim.trace_id,
        request_id=claim.request_id,
        # Claimed a moment ago. Not `run_deadline_at`: that is by the database's clock, and this machine's may be wrong.
        deadline=time.monotonic() + claim.limits.seconds,
        token_limit=claim.limits.tokens,
        cost_limit=claim.limits.cost,
        spent=claim.spent,
        cache_policy=version.cache,
        # The model's answer may be why an attempt has failed.
        cache_wishes=asked_anew(claim.cache) if claim.failures else claim.cache,
        check=control.check,
    )
