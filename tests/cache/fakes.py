"""What stands in for the provider and for the understanding of meaning."""

from __future__ import annotations

import uuid
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk

from agents.cache.answers import CachedAnswers
from agents.gateway.answers import Answered, CallNotes, ModelRequest, Provenance
from agents.gateway.data import CallContext

WIDTH = 256
USAGE: UsageMetadata = {"input_tokens": 7, "output_tokens": 2, "total_tokens": 9}
AGENT, VERSION, OWNER = uuid.UUID(int=1), uuid.UUID(int=2), uuid.UUID(int=3)


@dataclass(frozen=True)
class Verdict:
    score: float
    similarity: float
    blocked_by: str = ""
    evidence: Mapping[str, float | str] = field(default_factory=dict)


def words_of(said: Sequence[Mapping[str, str]]) -> list[str]:
    return " ".join(each["content"] for each in said).lower().replace("?", "").split()


class WordMeaning:
    """Conversations mean the same as far as they have the same words; a word “not” in one alone is blocked."""

    def embedding(self) -> str:
        return "words"

    def verifier(self) -> str:
        return "words-1"

    def kind(self, said: Sequence[Mapping[str, str]]) -> str:
        return "questions" if len(said) == 1 else "conversations"

    def threshold(self, error_target: float, kind: str) -> float:
        return 0.75

    def vector(self, said: Sequence[Mapping[str, str]]) -> Any:
        vector = np.zeros(WIDTH, np.float32)
        for word in words_of(said):
            vector[zlib.crc32(word.encode()) % WIDTH] += 1
        return vector / np.linalg.norm(vector)

    def prepared(self, said: Sequence[Mapping[str, str]], vector: Any) -> Any:
        return frozenset(words_of(said)), vector

    def compare(self, one: Any, other: Any) -> Verdict:
        cosine = float(one[1] @ other[1])
        if ("not" in one[0]) != ("not" in other[0]):
            return Verdict(0.0, cosine, "negation", {"negation": "not"})
        score = len(one[0] & other[0]) / len(one[0] | other[0])
        return Verdict(score, cosine, "", {"overlap": score})


def chunk(text: str, **more: Any) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=AIMessageChunk(content=text, **more))


def ending(reason: str = "stop") -> ChatGenerationChunk:
    message = AIMessageChunk(content="", usage_metadata=USAGE)
    return ChatGenerationChunk(message=message, generation_info={"finish_reason": reason})


@dataclass
class Provider:
    """Gives its `answers` one after the other, the last one for ever, and counts the `calls`."""

    answers: list[Any]
    calls: int = 0

    def __call__(self) -> Iterator[ChatGeneration]:
        self.calls += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        yield from answer() if callable(answer) else answer


def saying(*texts: str, reason: str = "stop") -> Callable[[], Iterator[ChatGeneration]]:
    def answer() -> Iterator[ChatGeneration]:
        yield from (chunk(text) for text in texts)
        yield ending(reason)

    return answer


def said_whole(text: str) -> Callable[[], Iterator[ChatGeneration]]:
    def answer() -> Iterator[ChatGeneration]:
        metadata = {"finish_reason": "stop"}
        yield ChatGeneration(message=AIMessage(content=text, usage_metadata=USAGE, response_metadata=metadata))

    return answer


def request(
    *messages: str | BaseMessage,
    options: Mapping[str, Any] | None = None,
    parameters: Mapping[str, Any] | None = None,
    streamed: bool = True,
    target: str = "openai:m",
    policy: Mapping[str, Any] | None = None,
    wishes: Mapping[str, Any] | None = None,
    look: Callable[[], None] | None = None,
    **context: Any,
) -> ModelRequest:
    fields = {"agent_id": AGENT, "agent_version_id": VERSION, "owner_id": OWNER} | context
    return ModelRequest(
        target=target,
        parameters=parameters or {},
        messages=[HumanMessage(each) if isinstance(each, str) else each for each in messages],
        options=options or {},
        streamed=streamed,
        context=CallContext(**fields, cache_policy=policy or {}, cache_wishes=wishes or {}),
        look=look,
    )


@dataclass
class Reply:
    """What a caller got."""

    generations: list[ChatGeneration]
    provenance: Provenance

    @property
    def texts(self) -> list[str]:
        return [str(each.message.text) for each in self.generations if each.message.text]

    @property
    def text(self) -> str:
        return "".join(self.texts)

    @property
    def tier(self) -> str:
        return self.provenance.tier

    @property
    def why(self) -> str:
        return self.provenance.why

    @property
    def shown(self) -> dict[str, Any]:
        """What the answer's metadata say of the cache."""
        found: dict[str, Any] = {}
        for each in self.generations:
            found |= each.message.response_metadata.get("mutirao_cache", {})
        return found


def ask(provider: Callable[[], Iterator[ChatGeneration]], asked: ModelRequest) -> Reply:
    """One call through the cache, to its end."""
    notes = CallNotes()

    def called() -> Iterator[ChatGeneration]:
        yield from provider()
        notes.answered = Answered(7, 2, Decimal("0.25"), 1234.0)

    generations = list(CachedAnswers().through(asked, called, notes))
    return Reply(generations, notes.provenance)
