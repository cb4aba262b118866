"""What is due is fired: once, with the owner's rights, by the policies of its schedule."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from prometheus_client import REGISTRY

from accounts.audit import SYSTEM
from accounts.limits import create_quota
from accounts.models import QuotaPeriod, User
from agents.definitions.models import Agent
from agents.definitions.services import update_agent
from agents.schedules import firing, planning
from agents.schedules.exceptions import Refused, ScheduleBusy
from agents.schedules.models import Schedule, ScheduledRun
from agents.schedules.services import next_runs, pause_schedule, resume_schedule, run_now, tick
from agents.tasks import storage
from agents.tasks.models import Task
from agents.tasks.services import claim, submit, succeed
from tests.schedules.conftest import MINUTE, QUEUE, Made, make_due, outcomes
from tests.tasks.threads import at_once

pytestmark = pytest.mark.django_db
ONCE, ALL, SKIP, QUEUED, ALLOW = "once", "all", "skip", "queue", "allow"


def _finish_one() -> Any:
    found = claim(queues=[QUEUE], worker="tests")
    if found is not None:
        succeed(claim=found, result={"text": "done"})
    return found


def _sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_what_is_due_becomes_a_task_of_its_owner_and_the_next_time_is_on_its_grid(
    made: Made, member: User, bells: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    schedule = made(input={"question": "how many?"}, priority=2, metadata={"team": "post"})
    due = make_due(schedule)
    with django_capture_on_commit_callbacks(execute=True):
        assert tick() == {"fired": 1}
    task = Task.objects.get()
    assert (task.owner, task.input, task.priority, task.queue) == (member, {"question": "how many?"}, 2, QUEUE)
    assert task.metadata["team"] == "post"
    assert task.metadata["schedule"] == str(schedule.pk)
    assert bells == [QUEUE]
    run = ScheduledRun.objects.get()
    assert (run.task, run.due_at, run.outcome, run.is_manual) == (task, due, "fired", False)
    schedule.refresh_from_db()
    assert schedule.next_run_at == due + MINUTE
    assert schedule.last_run_at == run.created_at
    assert tick() == {}
    assert Task.objects.count() == 1


def test_nothing_is_due_costs_one_query(made: Made, django_assert_num_queries: Any) -> None:
    for _ in range(3):
        made()
    with django_assert_num_queries(1):
        assert tick() == {}


def test_the_queue_of_the_schedule_comes_before_the_agents(made: Made) -> None:
    make_due(made(queue="nightly"))
    tick()
    assert Task.objects.get().queue == "nightly"


def test_the_end_of_a_schedule_is_the_last_time_that_is_due(made: Made) -> None:
    schedule = made()
    due = make_due(schedule)
    Schedule.objects.update(ends_at=due)
    assert tick() == {"fired": 1}
    schedule.refresh_from_db()
    assert schedule.is_over
    assert next_runs(schedule) == []


@pytest.mark.parametrize(
    ("if_missed", "missed", "fired"),
    # The last due time was two minutes and a half ago: nothing of it is late, all of it is missed.
    [
        (SKIP, [("skipped_missed", 8)], 0),
        (ONCE, [("skipped_missed", 7), ("fired", 1)], 1),
        (ALL, [("fired", 1)] * 8, 8),
    ],
)
def test_after_an_outage_the_policy_decides(
    made: Made, if_missed: str, missed: list[tuple[str, int]], fired: int
) -> None:
    schedule = made(every_seconds=300, if_missed=if_missed, if_overlapping=ALLOW)
    first = make_due(schedule, ago=timedelta(minutes=37, seconds=30))
    tick()
    assert outcomes(schedule) == missed
    assert Task.objects.count() == fired
    schedule.refresh_from_db()
    assert schedule.next_run_at == first + timedelta(minutes=40)


@pytest.mark.parametrize(("if_missed", "fired"), [(SKIP, 1), (ONCE, 1), (ALL, 4)])
def test_what_is_due_just_now_runs_whatever_was_missed_before_it(made: Made, if_missed: str, fired: int) -> None:
    schedule = made(if_missed=if_missed, if_overlapping=ALLOW)
    make_due(schedule, ago=3 * MINUTE + timedelta(seconds=10))
    tick()
    assert Task.objects.count() == fired
    assert sum(times for _outcome, times in outcomes(schedule)) == 4
    last = ScheduledRun.objects.order_by("-due_at").first()
    assert last is not None
    assert last.outcome == "fired"


def test_a_single_due_time_that_is_a_little_late_was_not_missed(made: Made) -> None:
    schedule = made(if_missed=SKIP)
    make_due(schedule, ago=timedelta(seconds=50))
    assert tick() == {"fired": 1}
    late = made(if_missed=SKIP, every_seconds=3600)
    make_due(late, ago=timedelta(seconds=70))
    assert tick() == {"skipped_missed": 1}


def test_all_is_bounded_and_the_rest_is_one_row(made: Made) -> None:
    schedule = made(every_seconds=10, if_missed=ALL, if_overlapping=ALLOW)
    first = make_due(schedule, ago=timedelta(seconds=10 * 250 + 5))
    assert tick() == {"skipped_missed": 151, "fired": 100}
    rows = ScheduledRun.objects.order_by("due_at")
    skipped = rows[0]
    assert (skipped.times, skipped.due_at) == (151, first)
    assert skipped.last_due_at == first + timedelta(seconds=1500)
    assert rows[1].due_at == first + timedelta(seconds=1510)
    assert rows.count() == 101


@pytest.mark.parametrize(("if_missed", "fired"), [(ALL, 3), (ONCE, 1)])
def test_an_outage_that_is_looked_at_in_pieces_ends_like_any_other(
    made: Made, monkeypatch: pytest.MonkeyPatch, if_missed: str, fired: int
) -> None:
    monkeypatch.setattr(planning, "MOST_AT_ONCE", 20)
    monkeypatch.setattr(planning, "MOST_CAUGHT_UP", 3)
    schedule = made(if_missed=if_missed, if_overlapping=ALLOW)
    first = make_due(schedule, ago=99 * MINUTE + timedelta(seconds=5))
    assert tick() == {"skipped_missed": 100 - fired, "fired": fired}
    runs = [*ScheduledRun.objects.order_by("due_at")]
    assert sum(run.times for run in runs) == 100
    assert all(later.due_at == earlier.last_due_at + MINUTE for earlier, later in pairwise(runs))
    assert [run.outcome for run in runs[-fired:]] == ["fired"] * fired
    schedule.refresh_from_db()
    assert schedule.next_run_at == first + 100 * MINUTE


def test_side_by_side(made: Made) -> None:
    schedule = made(if_overlapping=ALLOW)
    for expected in (1, 2):
        make_due(schedule)
        assert tick() == {"fired": 1}
        assert Task.objects.filter(status="queued", serial_key=None).count() == expected
    assert [claim(queues=[QUEUE], worker="tests") is not None for _ in range(3)] == [True, True, False]


def test_one_after_another(made: Made) -> None:
    schedule = made(if_overlapping=QUEUED)
    for _ in range(2):
        make_due(schedule)
        assert tick() == {"fired": 1}
    first = claim(queues=[QUEUE], worker="tests")
    assert first is not None
    assert claim(queues=[QUEUE], worker="tests") is None
    succeed(claim=first, result={})
    assert _finish_one() is not None
    assert Task.objects.filter(status="succeeded").count() == 2


def test_a_run_is_skipped_while_the_one_before_has_not_ended(made: Made) -> None:
    schedule = made(if_overlapping=SKIP)
    make_due(schedule)
    assert tick() == {"fired": 1}
    make_due(schedule)
    assert tick() == {"skipped_overlap": 1}
    running = claim(queues=[QUEUE], worker="tests")
    assert running is not None
    make_due(schedule)
    assert tick() == {"skipped_overlap": 1}
    succeed(claim=running, result={})
    make_due(schedule)
    assert tick() == {"fired": 1}
    # Another schedule has nothing to do with it.
    make_due(made(if_overlapping=SKIP))
    assert tick() == {"fired": 1}


def test_of_what_was_missed_too_only_one_runs_at_a_time_where_the_rest_is_skipped(made: Made) -> None:
    schedule = made(if_missed=ALL, if_overlapping=SKIP)
    make_due(schedule, ago=3 * MINUTE + timedelta(seconds=5))
    assert tick() == {"fired": 1, "skipped_overlap": 3}


def _deactivate(member: User) -> None:
    User.objects.filter(pk=member.pk).update(is_active=False)


def _disable(_member: User) -> None:
    update_agent(agent=Agent.objects.get(slug="helper"), is_enabled=False)


def _take_the_role(member: User) -> None:
    member.groups.clear()


def _break_the_input(_member: User) -> None:
    Schedule.objects.update(input=[])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_deactivate, "“member” is not active any more."),
        (_disable, "The agent “helper” is disabled, or “member” may not use it any more."),
        (_take_the_role, "The agent “helper” is disabled, or “member” may not use it any more."),
        (_break_the_input, "The input has to be a string or an object."),
    ],
)
def test_what_may_not_run_is_recorded_as_refused_and_the_schedule_goes_on(
    made: Made, member: User, change: Any, why: str
) -> None:
    schedule = made()
    due = make_due(schedule)
    change(member)
    assert tick() == {"refused": 1}
    assert Task.objects.count() == 0
    assert ScheduledRun.objects.get().reason == why
    schedule.refresh_from_db()
    assert (schedule.last_error, schedule.next_run_at) == (why, due + MINUTE)
    with pytest.raises(Refused, match=why[:12]):
        run_now(schedule=schedule, actor=SYSTEM)


def test_a_refusal_is_forgotten_with_the_next_run(made: Made, member: User) -> None:
    schedule = made()
    make_due(schedule)
    _deactivate(member)
    tick()
    User.objects.filter(pk=member.pk).update(is_active=True)
    make_due(schedule, ago=timedelta(milliseconds=500))
    assert tick() == {"fired": 1}
    schedule.refresh_from_db()
    assert schedule.last_error == ""


def test_a_run_that_a_quota_has_no_room_for_is_recorded_as_refused(made: Made, member: User, settings: Any) -> None:
    settings.TASK_SETTINGS_CACHE_SECONDS = 0
    create_quota(subject="user:member", unit="requests", period="month", amount=Decimal(1), actor=SYSTEM)
    first, second = made(), made()
    make_due(first)
    make_due(second)
    assert tick() == {"fired": 1, "refused": 1}
    refused = ScheduledRun.objects.get(outcome="refused")
    assert "user:member requests/month" in refused.reason
    assert (Task.objects.count(), int(QuotaPeriod.objects.get().spent)) == (1, 1)
    with pytest.raises(Refused, match="too little left"):
        run_now(schedule=second, actor=SYSTEM)


def test_a_refusal_half_way_leaves_nothing_but_its_record(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    from agents.tasks.exceptions import InvalidInput

    def half_way(**options: Any) -> Any:
        submit(**options)
        raise InvalidInput

    monkeypatch.setattr(firing, "submit", half_way)
    make_due(made())
    assert tick() == {"refused": 1}
    assert Task.objects.count() == 0


def test_a_schedule_that_breaks_does_not_hold_up_the_others(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    broken, fine = made(), made()
    make_due(broken, ago=MINUTE / 2)
    make_due(fine)
    Schedule.objects.filter(pk=broken.pk).update(timezone="Mars/Olympus", every_seconds=None, cron="* * * * *")
    assert tick() == {"fired": 1}
    assert Task.objects.get().metadata["schedule"] == str(fine.pk)
    broken.refresh_from_db()
    assert broken.last_error == "ZoneInfoNotFoundError"
    assert ScheduledRun.objects.filter(schedule=broken).count() == 0


def test_a_crash_before_the_commit_leaves_it_due_and_it_is_fired_once_later(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = made(if_overlapping=ALLOW)
    due = make_due(schedule)

    def crash(*_arguments: Any) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(firing, "_note", crash)
        assert tick() == {}
    assert (Task.objects.count(), ScheduledRun.objects.count()) == (0, 0)
    assert [tick(), tick()] == [{"fired": 1}, {}]
    assert ScheduledRun.objects.get().due_at == due
    assert Task.objects.count() == 1


def test_the_database_itself_refuses_a_second_run_of_a_due_time(made: Made) -> None:
    schedule = made(if_overlapping=ALLOW)
    due = make_due(schedule)
    tick()
    # As if the next due time had been written wrongly.
    Schedule.objects.filter(pk=schedule.pk).update(next_run_at=due)
    assert tick() == {}
    assert (Task.objects.count(), ScheduledRun.objects.count()) == (1, 1)
    with pytest.raises(IntegrityError), transaction.atomic():
        ScheduledRun.objects.create(schedule=schedule, due_at=due, last_due_at=due, outcome="fired")


@pytest.mark.django_db(transaction=True)
def test_any_number_of_workers_fire_fifty_schedules_once(made: Made) -> None:
    schedules = [made(if_overlapping=ALLOW) for _ in range(50)]
    due = {schedule.pk: make_due(schedule) for schedule in schedules}
    ticks = at_once(lambda _number: tick(), 8)
    assert sum((each["fired"] for each in ticks), 0) == 50
    assert Task.objects.count() == 50
    assert {run.schedule_id: run.due_at for run in ScheduledRun.objects.all()} == due
    assert len({run.task_id for run in ScheduledRun.objects.all()}) == 50
    assert not Schedule.objects.due().exists()


@pytest.mark.django_db(transaction=True)
def test_any_number_of_workers_catch_up_with_one_schedule_once(made: Made) -> None:
    schedule = made(if_missed=ALL, if_overlapping=ALLOW)
    make_due(schedule, ago=40 * MINUTE + timedelta(seconds=5))
    at_once(lambda _number: tick(), 8)
    assert Task.objects.count() == 41
    assert outcomes(schedule) == [("fired", 1)] * 41


def test_running_by_hand_is_no_due_time(made: Made) -> None:
    schedule = made(if_overlapping=ALLOW)
    before = schedule.next_run_at
    run = run_now(schedule=schedule, actor=SYSTEM)
    assert run.task is not None
    assert (run.is_manual, run.task.owner_id) == (True, schedule.owner_id)
    schedule.refresh_from_db()
    assert schedule.next_run_at == before
    run_now(schedule=schedule, actor=SYSTEM)
    assert Task.objects.count() == 2


def test_running_by_hand_obeys_the_overlap_policy_in_both_directions(made: Made) -> None:
    schedule = made(if_overlapping=SKIP)
    run_now(schedule=schedule, actor=SYSTEM)
    with pytest.raises(ScheduleBusy):
        run_now(schedule=schedule, actor=SYSTEM)
    make_due(schedule)
    assert tick() == {"skipped_overlap": 1}
    assert _finish_one() is not None
    assert run_now(schedule=schedule, actor=SYSTEM).outcome == "fired"


def test_a_paused_schedule_is_not_due_and_misses_nothing(made: Made) -> None:
    schedule = made(if_missed=ALL)
    make_due(schedule, ago=10 * MINUTE)
    paused = pause_schedule(schedule=schedule, actor=SYSTEM)
    assert (paused.next_run_at, paused.is_over) == (None, False)
    assert tick() == {}
    run_now(schedule=schedule, actor=SYSTEM)
    resumed = resume_schedule(schedule=schedule, actor=SYSTEM)
    assert resumed.next_run_at is not None
    assert resumed.next_run_at > storage.read_clock()
    assert tick() == {}
    assert ScheduledRun.objects.filter(is_manual=False).count() == 0


def test_what_happens_is_counted(made: Made) -> None:
    fired = _sample("mutirao_scheduled_runs_total", outcome="fired")
    missed = _sample("mutirao_scheduled_runs_total", outcome="skipped_missed")
    late = _sample("mutirao_schedule_lateness_seconds_sum", agent="helper")
    make_due(made(if_missed=ONCE), ago=2 * MINUTE + timedelta(seconds=5))
    tick()
    assert _sample("mutirao_scheduled_runs_total", outcome="fired") == fired + 1
    assert _sample("mutirao_scheduled_runs_total", outcome="skipped_missed") == missed + 2
    assert 5 <= _sample("mutirao_schedule_lateness_seconds_sum", agent="helper") - late < 30
