"""The scripted upstream, as the environment's OpenAI."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from agents.gateway.chat import GatewayChatModel, chat_model
from agents.gateway.data import CallContext
from tests.upstream import client
from tests.upstream.client import Upstream

Model = Callable[..., GatewayChatModel]


@pytest.fixture(scope="session")
def upstream_process() -> Iterator[Upstream]:
    with client.process() as found:
        yield found


@pytest.fixture
def upstream(upstream_process: Upstream, monkeypatch: pytest.MonkeyPatch) -> Upstream:
    """Answers well until it is told otherwise; no waiting between tries is needed to be seen."""
    upstream_process.reset()
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-secret-key")
    monkeypatch.setenv("OPENAI_BASE_URL", upstream_process.url)
    monkeypatch.setattr("agents.gateway.picking.FIRST_PAUSE_SECONDS", 0.01)
    return upstream_process


@pytest.fixture
def model() -> Model:
    """The gateway's model of this target, for a call on nobody's behalf unless told otherwise."""

    def made(target: str, parameters: dict[str, Any] | None = None, **context: Any) -> GatewayChatModel:
        return chat_model(target, parameters=parameters or {}, context=CallContext(**context))

    return made
