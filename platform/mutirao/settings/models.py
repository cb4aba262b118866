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
# How long a call waits for its first token, and then for the next one, where its route says nothing else.
MODEL_FIRST_TOKEN_SECONDS: float = env.float("MUTIRAO_MODEL_FIRST_TOKEN", default=60)
MODEL_STALL_SECONDS: float = env.float("MUTIRAO_MODEL_STALL", default=30)
# How many threads of a process carry asynchronous calls.
MODEL_ASYNC_THREADS: int = env.int("MUTIRAO_MODEL_ASYNC_THREADS", default=64)
# How long a process goes on with what it knew of routes, credentials and prices.
ROUTE_CACHE_SECONDS: float = env.float("MUTIRAO_ROUTE_CACHE_SECONDS", default=2)
# How often a process writes the model calls it has counted.
LEDGER_SECONDS: float = env.float("MUTIRAO_LEDGER_SECONDS", default=0.5)
# Models that follow a script, for tests and demonstrations (see agents.testing).
ALLOW_SCRIPTED_MODELS: bool = env.bool("MUTIRAO_ALLOW_SCRIPTED_MODELS", default=False)

# How long a process may go on with what it knew of an agent or of a person's right to use it.
AGENT_CACHE_SECONDS: float = env.float("MUTIRAO_AGENT_CACHE_SECONDS", default=5)
