"""What came of trying a deployment."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class TryResult:
    """`text` is the answer's beginning; `cost` None where no price is known; `error` a sentence or empty."""

    is_ok: bool
    latency_ms: float
    text: str
    input_tokens: int
    output_tokens: int
    cost: Decimal | None
    error_type: str
    error: str
