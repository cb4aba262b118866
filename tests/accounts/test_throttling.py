"""Requests are counted: who by what, what the answers say of it, and what happens when nobody can count."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.cache import caches
from django_redis.exceptions import ConnectionInterrupted
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework.test import APIClient, APIRequestFactory, force_authenticate
from rest_framework.views import APIView

from accounts import limiting
from accounts.audit import SYSTEM
from accounts.limiting import AGENT, USER, CountingAway, Limit
from accounts.limits import create_rate_limit
from accounts.models import User
from accounts.rates import Rate
from agents.definitions.services import create_agent
from agents.memory.services import start_conversation
from agents.tasks.models import Task
from agents.tasks.services import submit
from foundation.outage import Outage
from mutirao import diagnosis
from telemetry import metrics
from tests.accounts.conftest import V1, Client, Issue
from tests.conftest import Api
from tests.tasks.threads import at_once

pytestmark = pytest.mark.django_db

ME, TOKEN = f"{V1}/me", f"{V1}/auth/token"
HEADERS = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "RateLimit-Policy")

Clock = Callable[[float], None]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Holds the limiter's clock; call it to set it."""
    held = SimpleNamespace(now=1_800_000_000.0)
    monkeypatch.setattr("django_ratelimit.core.time", SimpleNamespace(time=lambda: held.now))

    def to(moment: float) -> None:
        held.now = moment

    return to


@pytest.fixture(autouse=True)
def _at_once(settings: Any) -> None:
    """Rows count from the moment when they are made."""
    settings.TASK_SETTINGS_CACHE_SECONDS = 0


@pytest.fixture
def redis_away(settings: Any) -> Iterator[None]:
    """A Redis that nobody answers for: a port that refuses."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    settings.CACHES = {"default": settings.CACHES["default"] | {"LOCATION": f"redis://127.0.0.1:{port}/0"}}
    yield
    del caches["default"]


def skipped(scope: str) -> float:
    return float(metrics.RATE_LIMITS_SKIPPED.labels(scope)._value.get())


def statuses(client: APIClient, count: int, path: str = ME, **headers: Any) -> list[int]:
    return [client.get(path, **headers).status_code for _n in range(count)]


class Echo(APIView):
    """A view that does nothing, so that many requests are quick."""

    permission_classes = (AllowAny,)

    def get(self, request: Any) -> Response:
        """Says so."""
        return Response({})


@pytest.mark.usefixtures("clock")
def test_of_1600_requests_at_once_exactly_100_pass(settings: Any, member: User) -> None:
    settings.RATE_USER, settings.TASK_SETTINGS_CACHE_SECONDS = "100/m", 60
    # Known before the threads begin, which have no part in this test's transaction.
    limiting.rows()
    view, factory = Echo.as_view(), APIRequestFactory()

    def fifty(_number: int) -> Counter[int]:
        asked: Counter[int] = Counter()
        for _request in range(50):
            request = factory.get("/")
            force_authenticate(request, user=member)
            asked[view(request).status_code] += 1
        return asked

    assert sum(at_once(fifty, 32), Counter()) == {200: 100, 429: 1_500}


@pytest.mark.usefixtures("clock")
def test_counting_without_atomic_steps_would_let_more_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: a cache that reads, waits and writes."""
    seen: dict[str, int] = {}

    def incr(key: str) -> int:
        known = seen.get(key, 1)
        time.sleep(0.0002)
        seen[key] = known + 1
        return known + 1

    monkeypatch.setattr(
        "django_ratelimit.core.caches",
        {"default": SimpleNamespace(add=lambda key, *_rest: seen.setdefault(key, 0) == -1, incr=incr)},
    )
    limit = Limit(USER, "somebody", Rate(100, 60))
    passed = at_once(lambda _n: sum(not limiting.count([limit])[0].is_over for _request in range(50)), 32)
    assert sum(passed) > 100


def test_at_the_edge_of_a_window_at_most_twice_as_many_pass_and_then_none(clock: Clock) -> None:
    limit = Limit(USER, "somebody", Rate(10, 60))
    start = 1_800_000_000
    reset = limiting.count([limit])[0].reset
    clock(start + reset - 1)
    burst = sum(not limiting.count([limit])[0].is_over for _n in range(30))
    clock(start + reset)
    burst += sum(not limiting.count([limit])[0].is_over for _n in range(30))
    assert burst == 19, "one was counted before"
    for second in range(60):
        clock(start + reset + second)
        assert limiting.count([limit])[0].is_over
    clock(start + reset + 60)
    assert not limiting.count([limit])[0].is_over


def test_a_caller_is_told_what_is_left_and_then_to_wait(api: Api, member: User, clock: Clock) -> None:
    create_rate_limit(subject="user:member", rate="3/m", actor=SYSTEM)
    client = api(member)
    answers = [client.get(ME) for _n in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer["RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0"]
    refused = answers[-1]
    assert (refused["RateLimit-Limit"], refused["RateLimit-Policy"]) == ("3", "3;w=60")
    assert (refused.json()["type"], refused.json()["scope"]) == ("urn:mutirao:rate-limited", "user")
    assert refused["Retry-After"] == refused["RateLimit-Reset"]
    clock(1_800_000_000 + int(refused["Retry-After"]))
    assert client.get(ME).status_code == 200


@pytest.mark.parametrize("path", ["/nothing", "/me/", "/ME", "/schema", "/docs", "/tasks/1", "/tasks"])
def test_every_answer_says_what_is_left(path: str, client: APIClient) -> None:
    assert all(name in client.get(f"{V1}{path}") for name in HEADERS)


def test_errors_say_it_too(
    api: Api, member: User, outsider: User, monkeypatch: pytest.MonkeyPatch, bearing: Client
) -> None:
    answers = [
        api(outsider).get(f"{V1}/operations"),
        api(member).get(f"{V1}/tasks/018f0000-0000-7000-8000-000000000000"),
        api(member).delete(ME),
        api(member).post(f"{V1}/tasks", "{", content_type="application/json"),
        bearing("mut_wrong_key").get(ME),
    ]
    assert [answer.status_code for answer in answers] == [403, 404, 405, 400, 401]
    client = api(member)
    client.raise_request_exception = False
    monkeypatch.setattr("accounts.views.Me.get", lambda *_a, **_k: 1 / 0)
    answers.append(client.get(ME))
    assert answers[-1].status_code == 500
    assert all(name in answer for answer in answers for name in HEADERS)


def test_a_stream_says_it_too(api: Api, member: User) -> None:
    agent = create_agent(slug="helper", queue="throttled")
    task = submit(owner=member, agent=agent, input="x").task
    answer = api(member).get(f"{V1}/tasks/{task.pk}/events")
    assert (answer.status_code, answer.streaming) == (200, True)
    assert all(name in answer for name in HEADERS)


def test_whoever_has_no_credential_or_a_wrong_one_is_counted_by_address(
    bearing: Client, issue: Issue, settings: Any
) -> None:
    settings.RATE_ADDRESS = "4/m"
    assert statuses(bearing(), 2) == [401, 401]
    assert statuses(bearing("mut_0123456789_wrong"), 2) == [401, 401]
    assert statuses(bearing("a.wrong.token"), 1) == [429]
    assert statuses(bearing(issue().key), 5) == [200] * 5, "who is known is not counted by address"
    assert statuses(bearing(), 1, REMOTE_ADDR="192.0.2.9") == [401]


def test_a_known_caller_is_counted_before_permissions_are_asked(api: Api, outsider: User) -> None:
    create_rate_limit(subject="user:outsider", rate="2/m", actor=SYSTEM)
    assert statuses(api(outsider), 3, f"{V1}/operations") == [403, 403, 429]


def test_signing_in_has_a_limit_of_its_own(member: User, settings: Any) -> None:
    settings.RATE_SIGN_IN, settings.RATE_ADDRESS = "2/m", "100/m"
    client, given = APIClient(), {"username": "member", "password": "wrong"}
    answers = [client.post(TOKEN, given) for _n in range(3)]
    assert [answer.status_code for answer in answers] == [401, 401, 429]
    assert answers[-1].json()["scope"] == "sign_in"
    assert client.post(f"{TOKEN}/refresh", {"refresh": "x"}).status_code == 429
    assert client.get(ME).status_code == 401


def test_a_key_a_role_and_a_person_are_all_counted_and_the_strictest_wins(
    bearing: Client, issue: Issue, member: User
) -> None:
    issued = issue()
    team = Group.objects.create(name="team")
    member.groups.add(team)
    create_rate_limit(subject="user:member", rate="9/m", actor=SYSTEM)
    create_rate_limit(subject=f"key:{issued.row.prefix}", rate="2/m", actor=SYSTEM)
    answer = bearing(issued.key).get(ME)
    assert (answer["RateLimit-Limit"], answer["RateLimit-Remaining"]) == ("2", "1")
    assert statuses(bearing(issued.key), 2) == [200, 429]
    other = issue(name="other")
    assert bearing(other.key).get(ME)["RateLimit-Remaining"] == "5", "refused ones count for the person too"
    create_rate_limit(subject="role:team", rate="1/m", actor=SYSTEM)
    assert statuses(bearing(other.key), 2) == [200, 429]


def test_each_member_of_a_role_has_a_counter(api: Api, member: User, outsider: User) -> None:
    team = Group.objects.create(name="team")
    team.user_set.set([member, outsider])
    create_rate_limit(subject="role:team", rate="2/m", actor=SYSTEM)
    assert statuses(api(member), 3) == [200, 200, 429]
    assert statuses(api(outsider), 3) == [200, 200, 429]


def test_all_who_submit_to_an_agent_share_its_limit(api: Api, member: User, admin: User) -> None:
    agent = create_agent(slug="helper", queue="throttled")
    create_rate_limit(subject="agent:helper", rate="3/m", actor=SYSTEM)
    one = {"agent": "helper", "input": "x"}
    conversation = start_conversation(owner=member, agent=agent)
    answers = [
        api(member).post(f"{V1}/tasks", one),
        api(admin).post(f"{V1}/tasks/bulk", {"tasks": [one, one]}),
        api(member).post(f"{V1}/conversations/{conversation.pk}/messages", {"text": "x"}),
    ]
    assert [answer.status_code for answer in answers] == [202, 202, 202]
    assert [answer["RateLimit-Remaining"] for answer in answers] == ["2", "1", "0"]
    count = Task.objects.count()
    refused = api(admin).post(f"{V1}/tasks", one)
    assert (refused.status_code, refused.json()["scope"]) == (429, AGENT)
    assert api(member).post(f"{V1}/tasks/bulk", {"tasks": [one]}).status_code == 429
    task = Task.objects.filter(serial_key=None, owner=member).first()
    assert task is not None
    api(member).post(f"{V1}/tasks/{task.pk}/cancel")
    assert api(member).post(f"{V1}/tasks/{task.pk}/retry", {}).status_code == 429
    assert Task.objects.count() == count == 4
    assert api(member).get(f"{V1}/tasks").status_code == 200, "reading is not submitting"


FORGED = (
    "1.2.3.4", "1.2.3.4, 5.6.7.8", "1.2.3.4,5.6.7.8,9.9.9.9", "::1", "2001:db8::1", "rubbish", ",,,", "x" * 4_000,
    "127.0.0.1, \x7f", "999.999.999.999", "fe80::1%eth0", "1.2.3.4:8080", "[::1]:80", "%00", "-", "",
)  # fmt: skip


def test_a_forged_header_gains_nothing_without_a_proxy(client: APIClient, settings: Any) -> None:
    settings.RATE_ADDRESS, settings.TRUSTED_PROXIES = "5/m", 0
    found = [client.get(ME, HTTP_X_FORWARDED_FOR=text).status_code for text in FORGED]
    assert found == [401] * 5 + [429] * (len(FORGED) - 5)


def test_behind_a_proxy_only_what_it_has_seen_counts(client: APIClient, settings: Any) -> None:
    settings.RATE_ADDRESS, settings.TRUSTED_PROXIES = "5/m", 1
    found = [client.get(ME, HTTP_X_FORWARDED_FOR=f"{text}, 192.0.2.7").status_code for text in FORGED]
    assert found == [401] * 5 + [429] * (len(FORGED) - 5)
    assert client.get(ME, HTTP_X_FORWARDED_FOR="192.0.2.7, 192.0.2.8").status_code == 401


def test_rubbish_from_a_proxy_is_no_error(client: APIClient, settings: Any) -> None:
    settings.TRUSTED_PROXIES = 1
    assert {client.get(ME, HTTP_X_FORWARDED_FOR=text).status_code for text in FORGED} == {401}


def test_another_address_of_the_same_household_gains_nothing(client: APIClient, settings: Any) -> None:
    settings.RATE_ADDRESS = "3/m"
    found = [client.get(ME, REMOTE_ADDR=f"2001:db8:7:7::{n:x}").status_code for n in range(1, 6)]
    assert found == [401] * 3 + [429] * 2
    assert client.get(ME, REMOTE_ADDR="::ffff:192.0.2.1").status_code == 401


def test_another_way_to_write_the_address_or_another_method_gains_nothing(
    bearing: Client, issue: Issue, member: User
) -> None:
    create_rate_limit(subject="user:member", rate="6/m", actor=SYSTEM)
    text = issue().key
    one, other = bearing(text), bearing("", HTTP_X_API_KEY=text)
    asked = [one.get(ME), other.get(ME), one.get(f"{ME}/"), one.head(ME), one.options(ME), other.get("/api/v1//me")]
    assert [answer["RateLimit-Remaining"] for answer in asked] == ["5", "4", "3", "2", "1", "0"]
    for path in (ME, f"{ME}/", f"{V1}/Me", f"{V1}/%6de", f"{V1}/tasks?x=1"):
        assert one.get(path).status_code == 429, path


@pytest.mark.usefixtures("redis_away")
def test_without_redis_the_api_is_open_and_says_so_in_a_metric(api: Api, member: User) -> None:
    before = skipped(USER)
    assert statuses(api(member), 3) == [200] * 3
    assert skipped(USER) - before == 3


@pytest.mark.usefixtures("redis_away")
def test_without_redis_signing_in_is_closed(member: User) -> None:
    answer = APIClient().post(TOKEN, {"username": "member", "password": "member-password-1"})
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:mutirao:unavailable")
    assert int(answer["Retry-After"]) > 0


@pytest.mark.usefixtures("redis_away")
def test_which_scopes_are_closed_is_a_setting(api: Api, member: User, settings: Any) -> None:
    settings.RATE_FAIL_CLOSED = ["user"]
    assert api(member).get(ME).status_code == 503
    assert APIClient().get(ME).status_code == 401
    assert APIClient().post(f"{TOKEN}/refresh", {"refresh": "x"}).status_code == 401


def test_after_a_failure_redis_is_not_asked_for_a_second(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """It would cost every request the timeout of a socket."""
    asked: list[Limit] = []

    def fail(limit: Limit) -> Any:
        asked.append(limit)
        raise ConnectionInterrupted(connection=None)

    monkeypatch.setattr(limiting, "_count", fail)
    limit = Limit(USER, "x", Rate(1, 60))
    assert [limiting.count([limit]) for _n in range(5)] == [[]] * 5
    assert len(asked) == 1
    settings.RATE_FAIL_CLOSED = [USER]
    with pytest.raises(CountingAway):
        limiting.count([limit])
    monkeypatch.setattr(limiting._outage, "_quiet_until", time.monotonic())
    with pytest.raises(CountingAway):
        limiting.count([limit])
    assert len(asked) == 2


def test_an_outage_is_logged_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(limiting, "logger", SimpleNamespace(error=lambda event, **_more: said.append(event)))
    monkeypatch.setattr(limiting, "_outage", Outage(quiet_seconds=0, patience_seconds=0))
    asked: list[Limit] = []

    def fail(limit: Limit) -> Any:
        asked.append(limit)
        raise ConnectionInterrupted(connection=None)

    monkeypatch.setattr(limiting, "_count", fail)
    for _request in range(50):
        limiting.count([Limit(USER, "x", Rate(1, 60))])
    assert (len(asked), said) == (50, ["rate_limits_skipped"])


def test_the_doctor_says_what_happens_without_redis() -> None:
    (finding,) = diagnosis._rate_limits()
    assert "refused for sign_in" in finding.sentence
    assert "uncounted for address, user, key, role, agent" in finding.sentence
