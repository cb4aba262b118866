"""The answer cache, and the embeddings it compares questions by."""

from __future__ import annotations

import os

from mutirao.settings.environment import env

# Read by numpy when it is first imported. Threads gain nothing for the products of a lookup, and go on spinning after
# each, on the cores that the next embedding needs.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# What agents do that say nothing else: off, exact or semantic.
CACHE_MODE: str = env("MUTIRAO_CACHE_MODE", default="exact")
CACHE_TTL_SECONDS: int = env.int("MUTIRAO_CACHE_TTL", default=86_400)
CACHE_STALE_SECONDS: int = env.int("MUTIRAO_CACHE_STALE", default=3_600)
# Answers at a higher temperature are not kept, unless the agent's policy says so.
CACHE_MOST_TEMPERATURE: float = env.float("MUTIRAO_CACHE_MOST_TEMPERATURE", default=0.5)
# The share of wrong answers among those of the semantic tier that is put up with.
CACHE_ERROR_TARGET: float = env.float("MUTIRAO_CACHE_ERROR_TARGET", default=0.01)
# The share of semantic hits that are asked again, to see whether they were right.
CACHE_SHADOW_SHARE: float = env.float("MUTIRAO_CACHE_SHADOW", default=0.02)
# The model that judges near misses (`provider:model` or `route:name`); empty: none.
CACHE_JUDGE: str = env("MUTIRAO_CACHE_JUDGE", default="")
# How many entries of one scope are compared, and how many vectors a process keeps in memory.
CACHE_MOST_IN_SCOPE: int = env.int("MUTIRAO_CACHE_MOST_IN_SCOPE", default=100_000)
CACHE_MOST_VECTORS: int = env.int("MUTIRAO_CACHE_MOST_VECTORS", default=200_000)
# How long a caller waits for the same question that somebody else is asking.
CACHE_FLIGHT_SECONDS: float = env.float("MUTIRAO_CACHE_FLIGHT", default=120)

# `local:minilm-l6-v2-int8`, `onnx:/folder` of an exported sentence-transformer, or LangChain's `provider:model`.
EMBEDDINGS_MODEL: str = env("MUTIRAO_EMBEDDINGS", default="local:minilm-l6-v2-int8")
