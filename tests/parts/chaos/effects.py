"""What the steps of a task did to the world outside: one line each in a file that nothing guards.

A line is what a service would see of one call: the key that such a call carries (the same for the same step of the same
task, whichever attempt makes it), and by which attempt and process it came.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from agents.runtime.run import current_run

FILE = "effects.jsonl"
# How the steps begin that are calls of tools; the key that the other system sees follows.
ORDER = "order "


@dataclass(frozen=True, slots=True)
class Effect:
    """One step that was really made. `at` is in seconds of the monotonic clock, which all processes share."""

    task: str
    step: str
    fence: int
    pid: int
    at: float

    @property
    def key(self) -> str:
        """What a service would tell repetitions by."""
        return f"{self.task}:{self.step}"


def note(step: str) -> int:
    """Notes that the current run makes this step; gives the number of its attempt."""
    claim = current_run().claim
    effect = Effect(str(claim.task_id), step, claim.fence, os.getpid(), time.monotonic())
    line = json.dumps(asdict(effect)).encode() + b"\n"
    # One short write to the end of the file: lines of several processes do not mix, a killed one leaves whole lines.
    file = os.open(Path(os.environ["MUTIRAO_HOME"]) / FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, line)
    finally:
        os.close(file)
    return claim.fence


def read(home: Path) -> list[Effect]:
    """Everything so far, in the order in which it happened."""
    file = home / FILE
    return [Effect(**json.loads(line)) for line in file.read_text().splitlines()] if file.exists() else []
