"""Traces of LangChain's own kind, switched on by LANGSMITH_TRACING. LangSmith's library reads the rest by itself."""

from __future__ import annotations

import os

from mutirao.settings.environment import env

DEFAULT_ENDPOINT = "https://api.smith.langchain.com"

LANGSMITH_TRACING: bool = env.bool("LANGSMITH_TRACING", default=False)
LANGSMITH_ENDPOINT: str = env("LANGSMITH_ENDPOINT", default=DEFAULT_ENDPOINT)
LANGSMITH_PROJECT: str = env("LANGSMITH_PROJECT", default="mutirao")
LANGSMITH_HAS_KEY: bool = bool(env("LANGSMITH_API_KEY", default=""))
# LangChain's own switch stays off: it would trace with a client that masks nothing (see agents.runtime.tracing).
for _name in ("LANGSMITH_TRACING", "LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING", "LANGCHAIN_TRACING_V2"):
    os.environ.pop(_name, None)
