"""What became of the tasks of a fleet: was everything that was accepted done, and done once?"""

from __future__ import annotations

import json
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.parts.chaos.effects import Effect

if TYPE_CHECKING:
    from tests.chaos.harness import Fleet

TERMINAL = ("succeeded", "failed", "cancelled")


@dataclass(frozen=True)
class Audit:
    """What became of some tasks: their rows, the rows of their attempts and logs, and what their steps did outside."""

    tasks: dict[str, dict[str, Any]]
    attempts: dict[str, list[tuple[int, str]]]
    events: dict[str, list[tuple[int, int, str, str]]]
    effects: dict[str, list[Effect]]
    wanted: set[str]

    @classmethod
    def of(cls, fleet: Fleet, tasks: Sequence[str]) -> Audit:
        """Reads them."""
        wanted = set(tasks)
        columns = ("status", "fence", "failures", "crashes", "last_event", "result", "error_type")
        tasks_of = f"SELECT id, {', '.join(columns)} FROM agents_tasks_task"  # noqa: S608 (names of our own)
        rows = _by_task(fleet.rows(tasks_of), wanted)
        attempts = "SELECT task_id, fence, outcome FROM agents_tasks_attempt ORDER BY id"
        events = "SELECT task_id, number, fence, kind, data FROM agents_tasks_taskevent ORDER BY number"
        done: dict[str, list[Effect]] = defaultdict(list)
        for effect in fleet.effects():
            if effect.task in wanted:
                done[effect.task].append(effect)
        return cls(
            tasks={task: dict(zip(columns, found[0], strict=True)) for task, found in rows.items()},
            attempts=_by_task(fleet.rows(attempts), wanted),
            events=_by_task(fleet.rows(events), wanted),
            effects=done,
            wanted=wanted,
        )

    @property
    def lost(self) -> set[str]:
        """Accepted, and not done: there is no row, or it has not succeeded."""
        return {task for task in self.wanted if self.tasks.get(task, {}).get("status") != "succeeded"}

    @property
    def doubled(self) -> set[str]:
        """Ended more than once, or written to by an attempt after the next one had begun."""
        return {task for task in self.wanted if self._ends(task) > 1 or self._is_mixed(task)}

    def _ends(self, task: str) -> int:
        """How often the end was written: what hangs on it (answers, releases, accounts) happened so often."""
        events = [_json(data)["status"] in TERMINAL for _, _, kind, data in self.events[task] if kind == "status"]
        succeeded = [outcome for _, outcome in self.attempts[task] if outcome == "succeeded"]
        return max(sum(events), len(succeeded))

    def _is_mixed(self, task: str) -> bool:
        fences = [fence for _, fence, _, _ in self.events[task]]
        return fences != sorted(fences)

    @property
    def more_than_once_begun(self) -> set[str]:
        """Tasks of more than one attempt: what the failures have really hit."""
        return {task for task, attempts in self.attempts.items() if len(attempts) > 1}

    def outcomes(self) -> Counter[str]:
        """How the attempts ended."""
        return Counter(outcome for attempts in self.attempts.values() for _, outcome in attempts)

    def assert_done_once(self, steps: Sequence[str]) -> None:
        """Nothing lost, nothing doubled, the right result, a log without holes, and every step made outside too."""
        assert self.lost == set(), [self.tasks.get(task) for task in self.lost][:5]
        assert self.doubled == set(), [(self.attempts[task], self.events[task]) for task in self.doubled][:3]
        for task, row in self.tasks.items():
            assert sorted(_json(row["result"])["steps"]) == sorted(steps), row
            assert [number for number, *_ in self.events[task]] == [*range(1, row["last_event"] + 1)]
            assert [fence for fence, outcome in self.attempts[task] if outcome == "succeeded"] == [row["fence"]]
            # A service that counts by key has seen each step once; an attempt makes a step once.
            made = [(effect.key, effect.fence) for effect in self.effects[task]]
            assert len(set(made)) == len(made), made
            assert {effect.key for effect in self.effects[task]} == {f"{task}:{step}" for step in steps}


def _by_task(rows: Iterable[tuple[Any, ...]], wanted: set[str]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = defaultdict(list)
    for task_id, *rest in rows:
        if (task := str(uuid.UUID(str(task_id)))) in wanted:
            found[task].append(tuple(rest))
    return found


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value
