"""Language models."""

from __future__ import annotations

from mutirao.settings.environment import MUTIRAO_HOME, env

# LangChain's `provider:model` form. The local one needs no key and no network.
DEFAULT_MODEL: str = env("MUTIRAO_DEFAULT_MODEL", default="local:smollm2-135m")
# Where the local model answers; empty: a process of our own is started on first use (see agents.gateway.local).
LOCAL_MODEL_URL: str = env("MUTIRAO_LOCAL_MODEL_URL", default="")
RUN_DIR = MUTIRAO_HOME / "run"
MODEL_CALL_TIMEOUT_SECONDS: float = env.float("MUTIRAO_MODEL_TIMEOUT", default=120)
