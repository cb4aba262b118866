"""Traces of LangChain's own kind, switched on by LANGSMITH_TRACING (or one of its older names)."""

from __future__ import annotations

from mutirao.settings.environment import env

DEFAULT_ENDPOINT = "https://api.smith.langchain.com"
_SWITCHES = ("LANGSMITH_TRACING", "LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING_V2")

LANGSMITH_TRACING: bool = any(env.bool(name, default=False) for name in _SWITCHES)
LANGSMITH_ENDPOINT: str = env("LANGSMITH_ENDPOINT", default=DEFAULT_ENDPOINT)
LANGSMITH_PROJECT: str = env("LANGSMITH_PROJECT", default="mutirao")
LANGSMITH_HAS_KEY: bool = bool(env("LANGSMITH_API_KEY", default=""))
