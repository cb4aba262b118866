"""What the scripted upstream is told to do: plain data that travels as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self

LATENCY_SECONDS = 0.02
# Any deployment that the script does not name.
OTHERS = "*"

Kind = Literal[
    "status", "page", "drop", "cut", "stall", "malformed", "error_inside", "slow", "wrong_json", "truncated",
    "no_choices", "filtered",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to go wrong; `tests/upstream/faults.py` makes them. It befalls this `share` of the requests."""

    kind: Kind
    share: float = 1.0
    # Of an answer that is an error.
    status: int = 500
    code: str | None = None
    retry_after: float | None = None
    as_date: bool = False
    # Of a stream: how many pieces go out before.
    after: int = 1
    # A TCP reset, or else an orderly end of the connection.
    reset: bool = True
    # Comments go out while nothing else does.
    pings: bool = False
    # How late, or how long.
    seconds: float = 0.0

    def of(self, share: float) -> Fault:
        """The same for another share of the requests."""
        return Fault(**(asdict(self) | {"share": share}))


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call in the answer."""

    name: str
    arguments: str = "{}"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How a deployment answers for so many `times` or `seconds` (from its first request on); without either, for ever.

    `text` goes out word by word, or `pieces` makes an answer of so many words. `latency` is seconds to the first byte,
    `pause` seconds between pieces. `holds_after` so many pieces it waits until it is released. Token counts that are
    None are counted. So many `thoughts` go out before the answer of a stream, in a field of that name; they are pieces
    too. Of the `faults` each request gets one at most, drawn by the script's seed.
    """

    text: str = "Good day, this is the scripted upstream."
    pieces: int | None = None
    latency: float = LATENCY_SECONDS
    pause: float = 0.0
    calls: tuple[Call, ...] = ()
    thoughts: int = 0
    thinks_in: str = "reasoning_content"
    prompt_tokens: int | None = None
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    holds_after: int | None = None
    faults: tuple[Fault, ...] = ()
    times: int | None = None
    seconds: float | None = None

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Self:
        """From JSON. Raises TypeError for what it does not know."""
        calls = tuple(Call(**each) for each in data.get("calls", ()))
        faults = tuple(Fault(**each) for each in data.get("faults", ()))
        return cls(**{**data, "calls": calls, "faults": faults})


@dataclass(frozen=True, slots=True)
class Script:
    """Deployment → behaviours, one after the other; the last one stays. A deployment is a model's name or a key."""

    deployments: Mapping[str, tuple[Behaviour, ...]]
    seed: int = 0

    @classmethod
    def of(cls, given: Mapping[str, Behaviour | Iterable[Behaviour]], *, seed: int = 0) -> Self:
        """Single behaviours may stand for a list of one."""
        return cls(
            {name: (each,) if isinstance(each, Behaviour) else tuple(each) for name, each in given.items()}, seed
        )

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Self:
        """From JSON."""
        found = {name: tuple(map(Behaviour.read, each)) for name, each in data["deployments"].items()}
        return cls(found, data.get("seed", 0))

    def written(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "seed": self.seed,
            "deployments": {name: [asdict(each) for each in many] for name, many in self.deployments.items()},
        }


@dataclass(slots=True)
class Counts:
    """What a deployment has seen. `completed` answers went out as scripted, faults included; the clients left before
    the end of the `abandoned` ones.
    """

    requests: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    completed: int = 0
    abandoned: int = 0
    faults: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))


@dataclass(frozen=True, slots=True)
class Heard:
    """A request as it arrived; `at` is the upstream's clock, in seconds; `fault` is the kind of what befell it."""

    deployment: str
    path: str
    at: float
    headers: Mapping[str, str]
    body: Any
    fault: str | None = None
