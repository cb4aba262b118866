"""One upstream for the tests of it, its script new for each."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest

from tests.upstream import client
from tests.upstream.client import Upstream


@pytest.fixture(scope="module")
def server() -> Iterator[Upstream]:
    with client.thread() as found:
        yield found


@pytest.fixture
def upstream(server: Upstream) -> Upstream:
    server.reset()
    return server


@pytest.fixture
def openai_client(upstream: Upstream) -> Iterator[openai.OpenAI]:
    """OpenAI's own; it does not try again."""
    with openai.OpenAI(base_url=upstream.url, api_key="sk-ana-123456", max_retries=0, timeout=5) as found:
        yield found
