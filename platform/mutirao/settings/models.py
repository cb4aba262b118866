"""Language models."""

from __future__ import annotations

from mutirao.settings.environment import MUTIRAO_HOME, env

# LangChain's `provider:model` form. The local one needs no key and no network.
DEFAULT_MODEL: str = env("MUTIRAO_DEFAULT_MODEL", default="local:smollm2-135m")
# Where the local model answers; empty: a process of our own is started on first use (see agents.gateway.local).
LOCAL_MODEL_URL: str = env("MUTIRAO_LOCAL_MODEL_URL", default="")
LOCAL_MODEL_START_SECONDS: float = env.float("MUTIRAO_LOCAL_MODEL_START_SECONDS", default=60)
RUN_DIR = MUTIRAO_HOME / "run"
MODEL_CALL_TIMEOUT_SECONDS: float = env.float("MUTIRAO_MODEL_TIMEOUT", default=120)
# How often a call is tried that failed before its first token.
MODEL_CALL_TRIES: int = env.int("MUTIRAO_MODEL_TRIES", default=3)
# Models that follow a script, for tests and demonstrations (see agents.testing).
ALLOW_SCRIPTED_MODELS: bool = env.bool("MUTIRAO_ALLOW_SCRIPTED_MODELS", default=False)

# How long a process may go on with what it knew of an agent or of a person's right to use it.
AGENT_CACHE_SECONDS: float = env.float("MUTIRAO_AGENT_CACHE_SECONDS", default=5)
