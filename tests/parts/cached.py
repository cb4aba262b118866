"""A believable month of the answer cache: what it keeps, the calls that it answered or did not, what it has learned."""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from agents.cache.meaning import meaning
from agents.cache.models import CacheEntry, Calibration
from agents.definitions.models import AgentVersion
from agents.gateway.models import ModelCall
from foundation.models import new_id

DAYS = 29
WORDS = {"kind": "questions", "asks": "duration", "coverage": 0.71, "length": 0.5}
NEAR = WORDS | {"score": 0.713, "threshold": 0.941, "blocked_by": "", "is_off": False, "instead": "brazil / portugal"}
BLOCKED = WORDS | {"score": 0.0, "threshold": 0.941, "blocked_by": "numbers", "is_off": False}
GIVEN = WORDS | {"score": 0.968, "threshold": 0.941, "blocked_by": "", "is_off": False, "coverage": 0.97}
# Tier, why, evidence, and how often.
OUTCOMES: Sequence[tuple[str, str, dict[str, Any] | None, int]] = (
    ("", "miss", None, 40), ("exact", "hit", None, 26), ("exact", "stale", None, 3), ("flight", "hit", None, 4),
    ("semantic", "hit", GIVEN, 12), ("", "near_miss", NEAR, 4), ("", "blocked", BLOCKED, 3),
    ("", "uncacheable:temperature", None, 6), ("", "bypass", None, 2), ("", "refresh", None, 3),
)  # fmt: skip


class CachedMonth:
    """Made with a chance of its own, so that nothing else changes with it."""

    def __init__(self, now: datetime, versions: Sequence[AgentVersion], questions: Sequence[tuple[str, str]]) -> None:
        self.chance, self.now = random.Random(11), now
        kept = [self._entry(version, *pair) for version in versions[:4] for pair in questions[:3]]
        self.entries = CacheEntry.objects.bulk_create(kept)
        self.versions = versions

    def columns(self) -> dict[str, Any]:
        """What a call says of the cache; of a hit also tokens and cost, which are none."""
        tier, why, evidence, _often = self.chance.choices(OUTCOMES, [often for *_rest, often in OUTCOMES])[0]
        entry = self.chance.choice(self.entries)
        said: dict[str, Any] = {"tier": tier, "cache_why": why, "cache_evidence": evidence}
        if evidence is not None:
            said["similarity"] = self.chance.uniform(0.88, 0.99)
        if tier:
            return said | {
                "cache_entry_id": entry.pk, "age_seconds": self.chance.uniform(20, 90_000), "cost": 0,
                "input_tokens": 0, "output_tokens": 0, "saved_input_tokens": entry.input_tokens,
                "saved_output_tokens": entry.output_tokens, "saved_cost": entry.cost, "saved_ms": entry.latency_ms,
                "latency_ms": self.chance.uniform(2, 9), "first_token_ms": 2,
            }  # fmt: skip
        if evidence is not None:
            said["cache_evidence"] = evidence | {"entry": str(entry.pk)}
        return said

    def fill(self) -> None:
        """The days before this one, and what was learned in them."""
        days = [day for day in range(1, DAYS) for _ in range(self.chance.randint(50, 110) // (2 if day % 7 < 2 else 1))]
        ModelCall.objects.bulk_create([self._call(day) for day in days], batch_size=500)
        verifier = meaning().verifier()
        for number, version in enumerate(self.versions[:3]):
            is_off = number == 2
            Calibration.objects.create(
                agent_id=version.agent_id, kind="conversations" if number == 1 else "questions", verifier=verifier,
                error_target=0.01, threshold=(0.9415, 0.9234, 0.9415)[number], trials=(412, 96, 38)[number],
                errors=(1, 0, 5)[number], bound=(0.0066, 0.0076, 0.0309)[number], is_off=is_off,
            )  # fmt: skip

    def _call(self, day: int) -> ModelCall:
        version = self.chance.choice(self.versions)
        latency, read, written = (
            self.chance.uniform(300, 5000), self.chance.randint(40, 900), self.chance.randint(10, 400),
        )  # fmt: skip
        usual = {
            "latency_ms": latency, "first_token_ms": latency / 6, "input_tokens": read, "output_tokens": written,
            "cost": Decimal(read + 3 * written) / 1_000_000,
        }  # fmt: skip
        return ModelCall(
            agent_id=version.agent_id, agent_version_id=version.pk, provider="local", model="smollm2-135m",
            started_at=self.now - timedelta(days=day, minutes=self.chance.randint(0, 600)), outcome="succeeded",
            **usual | self.columns(),
        )  # fmt: skip

    def _entry(self, version: AgentVersion, question: str, answer: str) -> CacheEntry:
        read, written = self.chance.randint(80, 600), self.chance.randint(20, 300)
        at = self.now - timedelta(hours=self.chance.randint(1, 40))
        return CacheEntry(
            id=new_id(), scope=uuid.UUID(int=self.chance.getrandbits(128)).hex, agent_id=version.agent_id,
            exact=uuid.UUID(int=self.chance.getrandbits(128)).hex, agent_version_id=version.pk,
            target="local:smollm2-135m", question=question, dialogue=[{"role": "user", "content": question}],
            answer={"message": {"content": answer, "whole": True}, "pieces": []}, input_tokens=read,
            output_tokens=written, cost=Decimal(read + 3 * written) / 1_000_000, hits=self.chance.randint(0, 40),
            latency_ms=self.chance.uniform(400, 4000), answered_at=at, stale_at=at + timedelta(days=7),
            expires_at=at + timedelta(days=8),
        )  # fmt: skip
