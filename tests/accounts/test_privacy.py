"""A person's data can be taken away, and erased so that nothing but what accounting needs is left."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.apps import apps
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import Count, Sum
from django.db.models.functions import TruncDay
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_celery_results.models import TaskResult
from guardian.shortcuts import assign_perm
from rest_framework_simplejwt.tokens import RefreshToken

from accounts import audit, erasing, personal_data
from accounts.audit import Actor
from accounts.erasing import LastAdministrator, StillRunning, erase_person
from accounts.models import ApiKey, ApiSession, AuditEvent, User
from accounts.privacy import holdings
from accounts.services import change_profile, issue_api_key
from accounts.verifying import verify
from agents.definitions.models import Agent
from agents.definitions.services import create_agent
from agents.gateway.models import ModelCall
from agents.memory.models import Conversation, Message
from agents.memory.services import post_message, start_conversation
from agents.runtime.models import Checkpoint, CheckpointWrite
from agents.schedules.models import Schedule, ScheduledRun
from agents.schedules.services import create_schedule
from agents.tasks import services as tasks
from agents.tasks.data import NOTHING, Failure, NewEvent, Usage
from agents.tasks.models import Status, Task, TaskEvent
from agents.tools.approvals import decide
from agents.tools.models import ToolCall
from agents.webhooks.models import Delivery, DeliveryAttempt, Endpoint, TaskSecret
from agents.webhooks.signing import new_secret
from telemetry.models import Span
from tests.api.conftest import approval_of

CANARIES = [f"canary{number}x{number * 7919}" for number in range(10)]
QUEUE = "privacy"


def _dump() -> str:
    """Every table as text, bytes among it."""
    texts: list[str] = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608 (names of our own tables)
            for row in cursor.fetchall():
                texts += [
                    bytes(value).decode("utf-8", "replace") if isinstance(value, bytes | memoryview) else str(value)
                    for value in row
                ]
    return "\n".join(sorted(texts))


def _canaries_in(text: str) -> list[str]:
    return [canary for canary in CANARIES if canary in text.lower()]


def _totals() -> list[dict[str, Any]]:
    """What accounting asks: by person, agent and day."""
    by_task = Task.objects.annotate(day=TruncDay("created_at")).values("owner_id", "agent_id", "day")
    by_call = ModelCall.objects.annotate(day=TruncDay("started_at")).values("owner_id", "agent_version_id", "day")
    sums = {"calls": Count("pk"), "tokens": Sum("input_tokens"), "more": Sum("output_tokens"), "money": Sum("cost")}
    tasks_spent: list[Any] = [*by_task.annotate(**sums).order_by("owner_id", "agent_id", "day")]
    return [*tasks_spent, *by_call.annotate(**sums).order_by("owner_id", "day")]


@pytest.fixture
def agent(db: None) -> Agent:
    return create_agent(slug="helper", queue=QUEUE, model="scripted:echo")


@pytest.fixture
def person(agent: Agent, member: User, operator: User, admin: User) -> User:
    """Has touched everything, and left a canary everywhere."""
    one, two, three, four, five, six, seven, eight, nine, ten = CANARIES
    user = User.objects.create_user(username=one, email=f"{two}@example.org", password="a-password-12", last_name=three)
    user.groups.set(member.groups.all())
    assign_perm("agents_definitions.use_agent", user, agent)
    mine = Actor(user.pk, user.username, "192.0.2.77", four)
    change_profile(user=user, values={"first_name": five}, actor=mine)
    key = issue_api_key(owner=user, name=six, actor=mine).row
    audit.record(verb="api_key.revoke", actor=Actor(admin.pk, "admin"), subject=key)
    audit.record(verb="auth.sign_in", actor=Actor(None, one.upper(), "192.0.2.77"), outcome="denied")
    audit.record(verb="auth.sign_in", actor=Actor(None, f"{two}@example.org"), outcome="denied")
    UserSession.objects.create(user=user, ip="192.0.2.77", user_agent=seven, session_key="s" * 32)
    ApiSession.objects.create(user=user, user_agent=seven, expires_at=timezone.now() + timedelta(days=1))
    Authenticator.objects.create(user=user, type="totp", data={"secret": "sealed"})
    RefreshToken.for_user(user)
    kind = ContentType.objects.get_for_model(User)
    for who in (user, admin):
        LogEntry.objects.create(
            user=who, content_type=kind, object_id=str(user.pk), object_repr=one, action_flag=CHANGE,
            change_message=eight,
        )  # fmt: skip
    _work(user, agent, operator, nine, ten)
    return user


def _work(user: User, agent: Agent, operator: User, nine: str, ten: str) -> None:
    conversation = start_conversation(owner=user, agent=agent)
    Conversation.objects.filter(pk=conversation.pk).update(title=nine)
    post_message(conversation=conversation, text=f"I am {ten}", owner=user)
    options = {
        "metadata": {"for": nine},
        "idempotency_key": nine,
        "request_id": nine,
        "webhook_url": f"https://8.8.8.8/{nine}",
    }
    done = tasks.submit(owner=user, agent=agent, input=f"about {ten}", **options).task  # type: ignore[arg-type]
    Task.objects.filter(pk=done.pk).update(trace_id="a" * 32)
    for _number in range(2):
        claim = tasks.claim(queues=[QUEUE], worker="worker-1", celery_id=f"celery-{_number}")
        assert claim is not None
        event = NewEvent(TaskEvent.Kind.MESSAGE, {"text": nine}, timezone.now())
        tasks.append_events(claim, [event])
        _leave_behind(claim.task_id, user, nine)
        usage = Usage(input_tokens=7, output_tokens=5)
        if _number:
            tasks.fail(claim=claim, failure=Failure("ValueError", nine, traceback=ten, retryable=False), usage=usage)
        else:
            tasks.succeed(claim=claim, result={"text": ten}, usage=usage)
    TaskResult.objects.create(task_id="celery-1", traceback=ten)
    decided = approval_of(Task.objects.get(pk=done.pk), description=nine)
    ToolCall.objects.update(arguments={"to": nine}, result=json.dumps(ten), error=nine)
    type(decided).objects.filter(pk=decided.pk).update(
        arguments={"to": nine}, edited_arguments={"to": ten}, state="edited", decided_at=timezone.now(), reason=nine,
        decided_by=operator,
    )  # fmt: skip
    waiting = tasks.submit(owner=operator, agent=agent, input="of somebody else").task
    decide(approval=approval_of(waiting), decision="refuse", user=user, actor=Actor(user.pk, user.username), reason=ten)
    schedule = create_schedule(
        owner=user, actor=Actor(operator.pk, "operator"), name=nine, agent="helper", input=ten, cron="0 3 * * *"
    )
    ScheduledRun.objects.create(
        schedule=schedule, due_at=timezone.now(), last_due_at=timezone.now(), outcome="refused", reason=ten
    )
    endpoint = Endpoint.objects.create(owner=user, url=f"https://8.8.8.8/{nine}", description=ten, secret=new_secret())
    TaskSecret.objects.create(owner=user, secret=new_secret())
    audit.record(verb="webhook.register", actor=Actor(operator.pk, "operator"), subject=endpoint)
    delivery = Delivery.objects.create(
        owner=user, endpoint=endpoint, url=endpoint.url, host="8.8.8.8", body=ten, event="webhook.test"
    )
    DeliveryAttempt.objects.create(delivery=delivery, number=1, started_at=timezone.now(), duration_ms=1, excerpt=nine)


def _leave_behind(task_id: Any, user: User, text: str) -> None:
    """What runs leave in the rooms above."""
    owner = {"task_id": task_id, "fence": 1, "owner_id": user.pk}
    ModelCall.objects.create(
        **owner, provider="scripted", model="echo", started_at=timezone.now(), latency_ms=1, outcome="failed",
        error_message=text, input_tokens=7, output_tokens=5, cost="0.25",
    )  # fmt: skip
    trace_id = f"{ModelCall.objects.count():032}"
    for trace in (trace_id, "a" * 32):
        Span.objects.create(
            trace_id=trace, span_id=f"{Span.objects.count():016}", task_id=task_id if trace == trace_id else None,
            kind="tool", name="tool", started_at=timezone.now(), duration_ms=1, attributes={"request_id": text},
        )  # fmt: skip
    thread = {"thread_id": str(task_id), "checkpoint_id": "1", "encoding": "msgpack"}
    Checkpoint.objects.create(**thread, state=text.encode(), metadata={"input": text})
    CheckpointWrite.objects.create(**thread, node_id="1", position=0, channel="x", value=text.encode())


def _erase(user: User, **options: Any) -> erasing.Erased:
    user.refresh_from_db()
    return erase_person(user=user, actor=audit.SYSTEM, patience=0, **options)


@pytest.mark.django_db
def test_the_canaries_are_really_planted(person: User) -> None:
    assert _canaries_in(_dump()) == CANARIES


@pytest.mark.django_db
def test_nothing_of_an_erased_person_is_left_but_what_accounting_needs(person: User, operator: User) -> None:
    before, others = _totals(), Task.objects.filter(owner=operator).count()
    erased = _erase(person)
    assert _canaries_in(_dump()) == []
    assert _totals() == before
    assert sum(total["tokens"] or 0 for total in before) > 0
    assert Task.objects.filter(owner=operator).count() == others == 1
    person.refresh_from_db()
    assert (person.username, person.is_active, person.has_usable_password()) == (erased.name, False, False)
    assert person.erased_at is not None
    assert erased.events > 5
    gone = (Conversation, Message, Schedule, ScheduledRun, Endpoint, Delivery, DeliveryAttempt, TaskSecret, Span)
    gone += (UserSession, ApiSession, Authenticator, Checkpoint, CheckpointWrite, TaskResult)  # type: ignore[assignment]
    assert [model.objects.count() for model in gone] == [0] * len(gone)
    assert not person.groups.exists()
    assert {task.status for task in Task.objects.filter(owner=person)} <= {*Status.values} - {"queued", "running"}
    assert all(key.revoked_at and not key.digest for key in ApiKey.objects.filter(owner=person))


@pytest.mark.django_db
def test_the_record_of_deeds_still_verifies_and_says_who_erased(person: User, admin: User) -> None:
    erase_person(user=person, actor=Actor(admin.pk, "admin"), patience=0)
    found = verify()
    assert found.is_whole
    assert found.shredded > 5
    deeds = AuditEvent.objects.filter(verb="privacy.erase", subject_id=person.pk)
    assert {deed.actor_name for deed in deeds} == {"admin"}
    assert sum(deed.changes["shredded"] for deed in deeds) == found.shredded


@pytest.mark.django_db
def test_no_page_of_the_admin_shows_an_erased_person(person: User, admin: User, client: Client) -> None:
    _erase(person)
    client.force_login(admin)
    pages = 0
    for model in apps.get_models():
        try:
            address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        except Exception:  # noqa: S112 (a model without a page)
            continue
        addresses = [address, *(f"{address}{row.pk}/change/" for row in model._default_manager.order_by("-pk")[:3])]
        for each in addresses:
            response = client.get(each, follow=True)
            assert response.status_code == 200, each
            assert _canaries_in(response.content.decode()) == [], each
            pages += 1
    assert pages > 25


@pytest.mark.django_db
def test_erasing_again_changes_nothing(person: User) -> None:
    first = _erase(person)
    verify()
    dump = _dump()
    second = _erase(person)
    assert (second.name, second.events) == (first.name, 0)
    assert _dump() == dump


STEPS = [
    *(f"holding {number}" for number in range(0, 16, 3)), "things", "tried", "anonymise", "about",
]  # fmt: skip


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.django_db
def test_an_erasure_that_was_cut_off_is_finished_by_beginning_again(
    person: User, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _totals()
    with monkeypatch.context() as patch:
        _fail_at(step, patch)
        with pytest.raises(RuntimeError, match="cut off"):
            _erase(person)
    assert _canaries_in(_dump())
    _erase(person)
    assert _canaries_in(_dump()) == []
    assert _totals() == before
    assert verify().is_whole


def _fail_at(step: str, patch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: Any, **_options: Any) -> Any:
        raise RuntimeError("cut off")

    kind, _space, number = step.partition(" ")
    if kind != "holding":
        names = {
            "things": "_forget_things",
            "tried": "_shred_tried_names",
            "anonymise": "_anonymise",
            "about": "_shred_about",
        }
        patch.setattr(erasing, names[kind], fail)
        return
    known = holdings()
    place = min(int(number), len(known) - 1)
    broken = replace(known[place], erase=fail)
    patch.setattr(erasing, "holdings", lambda: [*known[:place], broken, *known[place + 1 :]])


@pytest.mark.django_db
def test_a_running_task_is_asked_to_stop_and_the_rest_waits(member: User, agent: Agent) -> None:
    task = tasks.submit(owner=member, agent=agent, input="private").task
    claim = tasks.claim(queues=[QUEUE], worker="worker-1")
    assert claim is not None
    with pytest.raises(StillRunning):
        _erase(member)
    task.refresh_from_db()
    assert (task.status, task.cancel_requested_at is not None, task.input) == ("running", True, "private")
    member.refresh_from_db()
    assert (member.is_active, member.erased_at) == (False, None)
    tasks.finish_cancelled(claim=claim, usage=NOTHING)
    _erase(member)
    task.refresh_from_db()
    assert (task.status, task.input) == ("cancelled", "")


@pytest.mark.django_db
def test_the_last_administrator_cannot_be_erased(admin: User) -> None:
    with pytest.raises(LastAdministrator):
        _erase(admin)
    admin.refresh_from_db()
    assert (admin.is_active, AuditEvent.objects.count()) == (True, 0)
    User.objects.create_superuser(username="second", password="second-password-1")
    assert _erase(admin).name.startswith("erased-")


@pytest.mark.django_db
def test_the_command_asks_for_the_name(
    person: User, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = person.username
    monkeypatch.setattr("builtins.input", lambda _question: "y")
    with pytest.raises(CommandError, match="Nothing was erased"):
        call_command("erase_person", user=name)
    person.refresh_from_db()
    assert person.is_active
    monkeypatch.setattr("builtins.input", lambda _question: name)
    call_command("erase_person", user=name, wait=0)
    assert "erased-" in capsys.readouterr().out
    call_command("erase_person", user=str(person.pk), yes=True, wait=0)
    with pytest.raises(CommandError, match="no user named"):
        call_command("erase_person", user=name, yes=True)


def _parts(content: bytes) -> dict[str, Any]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name).decode() for name in archive.namelist()}


@pytest.mark.django_db
def test_an_export_has_everything_of_the_person_and_nothing_of_others(
    person: User, operator: User, tmp_path: Path
) -> None:
    file = tmp_path / "person.zip"
    call_command("export_person", user=person.username, output=file)
    assert file.stat().st_mode & 0o777 == 0o600
    parts = _parts(file.read_bytes())
    manifest = json.loads(parts.pop("manifest.json"))
    assert {*parts} == {f"{holding.name}.jsonl" for holding in holdings()}
    for name, text in parts.items():
        rows = [json.loads(line) for line in text.splitlines()]
        assert manifest["parts"][name]["rows"] == len(rows) > 0, name
    everything = "\n".join(parts.values())
    assert _canaries_in(everything) == CANARIES
    assert "of somebody else" not in everything


@pytest.mark.django_db
def test_an_export_holds_no_secret(person: User, tmp_path: Path) -> None:
    endpoint, key = Endpoint.objects.get(), ApiKey.objects.get(owner=person)
    secrets = [endpoint.secret, TaskSecret.objects.get().secret, key.digest, person.password, "sealed", "s" * 32]
    text = "\n".join(_parts(b"".join(personal_data.export_person(user=person, actor=audit.SYSTEM))).values())
    assert [secret for secret in secrets if secret in text] == []


@pytest.mark.django_db
def test_a_file_that_is_there_is_not_overwritten(member: User, tmp_path: Path) -> None:
    file = tmp_path / "person.zip"
    file.write_text("precious")
    with pytest.raises(CommandError, match="cannot be written"):
        call_command("export_person", user="member", output=file)
    assert file.read_text() == "precious"


@pytest.mark.django_db
def test_my_data_is_mine_once_an_hour_after_the_password(client: Client, member: User) -> None:
    client.force_login(member)
    address = reverse("pages:my-data")
    assert client.get(address).status_code == 405
    assert "/account/reauthenticate/" in client.post(address)["Location"]
    assert AuditEvent.objects.filter(verb="privacy.export").count() == 0
    client.post("/account/reauthenticate/", {"password": "member-password-1"})
    response = client.post(address)
    assert (response.status_code, response["Content-Type"]) == (200, "application/zip")
    assert "member" in _parts(b"".join(response.streaming_content))["profile.jsonl"]  # type: ignore[attr-defined]
    again = client.post(address, follow=True)
    assert "less than an hour ago" in again.content.decode()
    assert AuditEvent.objects.filter(verb="privacy.export", actor_id=member.pk).count() == 1


@pytest.fixture
def in_admin(client: Client, admin: User) -> Callable[[User, dict[str, str]], Any]:
    client.force_login(admin)
    return lambda user, given: client.post(reverse("admin:accounts_user_data", args=[user.pk]), given)


@pytest.mark.django_db
def test_an_administrator_erases_by_typing_the_name(
    in_admin: Callable[[User, dict[str, str]], Any], client: Client, person: User
) -> None:
    name = person.username
    assert client.get(reverse("admin:accounts_user_data", args=[person.pk])).status_code == 200
    assert "not the name" in in_admin(person, {"name": "canary"}).content.decode()
    assert User.objects.filter(username=name, is_active=True).exists()
    assert in_admin(person, {"name": name}).status_code == 302
    assert not User.objects.filter(username=name).exists()
    assert _canaries_in(_dump()) == []


@pytest.mark.django_db
def test_an_administrator_downloads_the_data_of_a_person(client: Client, admin: User, person: User) -> None:
    client.force_login(admin)
    address = reverse("admin:accounts_user_download", args=[person.pk])
    assert client.get(address).status_code == 302
    for _turn in range(2):
        assert _parts(b"".join(client.post(address).streaming_content))["tasks.jsonl"]  # type: ignore[attr-defined]
    assert AuditEvent.objects.filter(verb="privacy.export", subject_id=person.pk, actor_id=admin.pk).count() == 2
