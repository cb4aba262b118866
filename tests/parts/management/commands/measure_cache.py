"""What the answer cache takes: prints a JSON object of mark → figure.

The questions are those of the verifier's labelled pairs, with numbers of orders, so that candidates come near and are
compared in full. What is set up here stays.
"""

from __future__ import annotations

import itertools
import json
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from django.core.management.base import BaseCommand
from django.utils import timezone

from agents.cache import hot, semantic
from agents.cache.meaning import meaning
from agents.cache.models import CacheEntry
from agents.cache.reading import Asked, read
from agents.cache.vectors import matrices
from agents.definitions.cache_policy import CachePolicy, Wishes
from foundation.models import new_id
from tests.benchmarks.cache import IN_SCOPE, LOOKED_AT, MANY
from tests.benchmarks.resident import resident_mb
from tests.cache.fakes import AGENT, VERSION, Provider, Reply, ask, request, said_whole

PAIRS = Path(semantic.__file__).parent / "pairs"
SEMANTIC = {"mode": "semantic", "shadow": 0.0}
BATCH = 2_000
GREETING = "Hi there, "


class Command(BaseCommand):
    help = "Measures lookups of the answer cache."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(json.dumps(_exact() | _semantic() | _memory()))


def _exact() -> dict[str, float]:
    provider = Provider([said_whole("Good.")])
    given = request("Hello, how are you today?")
    assert ask(provider, given).tier == ""

    def hit() -> None:
        _hit(ask(provider, given), "exact")

    def elsewhere() -> None:
        hot.here.forget()
        hit()

    def cold() -> None:
        hot.evicted([AGENT])
        hit()

    raised = _median_ms(lambda: hot.evicted([AGENT]), times=LOOKED_AT)
    return {
        "exact hit, p50": _median_ms(hit, times=LOOKED_AT * 5),
        "exact hit from Redis, p50": _median_ms(elsewhere, times=LOOKED_AT * 5),
        "exact hit from the database, p50": _median_ms(cold, times=LOOKED_AT) - raised,
    }


def _semantic() -> dict[str, float]:
    """A hit by meaning and a miss, each with the embedding of a question of about twenty words."""
    questions = _questions(IN_SCOPE)
    # Long enough ago that they need not be looked at again.
    ids = [new_id() for _question in questions]
    _keep(questions, _vectors(questions), ids=ids)
    provider = Provider([said_whole("Good.")])
    model = meaning()
    asked = [text for text in questions if 14 <= len(text.split()) <= 24][: LOOKED_AT + 20]
    hits = iter([GREETING + text for text in asked])
    for _warm in range(20):
        ask(provider, _request(next(hits)))
    given: list[Reply] = []
    took = _median_ms(lambda: given.append(ask(provider, _request(next(hits)))), times=LOOKED_AT)
    served = sum(reply.tier == "semantic" for reply in given)
    texts = iter([f"{text} It is about case {number}." for number, text in enumerate(asked)])
    alone = _median_ms(lambda: model.vector([{"role": "user", "content": next(texts)}]), times=LOOKED_AT)
    return {
        f"semantic hit, {IN_SCOPE:,} entries in scope, p50": took,
        f"semantic hit, {IN_SCOPE:,} entries in scope, served": 100 * served / LOOKED_AT,
        "of that, the embedding, p50": alone,
    }


def _memory() -> dict[str, float]:
    """Of the vectors of one scope, read from the database."""
    asked, rng = _asked("of another scope", agent_id=uuid.uuid4()), np.random.default_rng(1)
    for start in range(0, MANY, BATCH):
        vectors = rng.standard_normal((BATCH, 384)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        _keep([f"Question {start + number}" for number in range(BATCH)], vectors, asked)
    embedding, probe = meaning().embedding(), vectors[0]
    before, began = resident_mb(), time.perf_counter()
    matrices.nearest(asked.scope.digest, embedding, probe, most=5, floor=0.99)
    loaded = time.perf_counter() - began
    looked = _median_ms(lambda: matrices.nearest(asked.scope.digest, embedding, probe, most=5, floor=0.99), times=50)
    return {
        f"{MANY:,} entries in one scope, memory": resident_mb() - before,
        f"{MANY:,} entries in one scope, read for the first time": loaded,
        f"{MANY:,} entries in one scope, the nearest of them, p50": looked,
    }


def _median_ms(work: Callable[[], object], *, times: int) -> float:
    took = []
    for _time in range(times):
        began = time.perf_counter()
        work()
        took.append((time.perf_counter() - began) * 1000)
    return median(took)


def _hit(reply: Reply, tier: str) -> None:
    assert reply.tier == tier, reply.why


def _questions(count: int) -> list[str]:
    """Different ones, of the kinds that people ask."""

    def endless() -> Iterator[str]:
        known = [*_asked_in("questions.jsonl"), *_asked_in("own_questions.jsonl")]
        for number in itertools.count():
            yield from (f"{text} My order is {number}{place:04d}." if number else text for place, text in known)

    return [*itertools.islice(dict.fromkeys(itertools.islice(endless(), count * 2)), count)]


def _asked_in(name: str) -> Iterator[tuple[int, str]]:
    for place, line in enumerate((PAIRS / name).read_text(encoding="utf-8").splitlines()):
        yield place, str(json.loads(line)["a"])


def _vectors(texts: Sequence[str]) -> Any:
    model = meaning()
    return np.array([model.vector([{"role": "user", "content": text}]) for text in texts])


def _request(text: str, **context: Any) -> Any:
    return request(text, policy=SEMANTIC, streamed=False, **context)


def _asked(text: str, **context: Any) -> Asked:
    found = read(_request(text, **context), CachePolicy.of(SEMANTIC), Wishes.of({}))
    assert isinstance(found, Asked), found
    return found


def _keep(
    texts: Sequence[str], vectors: Any, scope_of: Asked | None = None, *, ids: Sequence[uuid.UUID] | None = None
) -> None:
    now, embedding = timezone.now(), meaning().embedding()
    scope = (scope_of or _asked(texts[0])).scope
    said = {"role": "assistant", "content": "Good.", "whole": True}
    rows = [
        CacheEntry(
            id=entry_id, scope=scope.digest, exact=uuid.uuid4().hex * 2, agent_id=AGENT,
            agent_version_id=VERSION, owner_id=scope.owner_id, target="openai:m", question=text,
            dialogue=[{"role": "user", "content": text}], answer={"message": said, "pieces": [said]},
            embedding=embedding, vector=vector.astype("<f4").tobytes(), answered_at=now,
            stale_at=now + timedelta(days=1), expires_at=now + timedelta(days=1),
        )
        for entry_id, text, vector in zip(ids or [new_id() for _text in texts], texts, vectors, strict=True)
    ]  # fmt: skip
    CacheEntry.objects.bulk_create(rows, batch_size=BATCH)
