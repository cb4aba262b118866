"""The statements of the hot path: accept, claim, log, finish, renew.

SQL instead of the ORM because every request runs four of these: on PostgreSQL each is one statement, hence one
round trip and one transaction, and planned once per connection; on SQLite a short transaction that takes the write
lock at once. Both take the time from the database's clock, so that leases do not depend on how well the clocks of
workers agree.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import connection, models, transaction
from django.db.backends.utils import CursorWrapper
from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_aware, make_aware

from agents.tasks.models import Attempt, ConcurrencyLimit, Task, TaskEvent
from foundation.statements import hot_cursor

TASKS = Task._meta.db_table
ATTEMPTS = Attempt._meta.db_table
EVENTS = TaskEvent._meta.db_table
LIMITS = ConcurrencyLimit._meta.db_table

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Clock:
    """The database's clock in its own words."""

    now: str
    later: str

    def after(self, seconds: str) -> str:
        """The time in so many seconds (an SQL expression)."""
        return self.later.format(seconds=seconds)


POSTGRESQL_CLOCK = Clock("statement_timestamp()", "(statement_timestamp() + make_interval(secs => {seconds}))")
# %% because Django formats statements that have parameters. Text of this form compares as the times do.
SQLITE_CLOCK = Clock(
    "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now')",
    "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now', ({seconds}) || ' seconds')",
)


def clock() -> Clock:
    """The clock of the database in use."""
    return POSTGRESQL_CLOCK if is_postgresql() else SQLITE_CLOCK


def is_postgresql() -> bool:
    """Whether one statement can do it all."""
    return connection.vendor == "postgresql"


def one_transaction() -> AbstractContextManager[object]:
    """For several statements on SQLite; on PostgreSQL each operation is a single one and needs none."""
    return nullcontext() if is_postgresql() else transaction.atomic()


def key(task_id: uuid.UUID) -> Any:
    """A task's id as the database keeps it."""
    return task_id if is_postgresql() else task_id.hex


def read_time(value: Any) -> datetime:
    """A time from a raw row."""
    found = parse_datetime(value) if isinstance(value, str) else value
    assert isinstance(found, datetime)  # noqa: S101 (both databases give one of the two)
    return found if is_aware(found) else make_aware(found)


def read_json(value: Any) -> Any:
    """A JSON column from a raw row."""
    return json.loads(value) if isinstance(value, str) else value


def insert_task(task: Task, event: TaskEvent) -> bool:
    """Stores the row and its first event; False, having stored nothing, when its idempotency key is known."""
    columns, values = _columns(task)
    marks = ", ".join(["%s"] * len(values))
    insert = (
        f"INSERT INTO {TASKS} ({columns}) VALUES ({marks}) "
        "ON CONFLICT (owner_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING"
    )
    first = f"INSERT INTO {EVENTS} (task_id, number, fence, kind, data, created_at)"
    said = [event.number, event.fence, event.kind, json.dumps(event.data), _time(event.created_at)]
    if is_postgresql():
        statement = (
            f"WITH task AS ({insert} RETURNING id) {first} SELECT id, %s, %s, %s, %s::jsonb, %s FROM task RETURNING 1"
        )
        with hot_cursor(connection) as cursor:
            cursor.execute(statement, [*values, *said])
            return cursor.fetchone() is not None
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(insert, values)
        if cursor.rowcount != 1:
            return False
        cursor.execute(f"{first} VALUES (%s, %s, %s, %s, %s, %s)", [key(task.pk), *said])
        return True


def _columns(row: models.Model) -> tuple[str, list[Any]]:
    fields = row._meta.concrete_fields
    values = [field.get_db_prep_save(getattr(row, field.attname), connection) for field in fields]
    return ", ".join(str(field.column) for field in fields), values


def _time(value: datetime) -> Any:
    return connection.ops.adapt_datetimefield_value(value)


CLAIMED = (
    "id", "fence", "agent_version_id", "owner_id", "queue", "input", "serial_key", "limit_seconds", "limit_steps",
    "limit_tokens", "limit_cost", "run_deadline_at", "failures", "max_attempts", "trace_id", "request_id", "last_event",
    "input_tokens", "output_tokens", "cost", "agent_id", "api_key_id", "webhook_url", "resume_with",
    "is_metered", "cache",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Excluded:
    """Whose tasks have no free slot just now."""

    agents: tuple[uuid.UUID, ...] = ()
    owners: tuple[uuid.UUID, ...] = ()
    api_keys: tuple[uuid.UUID, ...] = ()

    def condition(self) -> tuple[str, list[Any]]:
        """The same about a row of tasks, and its parameters."""
        words, parameters = "", []
        for column, ids in (("agent_id", self.agents), ("owner_id", self.owners), ("api_key_id", self.api_keys)):
            if ids:
                marks = ", ".join(["%s"] * len(ids))
                words += f" AND ({column} IS NULL OR {column} NOT IN ({marks}))"
                parameters += [key(each) for each in ids]
        return words, parameters


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which tasks a worker takes. `excluded` is None where no limit is known: then nothing is claimed if there is one.

    `suspects`: those that may have killed a process, instead of all others.
    """

    queues: tuple[str, ...]
    suspects: bool = False
    excluded: Excluded | None = None


# The oldest of a serial key goes first, and none goes while another one of it has not come to its end. Two questions
# instead of one with OR, because each has a partial index that answers it.
_BEST_OF_QUEUE = f"""
 SELECT id, runs_before FROM {TASKS} candidate
 WHERE status = 'queued' AND dependencies_left = 0 AND queue = %s
 AND (not_before IS NULL OR not_before <= {{now}}) AND (start_by IS NULL OR start_by > {{now}}) {{which}}
 AND (serial_key IS NULL OR (
   NOT EXISTS (SELECT 1 FROM {TASKS} other WHERE other.serial_key = candidate.serial_key
     AND other.status IN ('running', 'waiting', 'needs_review'))
   AND NOT EXISTS (SELECT 1 FROM {TASKS} other WHERE other.serial_key = candidate.serial_key
     AND other.status = 'queued' AND (other.created_at, other.id) < (candidate.created_at, candidate.id))))
 ORDER BY runs_before, id LIMIT 1 {{lock}}
"""
_CLAIM = f"""
 UPDATE {TASKS} SET status = 'running', fence = fence + 1, last_event = last_event + 1,
 lease_expires_at = {{lease}}, run_deadline_at = {{deadline}}, started_at = COALESCE(started_at, {{now}}),
 start_by = NULL
"""
_RUNNING = json.dumps({"status": "running"})


def claim(*, wanted: Wanted, worker: str, celery_id: str, lease_seconds: float) -> dict[str, Any] | None:
    """Takes the best row that is wanted: its columns as CLAIMED names them, with `attempt_id` and `now`; or None."""
    time = clock()
    take = _CLAIM.format(
        lease=time.after("LEAST(%s, limit_seconds)" if is_postgresql() else "MIN(%s, limit_seconds)"),
        deadline=time.after("limit_seconds"),
        now=time.now,
    )
    claim_on = _claim_on_postgresql if is_postgresql() else _claim_on_sqlite
    claimable, parameters = _claimable(wanted)
    return claim_on(claimable, take, parameters, worker, celery_id, lease_seconds)


def _claimable(wanted: Wanted) -> tuple[str, list[Any]]:
    """The best row of these queues. Each queue gives its own best from the head of an index; with `queue IN (…)`
    the database would sort all that is queued.
    """
    which, parameters = ("AND is_suspect" if wanted.suspects else "AND NOT is_suspect"), list[Any]()
    if wanted.excluded is not None:
        condition, parameters = wanted.excluded.condition()
        which += condition
    lock = "FOR UPDATE SKIP LOCKED" if is_postgresql() else ""
    best = _BEST_OF_QUEUE.format(now=clock().now, lock=lock, which=which)
    each = " UNION ALL ".join(f"SELECT * FROM ({best}) best_{number}" for number in range(len(wanted.queues)))
    unless = f"WHERE NOT EXISTS (SELECT 1 FROM {LIMITS}) " if wanted.excluded is None else ""
    statement = f"SELECT id FROM ({each}) best_of_all {unless}ORDER BY runs_before, id LIMIT 1"
    return statement, [part for queue in wanted.queues for part in (queue, *parameters)]


def _claim_on_postgresql(
    claimable: str, take: str, parameters: Sequence[Any], worker: str, celery_id: str, lease_seconds: float
) -> dict[str, Any] | None:
    columns = ", ".join(f"claimed.{name}" for name in CLAIMED)
    statement = f"""
     WITH best AS ({claimable}),
     claimed AS ({take} FROM best WHERE {TASKS}.id = best.id AND {TASKS}.status = 'queued' RETURNING {TASKS}.*),
     attempt AS (
       INSERT INTO {ATTEMPTS} ({_ATTEMPT_COLUMNS})
       SELECT id, fence, %s, %s, statement_timestamp(), '', '', '', '', 0, 0, 0 FROM claimed RETURNING id),
     event AS (
       INSERT INTO {EVENTS} (task_id, number, fence, kind, data, created_at)
       SELECT id, last_event, fence, 'status', %s::jsonb, statement_timestamp() FROM claimed)
     SELECT {columns}, attempt.id, statement_timestamp() FROM claimed, attempt
    """
    with hot_cursor(connection) as cursor:
        cursor.execute(statement, [*parameters, lease_seconds, worker, celery_id, _RUNNING])
        return _claimed(cursor.fetchone())


def _claim_on_sqlite(
    claimable: str, take: str, parameters: Sequence[Any], worker: str, celery_id: str, lease_seconds: float
) -> dict[str, Any] | None:
    with hot_cursor(connection) as cursor:
        # A look without the write lock: most bells are rung for work that is already taken.
        cursor.execute(claimable, parameters)
        if cursor.fetchone() is None:
            return None
    with transaction.atomic(), connection.cursor() as cursor:
        columns = ", ".join(CLAIMED)
        cursor.execute(
            f"{take} WHERE id = ({claimable}) RETURNING {columns}, {SQLITE_CLOCK.now}", [lease_seconds, *parameters]
        )
        row = cursor.fetchone()
        if row is None:
            return None
        found = dict(zip(CLAIMED, row, strict=False))
        cursor.execute(
            f"INSERT INTO {ATTEMPTS} ({_ATTEMPT_COLUMNS}) VALUES (%s, %s, %s, %s, %s, '', '', '', '', 0, 0, 0)"
            " RETURNING id",
            [found["id"], found["fence"], worker, celery_id, row[-1]],
        )
        attempt = cursor.fetchone()
        _insert_events(cursor, found["id"], found["fence"], [(found["last_event"], "status", _RUNNING, row[-1])])
        return _claimed((*row[:-1], attempt[0], row[-1]))


_ATTEMPT_COLUMNS = (
    "task_id, fence, worker, celery_id, started_at, outcome, error_type, error_message, traceback, "
    "input_tokens, output_tokens, cost"
)


def _claimed(row: Row | None) -> dict[str, Any] | None:
    return None if row is None else dict(zip((*CLAIMED, "attempt_id", "now"), row, strict=True))


def renew(held: Sequence[tuple[uuid.UUID, int]], *, lease_seconds: float) -> list[tuple[uuid.UUID, bool]]:
    """Extends the leases, never past a run's deadline; the tasks still held, and whether each shall be cancelled."""
    time = clock()
    least = "LEAST" if is_postgresql() else "MIN"
    marks = ", ".join(["(%s, %s)"] * len(held))
    with hot_cursor(connection) as cursor:
        cursor.execute(
            f"UPDATE {TASKS} SET lease_expires_at = {least}({time.after('%s')}, run_deadline_at) "
            f"WHERE status = 'running' AND (id, fence) IN (VALUES {marks}) "
            # The column itself: SQLite 3.40 says that NULL IS NOT NULL in a RETURNING clause.
            "RETURNING id, cancel_requested_at",
            [lease_seconds, *(part for task_id, fence in held for part in (key(task_id), fence))],
        )
        return [(_uuid(row[0]), row[1] is not None) for row in cursor.fetchall()]


def _uuid(value: Any) -> uuid.UUID:
    return value if isinstance(value, uuid.UUID) else uuid.UUID(value)


NewRow = tuple[str, str, datetime]
"""Kind, data as JSON, time."""


def append_events(task_id: uuid.UUID, fence: int, rows: Sequence[NewRow]) -> int | None:
    """Numbers and stores the events; the last number, or None, having stored nothing, when the fence is not held."""
    hold = (
        f"UPDATE {TASKS} SET last_event = last_event + %s WHERE id = %s AND fence = %s AND status = 'running'"
        " RETURNING id, last_event, fence"
    )
    parameters = [len(rows), key(task_id), fence]
    if is_postgresql():
        with hot_cursor(connection) as cursor:
            cursor.execute(
                f"WITH held AS ({hold}), events AS ({_events_of('held', len(rows))}) SELECT last_event FROM held",
                [*parameters, len(rows), *_event_parameters(rows)],
            )
            found = cursor.fetchone()
            return int(found[0]) if found else None
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(hold, parameters)
        held = cursor.fetchone()
        if held is None:
            return None
        _number_events(cursor, held[0], fence, int(held[1]), rows)
        return int(held[1])


@dataclass(frozen=True, slots=True)
class End:
    """How an attempt ends: what changes in the task's row and in the attempt's (column → value).

    `only_if` are conditions on the task's row besides the fence: NOT_CANCELLED, CANCELLED, `lease_is_over()`.
    """

    task: dict[str, Any]
    attempt: dict[str, Any]
    only_if: tuple[str, ...] = ()


# Also evaluated again when the row was locked by somebody who has just made another task depend on it.
NO_DEPENDENTS = "NOT has_dependents"
NOT_CANCELLED = "cancel_requested_at IS NULL"
CANCELLED = "cancel_requested_at IS NOT NULL"


def lease_is_over() -> str:
    """Nobody has renewed it in time, or has done so since somebody else looked."""
    return f"lease_expires_at < {clock().now}"


def read_clock() -> datetime:
    """What time it is for the database."""
    if not is_postgresql():
        return datetime.now(UTC)
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        return read_time(cursor.fetchone()[0])


class Now:
    """Stands for the database's clock among the values of an End; with seconds, for so much later."""

    def __init__(self, after_seconds: float | None = None) -> None:
        self.after_seconds = after_seconds


class Plus:
    """Stands for: what the column holds, and so much more."""

    def __init__(self, amount: Any) -> None:
        self.amount = amount


def end_attempt(task_id: uuid.UUID, fence: int, end: End, rows: Sequence[NewRow]) -> tuple[int, datetime] | None:
    """Ends the running attempt and stores its last events.

    The number of the last event and the time; None, having changed nothing, when the fence is not held or a condition
    is not met.
    """
    changes, values = _assignments(end.task)
    attempt_changes, attempt_values = _assignments(end.attempt)
    leave = (
        f"UPDATE {TASKS} SET {changes}, lease_expires_at = NULL, run_deadline_at = NULL, last_event = last_event + %s "
        f"WHERE {' AND '.join(('id = %s', 'fence = %s', *end.only_if))} AND status = 'running' "
        f"RETURNING id, last_event, fence, {clock().now} AS ended_at"
    )
    parameters = [*values, len(rows), key(task_id), fence]
    if is_postgresql():
        statement = f"""
         WITH held AS ({leave}),
         attempt AS (UPDATE {ATTEMPTS} SET {attempt_changes} FROM held
           WHERE {ATTEMPTS}.task_id = held.id AND {ATTEMPTS}.fence = held.fence),
         events AS ({_events_of("held", len(rows))})
         SELECT last_event, ended_at FROM held
        """
        with hot_cursor(connection) as cursor:
            cursor.execute(statement, [*parameters, *attempt_values, len(rows), *_event_parameters(rows)])
            found = cursor.fetchone()
            return (int(found[0]), read_time(found[1])) if found else None
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(leave, parameters)
        held = cursor.fetchone()
        if held is None:
            return None
        cursor.execute(
            f"UPDATE {ATTEMPTS} SET {attempt_changes} WHERE task_id = %s AND fence = %s",
            [*attempt_values, held[0], fence],
        )
        _number_events(cursor, held[0], fence, int(held[1]), rows)
        return int(held[1]), read_time(held[3])


def _assignments(changes: dict[str, Any]) -> tuple[str, list[Any]]:
    parts: list[str] = []
    values: list[Any] = []
    for column, value in changes.items():
        expression, parameters = _expression(column, value)
        parts.append(f"{column} = {expression}")
        values += parameters
    return ", ".join(parts), values


def _expression(column: str, value: Any) -> tuple[str, list[Any]]:
    if isinstance(value, Now):
        return (clock().now, []) if value.after_seconds is None else (clock().after("%s"), [value.after_seconds])
    if isinstance(value, Plus):
        return f"{column} + %s", [_plain(value.amount)]
    if column == "result":
        return ("%s::jsonb" if is_postgresql() else "%s"), [json.dumps(value)]
    return "%s", [_plain(value)]


def _plain(value: Any) -> Any:
    """Decimals as SQLite keeps them; the rest as it is."""
    if is_postgresql() or not hasattr(value, "as_tuple"):
        return value
    return str(value)


def _events_of(source: str, count: int) -> str:
    if count == 0:
        return "SELECT 1 WHERE %s > 0"
    values = ", ".join(["(%s::int, %s, %s::jsonb, %s::timestamptz)"] * count)
    return (
        f"INSERT INTO {EVENTS} (task_id, number, fence, kind, data, created_at) "
        f"SELECT {source}.id, {source}.last_event - %s + new.n, {source}.fence, new.kind, new.data, new.at "
        f"FROM {source}, (VALUES {values}) AS new (n, kind, data, at)"
    )


def _event_parameters(rows: Sequence[NewRow]) -> list[Any]:
    return [part for n, (kind, data, at) in enumerate(rows, start=1) for part in (n, kind, data, at)]


def _number_events(cursor: CursorWrapper, task_id: Any, fence: int, last: int, rows: Sequence[NewRow]) -> None:
    first = last - len(rows) + 1
    _insert_events(
        cursor, task_id, fence, [(first + n, kind, data, _time(at)) for n, (kind, data, at) in enumerate(rows)]
    )


def _insert_events(cursor: CursorWrapper, task_id: Any, fence: int, rows: Sequence[Row]) -> None:
    cursor.executemany(
        f"INSERT INTO {EVENTS} (task_id, fence, number, kind, data, created_at) VALUES (%s, %s, %s, %s, %s, %s)",
        [(task_id, fence, *row) for row in rows],
    )
