"""What goes wrong in measurements of the gateway and of its peers: two deployments, one of them faulty all the time."""

from __future__ import annotations

from dataclasses import dataclass

from tests.upstream import faults
from tests.upstream.script import Behaviour, Fault

CALLS = 500
AT_A_TIME = 8
# For whom comments are as good as an answer.
LONGEST_STALL = 10.0
TEXT = "One two three four five six seven eight"
SOUND = Behaviour(text=TEXT, pause=0.001)


@dataclass(frozen=True, slots=True)
class Trouble:
    """A kind of trouble; `stream` says how it is asked; at a `closed` port nobody answers."""

    name: str
    fault: Fault | None = None
    stream: bool = False
    closed: bool = False

    def behaviour(self) -> Behaviour:
        """Of the faulty deployment."""
        return Behaviour(text=TEXT, pause=0.001, faults=(self.fault,) if self.fault else ())


# Nothing is wrong: what the others are compared with, by whether they stream.
CALM = {False: Trouble("nothing"), True: Trouble("nothing, streamed", stream=True)}
TROUBLES = (
    Trouble("429 storm", faults.rate_limited(1)),
    Trouble("503", faults.failing(503)),
    Trouble("refused connections", closed=True),
    Trouble("reset connections", faults.dropped()),
    Trouble("wrong JSON", faults.wrong_json()),
    Trouble("truncated answer", faults.truncated()),
    Trouble("slow first token", faults.slow(30), stream=True),
    Trouble("cut stream", faults.cut(after=2), stream=True),
    Trouble("stream without an end", faults.cut(after=2, reset=False), stream=True),
    Trouble("stalled stream", faults.stalled(after=2), stream=True),
    Trouble("stalled stream with comments", faults.stalled(after=2, pings=True, seconds=LONGEST_STALL), stream=True),
    Trouble("malformed chunk", faults.malformed(after=2), stream=True),
    Trouble("error inside a stream", faults.error_inside(after=2), stream=True),
)
