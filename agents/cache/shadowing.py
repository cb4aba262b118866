"""Looking again: a share of the semantic hits is asked anew, near misses are judged. Beside the calls, never before
their answers.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from typing import Final

import structlog
from django.conf import settings

from agents.cache import store
from agents.cache.learning import Seen, learn
from agents.cache.meaning import meaning
from agents.cache.models import CacheEntry, Trial
from agents.cache.observing import Compared, Rejected
from agents.definitions.cache_policy import CachePolicy
from agents.definitions.models import AgentVersion
from agents.gateway.exceptions import GatewayError
from agents.gateway.models import CacheWhy

logger = structlog.get_logger(__name__)

# Without a judge, answers that are as near as this say the same, and those that are farther than that do not.
SURELY_SAME: Final = 0.92
SURELY_OTHER: Final = 0.6
_NUMBER: Final = re.compile(r"\d+(?:[.,]\d+)*")


def look(compared: Compared) -> None:
    """Told of every comparison (`observing.on_compared`)."""
    policy = CachePolicy.of(compared.request.context.cache_policy)
    if compared.outcome == CacheWhy.HIT:
        share = settings.CACHE_SHADOW_SHARE if policy.shadow is None else policy.shadow
        if random.random() < share:  # noqa: S311 (a sample)
            _ask_again(compared, policy)
    elif compared.outcome == CacheWhy.NEAR_MISS:
        _judge(compared, policy)


def take_to_heart(rejected: Rejected) -> None:
    """Told of every answer that somebody has called wrong (`observing.on_rejected`). What was served once is learned
    once, however often it is said.
    """
    score = rejected.evidence.get("score")
    entry = CacheEntry.objects.filter(pk=rejected.entry_id).only("agent_id", "agent_version_id", "dialogue").first()
    if entry is None or not entry.dialogue or not isinstance(score, int | float):
        return
    said = Trial.objects.filter(entry_id=entry.pk, call_id=rejected.call_id, source=Trial.Source.FEEDBACK)
    if said.exists():
        return
    seen = Seen(
        agent_id=entry.agent_id, kind=meaning().kind(entry.dialogue), entry_id=entry.pk, score=float(score),
        is_right=False, source=Trial.Source.FEEDBACK, was_served=True, similarity=rejected.similarity,
        call_id=rejected.call_id,
    )  # fmt: skip
    learn(seen, error_target=_policy_of(entry).error_target)


def _policy_of(entry: CacheEntry) -> CachePolicy:
    version = AgentVersion.objects.filter(pk=entry.agent_version_id).first()
    return CachePolicy.of(version.cache if version is not None else {})


def _ask_again(compared: Compared, policy: CachePolicy) -> None:
    """The provider is asked what the cache has answered. It is on nobody's account but the agent's."""
    entry = CacheEntry.objects.filter(pk=compared.entry_id).first()
    if entry is None:
        return
    try:
        fresh = _fresh_answer(compared)
        is_right = None if fresh is None else _agree(compared, policy, _text_of(entry), fresh)
    except GatewayError as error:
        logger.info("shadow_not_asked", error=type(error).__name__)
        return
    if is_right is None:
        return
    _learn(compared, policy, is_right=is_right, source=Trial.Source.SHADOW)
    if not is_right:
        store.evict(CacheEntry.objects.filter(pk=entry.pk), CacheEntry.Evicted.DISPROVED)


def _fresh_answer(compared: Compared) -> str | None:
    """Its words; None for one that says nothing about the kept one: a call of a tool, or what would not be kept."""
    from langchain_core.outputs import ChatGeneration

    from agents.cache.keeping import why_not_kept
    from agents.cache.pieces import written
    from agents.cache.refreshing import ask_again

    message = ask_again(compared.request, {"use": "bypass"}, owner_id=None)
    if message.tool_calls or why_not_kept([written(ChatGeneration(message=message))]):
        return None
    return str(message.text)


def _agree(compared: Compared, policy: CachePolicy, kept: str, fresh: str) -> bool | None:
    """Whether two answers say the same; None where that is not clear."""
    if " ".join(kept.split()) == " ".join(fresh.split()):
        return True
    if judge := policy.judge or settings.CACHE_JUDGE:
        from agents.cache.judging import same_answers

        return same_answers(judge, compared.dialogue, kept, fresh, agent_id=compared.request.context.agent_id)
    return _near(kept, fresh)


def _near(kept: str, fresh: str) -> bool | None:
    from agents.gateway.embeddings import embed

    one, other = embed([kept, fresh])
    likeness = float(one @ other)
    if likeness < SURELY_OTHER:
        return False
    same_numbers = {*_NUMBER.findall(kept)} == {*_NUMBER.findall(fresh)}
    return True if likeness >= SURELY_SAME and same_numbers else None


def _judge(compared: Compared, policy: CachePolicy) -> None:
    """A near miss: were the question and the entry's the same after all?"""
    judge = policy.judge or settings.CACHE_JUDGE
    entry = CacheEntry.objects.filter(pk=compared.entry_id).first() if judge else None
    if entry is None:
        return
    from agents.cache.judging import serves_both

    try:
        said: Sequence[Mapping[str, str]] = entry.dialogue
        is_right = serves_both(judge, said, compared.dialogue, agent_id=entry.agent_id)
    except GatewayError as error:
        logger.info("near_miss_not_judged", error=type(error).__name__)
        return
    if is_right is not None:
        _learn(compared, policy, is_right=is_right, source=Trial.Source.JUDGE)


def _learn(compared: Compared, policy: CachePolicy, *, is_right: bool, source: Trial.Source) -> None:
    agent_id = compared.request.context.agent_id
    if agent_id is None:
        return
    seen = Seen(
        agent_id=agent_id, kind=meaning().kind(compared.dialogue), entry_id=compared.entry_id, score=compared.score,
        is_right=is_right, source=source, was_served=compared.outcome == CacheWhy.HIT, similarity=compared.similarity,
        call_id=compared.call_id,
    )  # fmt: skip
    learn(seen, error_target=policy.error_target)


def _text_of(entry: CacheEntry) -> str:
    from agents.cache.pieces import text_of

    return text_of(entry.answer["message"])
