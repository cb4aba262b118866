"""The W3C `traceparent` header: how a caller's trace goes on here (https://www.w3.org/TR/trace-context/)."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FORM = re.compile(r"^(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})")


@dataclass(frozen=True, slots=True)
class TraceParent:
    """The caller's trace and span, and whether the caller records it too."""

    trace_id: str
    span_id: str
    is_sampled: bool


def parse(header: str) -> TraceParent | None:
    """What the header says; None for one that is missing or not valid, as the specification asks."""
    found = _FORM.match(header.strip())
    if found is None or found["version"] == "ff" or not int(found["trace"], 16) or not int(found["span"], 16):
        return None
    rest = header.strip()[found.end() :]
    # Version 00 ends here; later ones may go on after a hyphen.
    if rest and (found["version"] == "00" or not rest.startswith("-")):
        return None
    return TraceParent(found["trace"], found["span"], bool(int(found["flags"], 16) & 1))
