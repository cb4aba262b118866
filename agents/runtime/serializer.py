"""LangGraph's serialiser, which reads what tables hold: kept from building anything that a row may name."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from agents.runtime.models import ENCODINGS


class PlainSerializer(JsonPlusSerializer):
    """LangGraph's serialiser without the encodings that build objects from names in the data."""

    def __init__(self) -> None:
        # None is strict: LangGraph's own list of plain types, whatever the environment says.
        super().__init__(pickle_fallback=False, allowed_json_modules=None, allowed_msgpack_modules=None)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        if data[0] not in ENCODINGS:
            message = f"Checkpoint encoding {data[0]!r} is refused."
            raise ValueError(message)
        return super().loads_typed(data)


PLAIN = PlainSerializer()


@lru_cache(maxsize=256)
def serializer_for(types: frozenset[tuple[str, ...]]) -> JsonPlusSerializer:
    """The serialiser that also builds these types (module, name)."""
    return PLAIN.with_msgpack_allowlist(types)
