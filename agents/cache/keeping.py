"""Which answers are kept, and how."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from typing import Any, Final

from django.conf import settings

from agents.cache import pieces as said
from agents.cache import store, tags
from agents.cache.pieces import Piece
from agents.cache.reading import Asked
from agents.cache.targets import models_of
from agents.gateway.answers import Answered
from agents.gateway.building import OPENAI
from agents.gateway.providers import LOCAL

# How providers say that an answer has come to its own end. What is not known here is taken for another end.
WHOLE: Final = frozenset({
    "stop", "end_turn", "stop_sequence", "tool_calls", "tool_use", "function_call", "complete", "completed", "eos",
    "load",
})  # fmt: skip
# `status` is that of OpenAI's Responses.
_REASONS: Final = ("finish_reason", "stop_reason", "stopReason", "done_reason", "status")


def why_not_kept(pieces: Sequence[Piece]) -> str:
    """`empty`, `truncated` (or refused: anything but its own end), `refused`, `malformed`, `large`; else empty."""
    if not pieces or not any(said.text_of(piece).strip() or piece.get("calls") for piece in pieces):
        return "empty"
    if any(reason.lower() not in WHOLE for piece in pieces for reason in _reasons(piece)):
        return "truncated"
    if any(_is_refusal(piece) for piece in pieces):
        return "refused"
    if sum(len(json.dumps(piece)) for piece in pieces) > store.LARGEST_ANSWER:
        return "large"
    return "" if _is_well_formed(said.whole(pieces), pieces) else "malformed"


def _reasons(piece: Piece) -> Iterator[str]:
    for place in (piece.get("metadata", {}), piece.get("info", {})):
        for name in _REASONS:
            if isinstance(place.get(name), str) and place[name]:
                yield place[name]


def _has_ended(pieces: Sequence[Piece]) -> bool:
    """Whether somebody says that there is no more to come: the provider by a reason, or its client by a mark. Without,
    a stream may have been cut where nobody saw it; what comes in one cannot be.
    """
    return any(piece.get("whole") or piece.get("last") or any(_reasons(piece)) for piece in pieces)


def _is_held_to_its_end(target: str) -> bool:
    """Whether the gateway itself refuses a stream that has not come to its end: one in OpenAI's protocol, where not all
    servers give a reason; the local model's come over it too.
    """
    behind = {provider for provider, *_more in models_of(target)}
    return (behind or {target.partition(":")[0]}) <= {OPENAI, LOCAL}


def _is_refusal(piece: Piece) -> bool:
    if piece.get("more", {}).get("refusal"):
        return True
    content = piece["content"]
    parts = content if isinstance(content, list) else ()
    return any(isinstance(part, dict) and "refusal" in (part.get("type"), *part) for part in parts)


def _is_well_formed(whole: Piece, pieces: Sequence[Piece]) -> bool:
    """Whether what was called in pieces came together as calls, with arguments that can be read."""
    arguments: dict[Any, str] = {}
    for piece in pieces:
        for number, call in enumerate(piece.get("calls", ())):
            if not isinstance(call["args"], dict):
                place = call.get("index", number)
                arguments[place] = arguments.get(place, "") + (call["args"] or "")
    return all(_is_json(text) for text in arguments.values()) and len(whole.get("calls", ())) >= len(arguments)


def _is_json(text: str) -> bool:
    try:
        json.loads(text or "{}")
    except ValueError:
        return False
    return True


def keep(
    asked: Asked, pieces: Sequence[Piece], answered: Answered | None, meant: tuple[str, bytes] | None
) -> uuid.UUID:
    """Keeps the answer; gives the entry's id. `meant` is the embedding's name and the request's vector.

    Raises NotKept.
    """
    counted = said.since_restart(pieces)
    if why := why_not_kept(counted):
        raise NotKept(why)
    if not (_has_ended(counted) or _is_held_to_its_end(asked.request.target)):
        raise NotKept("truncated")
    row = store.keep(_entry(asked, counted, answered, meant))
    if row is None:
        raise NotKept("raced")
    return row.pk


class NotKept(Exception):
    """The answer is not one to be given again."""


def _entry(
    asked: Asked, pieces: Sequence[Piece], answered: Answered | None, meant: tuple[str, bytes] | None
) -> store.NewEntry:
    context, policy, scope = asked.request.context, asked.policy, asked.scope
    assert context.agent_id is not None  # noqa: S101 (reading.why_not has seen to it)
    assert context.agent_version_id is not None  # noqa: S101 (the same)
    whole = said.whole(pieces)
    is_exact_only = bool(whole.get("calls")) or not asked.dialogue
    told = said.usage_of(pieces)
    embedding, vector = meant if meant and not is_exact_only else ("", None)
    return store.NewEntry(
        scope=scope.digest,
        exact=scope.exact,
        agent_id=context.agent_id,
        agent_version_id=context.agent_version_id,
        owner_id=scope.owner_id,
        asked_by_id=context.owner_id,
        task_id=context.task_id,
        target=asked.request.target[:200],
        epoch=scope.epoch,
        question=asked.question,
        dialogue=[] if is_exact_only else [*asked.dialogue],
        answer=_answer(whole, pieces),
        is_exact_only=is_exact_only,
        embedding=embedding,
        vector=vector,
        input_tokens=answered.input_tokens if answered else told[0],
        output_tokens=answered.output_tokens if answered else told[1],
        cost=answered.cost if answered else None,
        latency_ms=answered.latency_ms if answered else 0.0,
        ttl=settings.CACHE_TTL_SECONDS if policy.ttl is None else policy.ttl,
        stale=settings.CACHE_STALE_SECONDS if policy.stale is None else policy.stale,
        tags=tags.of(policy),
    )


def _answer(whole: Piece, pieces: Sequence[Piece]) -> dict[str, Any]:
    found: dict[str, Any] = _storable({"message": whole, "pieces": said.fewer(pieces)})
    return found


def _storable(value: Any) -> Any:
    """JSON that every database can store: PostgreSQL has no NUL characters and no halves of pairs."""
    if isinstance(value, str):
        return value.replace("\x00", "").encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, dict):
        return {_storable(name): _storable(item) for name, item in value.items()}
    return value
