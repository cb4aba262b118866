"""Making and changing schedules: what is refused, what is on record, what a file says of them."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.audit import SYSTEM, Actor
from accounts.models import AuditEvent, User
from agents.definitions.exceptions import UnknownAgent
from agents.definitions.services import create_agent, update_agent
from agents.schedules import services, validators
from agents.schedules.exceptions import InvalidSchedule, UnknownSchedule
from agents.schedules.models import Schedule, ScheduledRun
from agents.tasks.models import Task
from tests.schedules.conftest import MINUTE, Made, make_due

pytestmark = pytest.mark.django_db


def _verbs() -> list[str]:
    return [
        *AuditEvent.objects.filter(verb__startswith="schedule.").order_by("created_at").values_list("verb", flat=True)
    ]


@pytest.mark.parametrize(
    ("fields", "field", "sentence"),
    [
        ({"cron": "soon"}, "cron", "Five fields are expected"),
        ({"cron": "0 0 30 2 *"}, "cron", "Five fields are expected"),
        ({"cron": "", "every_seconds": None}, "cron", "and not both"),
        ({"cron": "0 8 * * *", "every_seconds": 60}, "cron", "and not both"),
        ({"every_seconds": 9}, "every_seconds", "from 10 seconds"),
        ({"every_seconds": 366 * 86400 + 1}, "every_seconds", "to 366 days"),
        ({"timezone": "Mars/Olympus"}, "timezone", "There is no time zone"),
        ({"input": "  "}, "input", "The input is empty."),
        ({"input": {"messages": []}}, "input", "at least one message"),
        ({"input": 3}, "input", "string or an object"),
        ({"input": "a\x00b"}, "input", "NUL"),
        ({"metadata": {"a": float("nan")}}, "metadata", "JSON does not know"),
        ({"metadata": []}, "metadata", "object"),
        ({"name": ""}, "name", "blank"),
        ({"name": "x" * 101}, "name", "at most 100"),
        ({"queue": "a b"}, "queue", "Letters, digits"),
        ({"priority": 9}, "priority", "not a valid choice"),
        ({"if_missed": "maybe"}, "if_missed", "not a valid choice"),
        ({"if_overlapping": "maybe"}, "if_overlapping", "not a valid choice"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(made: Made, fields: dict[str, Any], field: str, sentence: str) -> None:
    with pytest.raises(InvalidSchedule) as refused:
        made(**fields)
    assert [*refused.value.errors] == [field]
    assert sentence in refused.value.errors[field][0]
    assert (Schedule.objects.count(), _verbs()) == (0, [])


def test_everything_that_is_wrong_is_said_at_once(made: Made) -> None:
    with pytest.raises(InvalidSchedule) as refused:
        made(cron="soon", timezone="Mars/Olympus", input="", name="")
    assert {*refused.value.errors} == {"cron", "timezone", "input", "name"}


def test_an_end_before_the_beginning_and_an_end_that_leaves_nothing_are_refused(made: Made) -> None:
    now = timezone.now()
    for fields, sentence in (
        ({"starts_at": now + MINUTE, "ends_at": now}, "after the beginning"),
        ({"ends_at": now + MINUTE, "every_seconds": 3600}, "It would never run"),
        ({"starts_at": datetime(1, 1, 1, tzinfo=UTC)}, "starts_at: The year"),
        ({"ends_at": datetime(9999, 12, 31, 23, tzinfo=UTC)}, "ends_at: The year"),
    ):
        with pytest.raises(InvalidSchedule, match=sentence):
            made(**fields)


def test_an_agent_that_the_owner_may_not_use_is_no_agent(made: Made, outsider: User) -> None:
    create_agent(slug="hidden", is_enabled=False)
    for fields in ({"owner": outsider}, {"agent": "hidden"}, {"agent": "nobody"}):
        with pytest.raises(UnknownAgent):
            made(**fields)


def test_a_name_is_unique_among_the_schedules_of_its_owner(made: Made, operator: User) -> None:
    made(name="Nightly")
    made(name="Nightly", owner=operator)
    with pytest.raises(InvalidSchedule, match="of this name already"):
        made(name="Nightly")


def test_of_two_at_the_same_moment_the_second_is_told_the_same(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    made(name="Nightly")
    monkeypatch.setattr(validators, "check", lambda _schedule: None)
    with pytest.raises(InvalidSchedule, match="of this name already"):
        made(name="Nightly")


@pytest.mark.parametrize(
    "wrong",
    [
        {"cron": "0 8 * * *"},
        {"every_seconds": None},
        {"every_seconds": 1},
        {"if_missed": "no"},
        {"priority": 9},
        {"paused_at": "2026-01-01T00:00Z"},
        {"starts_at": "2026-01-02T00:00Z", "ends_at": "2026-01-01T00:00Z"},
    ],
)
def test_the_database_refuses_it_too(made: Made, wrong: dict[str, Any]) -> None:
    schedule = made()
    with pytest.raises(IntegrityError), transaction.atomic():
        Schedule.objects.filter(pk=schedule.pk).update(**wrong)


def test_every_verb_is_on_record_once(made: Made, member: User) -> None:
    actor = Actor(user_id=member.pk, name="member")
    schedule = made(actor=actor)
    services.update_schedule(schedule=schedule, actor=actor, name="Weekly")
    services.update_schedule(schedule=schedule, actor=actor, name="Weekly")
    for _ in range(2):
        services.pause_schedule(schedule=schedule, actor=actor)
    for _ in range(2):
        services.resume_schedule(schedule=schedule, actor=actor)
    services.run_now(schedule=schedule, actor=actor)
    services.delete_schedule(schedule=schedule, actor=actor)
    verbs = ["create", "update", "pause", "resume", "run", "delete"]
    assert _verbs() == [f"schedule.{verb}" for verb in verbs]
    assert {*AuditEvent.objects.filter(verb__startswith="schedule.").values_list("actor_id", flat=True)} == {member.pk}
    assert (Schedule.objects.count(), ScheduledRun.objects.count(), Task.objects.count()) == (0, 0, 1)


def test_a_new_time_counts_from_now_and_another_name_changes_no_time(made: Made) -> None:
    schedule = made()
    due = make_due(schedule, ago=-MINUTE / 2)
    renamed = services.update_schedule(schedule=schedule, actor=SYSTEM, name="Weekly", input="other")
    assert (renamed.next_run_at, renamed.input) == (due, "other")
    changed = services.update_schedule(schedule=schedule, actor=SYSTEM, cron="0 8 * * *", timezone="Europe/Berlin")
    assert (changed.every_seconds, changed.cron) == (None, "0 8 * * *")
    assert changed.next_run_at is not None
    assert changed.next_run_at.minute == 0
    back = services.update_schedule(schedule=schedule, actor=SYSTEM, every_seconds=600)
    assert (back.every_seconds, back.cron) == (600, "")
    assert back.next_run_at == due + 9 * MINUTE


def test_a_paused_schedule_that_is_changed_stays_paused(made: Made) -> None:
    schedule = made()
    services.pause_schedule(schedule=schedule, actor=SYSTEM)
    changed = services.update_schedule(schedule=schedule, actor=SYSTEM, every_seconds=600)
    assert (changed.next_run_at, changed.paused_at is None) == (None, False)
    assert len(services.next_runs(changed)) == 5


def test_what_somebody_has_deleted_meanwhile_is_told(made: Made) -> None:
    schedule = made()
    Schedule.objects.all().delete()
    for verb in (services.pause_schedule, services.resume_schedule, services.run_now, services.update_schedule):
        with pytest.raises(UnknownSchedule):
            verb(schedule=schedule, actor=SYSTEM)


def test_a_change_that_is_refused_changes_nothing(made: Made) -> None:
    schedule = made()
    with pytest.raises(InvalidSchedule):
        services.update_schedule(schedule=schedule, actor=SYSTEM, name="Weekly", timezone="Mars/Olympus")
    with pytest.raises(UnknownAgent):
        services.update_schedule(schedule=schedule, actor=SYSTEM, agent="nobody")
    assert Schedule.objects.get().name == schedule.name


def test_a_schedule_can_be_changed_although_its_agent_is_disabled(made: Made) -> None:
    schedule = made()
    update_agent(agent=schedule.agent, is_enabled=False)
    assert services.update_schedule(schedule=schedule, actor=SYSTEM, agent="helper", name="Later").name == "Later"


def test_old_runs_go_and_the_task_of_a_run_may_go_before_it(made: Made) -> None:
    schedule = made(if_overlapping="allow")
    for _ in range(2):
        make_due(schedule)
        services.tick()
    old = ScheduledRun.objects.order_by("due_at")[0]
    ScheduledRun.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=91))
    assert "runs of schedules: 1 deleted" in _run("prune")
    Task.objects.all().delete()
    assert [run.task_id for run in ScheduledRun.objects.all()] == [None]


def _run(command: str, *arguments: object, **options: Any) -> str:
    output = io.StringIO()
    call_command(command, *map(str, arguments), stdout=output, **options)
    return output.getvalue()


def test_a_file_makes_what_it_was_made_from(made: Made, tmp_path: Path) -> None:
    made(name="Weekly / report", cron="0 8 * * 1", timezone="America/Sao_Paulo", priority=2, metadata={"team": "post"})
    schedule = made(name="often", every_seconds=600, starts_at=timezone.now() + MINUTE, input={"question": "why?"})
    services.pause_schedule(schedule=schedule, actor=SYSTEM)
    file = tmp_path / "mutirao.yaml"
    _run("export", file)
    text = file.read_text()
    assert yaml.safe_load(text)["schedules"]["member/often"]["is_paused"] is True
    before = AuditEvent.objects.count()
    assert _run("apply", file) == "Nothing to change.\n"
    assert AuditEvent.objects.count() == before
    Schedule.objects.all().delete()
    _run("apply", file)
    assert _run("export", "-") == text
    assert Schedule.objects.get(name="often").next_run_at is None
    assert Schedule.objects.get(name="Weekly / report").next_run_at is not None


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("nobody/x: {agent: helper, input: hi, every_seconds: 60}", "There is no person “nobody”"),
        ("member: {agent: helper, input: hi, every_seconds: 60}", "schedules are named “owner/name”"),
        ("member/x: {input: hi, every_seconds: 60}", "“agent” is missing."),
        ("member/x: {agent: nobody, input: hi, every_seconds: 60}", "There is no agent “nobody”"),
        ("member/x: {agent: helper, input: hi, every_seconds: 1}", "every_seconds: The interval"),
        ("member/x: {agent: helper, input: hi, every_seconds: '60'}", "“every_seconds” has to be a whole number."),
        ("member/x: {agent: helper, input: hi, cron: 8}", "“cron” has to be text."),
        (
            "member/x: {agent: helper, input: hi, every_seconds: 60, starts_at: tomorrow}",
            "“starts_at” has to be a time",
        ),
        ("member/x: {agent: helper, input: hi, every_seconds: 60, starts_at: '2026-13-01T00:00Z'}", "has to be a time"),
        ("member/x: {agent: helper, input: hi, every_seconds: 60, ends_at: '2026-12-01T00:00'}", "with its zone"),
        ("member/x: {agent: helper, input: hi, every_seconds: 60, priority: urgent}", "The priority has to be"),
        ("member/x: {agent: helper, input: hi, every_seconds: 60, is_paused: 'no'}", "has to be true or false."),
    ],
)
def test_what_cannot_be_applied_is_one_sentence(made: Made, tmp_path: Path, entry: str, sentence: str) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(f"mutirao: 1\nschedules:\n  {entry}\n")
    User.objects.get_or_create(username="member")
    with pytest.raises(CommandError) as refused:
        _run("apply", file)
    assert sentence in str(refused.value)
    assert Schedule.objects.count() == 0
