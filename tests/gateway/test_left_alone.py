"""How long deployments and credentials are left alone that ask for it, and what opens no circuit breaker."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import InterfaceError
from django.utils import timezone

from accounts.audit import SYSTEM
from agents.circuits import directory, protection, services
from agents.circuits.models import CircuitChange
from agents.gateway import calling, picking
from agents.gateway.exceptions import AllDeploymentsOpen, ModelRateLimited, ModelTimeout, ModelUnauthorized, OutOfQuota
from agents.gateway.models import Credential, Deployment
from agents.gateway.recording import Recording
from agents.gateway.services import set_secret
from foundation.circuit_rules import CLOSED, OPEN, Circuit, Policy
from foundation.threads import close_connections
from tests.gateway.conftest import Model
from tests.gateway.routes import deployment, route
from tests.gateway.test_faults import until
from tests.upstream import faults
from tests.upstream.client import Upstream
from tests.upstream.script import Behaviour, Fault

pytestmark = pytest.mark.django_db(transaction=True)
TEXT = Behaviour().text
CALLERS = 5


def _once(fault: Fault) -> Behaviour:
    return Behaviour(faults=(fault,), times=1)


def _always(fault: Fault) -> Behaviour:
    return Behaviour(faults=(fault,))


def _circuit(name: str) -> Circuit:
    key = f"deployment:{Deployment.objects.get(name=name).pk}"
    return protection.circuits().states([key])[key]


def _opened(row: Deployment, seconds: float, **columns: Any) -> None:
    """It is open for so long, as after failures."""
    key = f"deployment:{row.pk}"
    protection.circuits().take(key, lambda _it, now: Circuit(state=OPEN, since=now, until=now + seconds, **columns))


def _beside(ask: Callable[[], Any], count: int = CALLERS) -> list[Any]:
    """What each of so many callers at the same moment was given."""

    def one(_number: int) -> Any:
        try:
            return ask()
        except Exception as error:
            return error
        finally:
            close_connections()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


@pytest.mark.parametrize("retry_after", [None, 0])
def test_a_429_without_a_time_or_with_none_at_all_is_tried_again(
    retry_after: float | None, upstream: Upstream, model: Model
) -> None:
    upstream.script(m=(_once(faults.rate_limited(retry_after)), Behaviour()))
    assert model("openai:m").invoke("hi").text == TEXT
    assert upstream.of("m").requests == 2


def test_all_callers_that_were_told_to_wait_a_moment_are_answered(upstream: Upstream, model: Model) -> None:
    upstream.script(m=(Behaviour(faults=(faults.rate_limited(0.3),), times=CALLERS), Behaviour()))
    asked = model(route("main", deployment("m")))
    assert _beside(lambda: asked.invoke("hi").text) == [TEXT] * CALLERS


def test_a_stream_after_a_429_keeps_nobody_away(upstream: Upstream, model: Model) -> None:
    upstream.script(
        m=(_once(faults.rate_limited(0.2)), Behaviour(pieces=2, holds_after=1, times=1), Behaviour())
    )  # fmt: skip
    asked = model(route("main", deployment("m")))
    stream = asked.stream("hi")
    next(stream)
    assert _beside(lambda: asked.invoke("hi").text) == [TEXT] * CALLERS
    upstream.release()
    assert len(list(stream)) >= 1


def test_a_probe_whose_stream_has_begun_keeps_nobody_away(upstream: Upstream, model: Model) -> None:
    upstream.script(m=(Behaviour(pieces=2, holds_after=1, times=1), Behaviour()))
    row = deployment("m")
    asked = model(route("main", row))
    _opened(row, 0, openings=1)
    stream = asked.stream("hi")
    next(stream)
    assert _circuit("m").state == CLOSED
    assert _beside(lambda: asked.invoke("hi").text) == [TEXT] * CALLERS
    upstream.release()
    assert len(list(stream)) >= 1


def test_a_stream_of_a_probe_that_breaks_off_opens_it_again(upstream: Upstream, model: Model) -> None:
    upstream.script(m=_always(faults.cut(after=2)))
    row = deployment("m")
    asked = model(route("main", row, deployment("good")))
    _opened(row, 0, openings=1)
    assert list(asked.stream("hi"))
    assert (_circuit("m").state, _circuit("m").openings) == (OPEN, 2)


def test_who_comes_while_it_is_left_alone_for_a_moment_waits_for_it(upstream: Upstream, model: Model) -> None:
    row = deployment("m")
    asked = model(route("main", row))
    _opened(row, 0.3, is_throttled=True)
    began = time.monotonic()
    assert asked.invoke("hi").text == TEXT
    assert time.monotonic() - began >= 0.3


def test_who_waits_holds_no_connection(upstream: Upstream, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    given_back: list[bool] = []
    monkeypatch.setattr(picking, "release_connections", lambda: given_back.append(True))
    row = deployment("m")
    asked = model(route("main", row))
    asked.invoke("hi")
    assert given_back == []
    _opened(row, 0.2, is_throttled=True)
    asked.invoke("hi")
    assert given_back


def test_the_stream_of_a_probe_holds_no_connection(
    upstream: Upstream, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[bool] = []
    monkeypatch.setattr(
        calling, "release_connections", lambda: written.append(CircuitChange.objects.filter(after=CLOSED).exists())
    )
    row = deployment("m")
    _opened(row, 0, openings=1)
    stream = model(route("main", row)).stream("hi")
    next(stream)
    # Given back when it was picked, and again after its change was written down.
    assert written == [False, True]
    assert len(list(stream)) >= 1


def test_who_has_less_time_than_that_does_not_wait(upstream: Upstream, model: Model) -> None:
    row = deployment("m")
    target = route("main", row)
    _opened(row, 1.5, is_throttled=True)
    began = time.monotonic()
    with pytest.raises(AllDeploymentsOpen):
        model(target, deadline=began + 1).invoke("hi")
    assert time.monotonic() - began < 1


def test_the_word_of_a_probe_is_waited_for_only_a_moment(upstream: Upstream, model: Model) -> None:
    row = deployment("m")
    target = route("main", row)
    _opened(row, 0, openings=1)
    protection.permit(f"deployment:{row.pk}")
    began = time.monotonic()
    with pytest.raises(AllDeploymentsOpen):
        model(target).invoke("hi")
    assert 1 <= time.monotonic() - began < picking.LONGEST_RETRY_AFTER + 1
    assert upstream.requests() == []


def _answers(model: Model, target: str, *, streamed: bool, **context: Any) -> None:
    asked = model(target, **context)
    with pytest.raises(ModelTimeout):
        list(asked.stream("hi")) if streamed else asked.invoke("hi")


@pytest.mark.parametrize("streamed", [True, False])
def test_a_task_with_little_time_opens_nothing(streamed: object, upstream: Upstream, model: Model) -> None:
    upstream.script(m=_always(faults.slow(20)))
    target = route("main", deployment("m"), deadline_seconds=20)
    # On a busy machine the time of some is over before it is asked.
    for _call in until(lambda: upstream.of("m").requests >= 2 * protection.POLICY.failures):
        _answers(model, target, streamed=bool(streamed), deadline=time.monotonic() + 0.15)
    assert (_circuit("m").state, _circuit("m").failures) == (CLOSED, 0)


def test_who_hangs_for_its_share_of_a_tasks_time_is_opened(
    upstream: Upstream, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protection, "POLICY", Policy(failures=2, open_seconds=60))
    upstream.script(hung=_always(faults.slow(20)), well=Behaviour())
    target = route("main", deployment("hung"), deployment("well"), deadline_seconds=20)
    # Half of a second would be no fair share.
    for _short in range(3):
        assert model(target, deadline=time.monotonic() + 1).invoke("hi").text == TEXT
    assert _circuit("hung").failures == 0
    monkeypatch.setattr(calling, "FAIR_SECONDS", 0.5)
    for _call in until(lambda: _circuit("hung").state == OPEN):
        assert model(target, deadline=time.monotonic() + 2).invoke("hi").text == TEXT
    assert upstream.of("hung").requests == 3 + 2


@pytest.mark.parametrize("limits", [{"deadline_seconds": 0.15}, {"first_token_seconds": 0.15, "most_tries": 1}])
def test_a_route_whose_own_time_is_over_opens_it(limits: dict[str, Any], upstream: Upstream, model: Model) -> None:
    """The control."""
    upstream.script(m=_always(faults.slow(20)))
    target = route("main", deployment("m"), **limits)
    for _call in until(lambda: _circuit("m").state == OPEN):
        _answers(model, target, streamed=True, deadline=time.monotonic() + 10)


def test_a_timeout_that_the_provider_tells_of_counts_for_a_task_with_little_time_too(
    upstream: Upstream, model: Model
) -> None:
    upstream.script(m=_always(faults.failing(408)))
    _answers(model, route("main", deployment("m"), most_tries=1), streamed=False, deadline=time.monotonic() + 10)
    assert _circuit("m").failures == 1


def test_a_date_that_was_taken_for_seconds_holds_for_a_day_at_most(upstream: Upstream, model: Model) -> None:
    upstream.script(m=_always(faults.rate_limited(1_764_200_000)))
    with pytest.raises(ModelRateLimited):
        model(route("main", deployment("m"))).invoke("hi")
    found = _circuit("m")
    assert found.until - found.since == pytest.approx(calling.LONGEST_THROTTLED_SECONDS)


def test_all_breakers_are_shown_though_one_knows_a_moment_beyond_all_calendars() -> None:
    row = deployment("m")
    _opened(row, 1_764_200_000_000)
    (shown,) = [each for each in services.standings() if each.protected.name == "m"]
    assert shown.until is not None
    assert shown.until.year == 9999


def _credential(name: str, upstream: Upstream, **columns: Any) -> Credential:
    return Credential.objects.create(
        name=name, provider="openai", base_url=upstream.url, secret="sk-entered-1", **columns
    )


def _paid(name: str, credential: Credential) -> Deployment:
    return Deployment.objects.create(name=name, provider="openai", model=name, credential=credential)


@pytest.fixture
def _local(settings: Any) -> None:
    settings.EGRESS_ALLOW_HTTP, settings.EGRESS_ALLOWED_HOSTS = True, ["127.0.0.0/8"]


@pytest.mark.usefixtures("_local")
def test_an_account_with_nothing_left_is_left_alone_with_all_that_it_pays_for(upstream: Upstream, model: Model) -> None:
    empty, full = _credential("empty", upstream), _credential("full", upstream)
    first, second, other = _paid("first", empty), _paid("second", empty), _paid("other", full)
    upstream.script(first=_always(faults.out_of_quota()))
    with pytest.raises(OutOfQuota):
        model(route("one", first)).invoke("hi")
    with pytest.raises(AllDeploymentsOpen) as raised:
        model(route("two", second)).invoke("hi")
    assert raised.value.retry_after == pytest.approx(calling.OUT_OF_QUOTA_SECONDS, abs=5)
    assert model(route("three", second, other)).invoke("hi").text == TEXT
    assert [each.deployment for each in upstream.requests()] == ["first", "other"]


def test_who_wants_to_be_paid_is_passed_by(upstream: Upstream, model: Model) -> None:
    upstream.script(poor=_always(faults.failing(402)), rich=Behaviour())
    assert model(route("main", deployment("poor"), deployment("rich"))).invoke("hi").text == TEXT
    assert _circuit("poor").why == "OutOfQuota"


@pytest.mark.usefixtures("_local")
def test_people_see_such_an_account_and_let_go_of_it(upstream: Upstream, model: Model) -> None:
    row = _credential("empty", upstream)
    upstream.script(first=_always(faults.out_of_quota()))
    with pytest.raises(OutOfQuota):
        model(route("main", _paid("first", row))).invoke("hi")
    key = f"credential:{row.pk}"
    shown = services.standing_of(key)
    assert (shown.protected, shown.state, shown.why) == (
        directory.Protected(key, "empty", "credential"), OPEN, "OutOfQuota",
    )  # fmt: skip
    assert _circuit("first").state == CLOSED
    upstream.reset()
    services.force(key=key, state=CLOSED, reason="paid", actor=SYSTEM)
    services.release(key=key, actor=SYSTEM)
    assert model("route:main").invoke("hi").text == TEXT


@pytest.mark.usefixtures("_local")
def test_a_new_secret_is_tried_at_once(upstream: Upstream, model: Model) -> None:
    row = deployment("poor", url=upstream.url)
    _opened(row, 100)
    account = f"credential:{row.credential_id}"
    protection.circuits().take(account, lambda _it, now: Circuit(state=OPEN, since=now, until=now + 100))
    target = model(route("main", row))
    with pytest.raises(AllDeploymentsOpen):
        target.invoke("hi")
    assert row.credential is not None
    set_secret(credential=row.credential, secret="another-secret-1", actor=SYSTEM)
    assert target.invoke("hi").text == TEXT


@pytest.mark.usefixtures("_local")
@pytest.mark.parametrize("fault", [faults.out_of_quota(), faults.rate_limited(30), faults.failing(401)])
def test_a_refusal_of_the_old_secret_says_nothing_about_the_new_one(
    fault: Fault, upstream: Upstream, model: Model
) -> None:
    """Another process has changed it; this one goes on with what it knew for a moment."""
    row = _credential("poor", upstream)
    asked = model(route("main", _paid("first", row)))
    assert asked.invoke("hi").text == TEXT
    Credential.objects.filter(pk=row.pk).update(changed_at=timezone.now())
    upstream.script(first=_always(fault))
    with pytest.raises((ModelRateLimited, ModelUnauthorized)):
        asked.invoke("hi")
    assert _circuit("first").failures == 0
    upstream.script(first=Behaviour())
    assert asked.invoke("hi").text == TEXT


@pytest.mark.usefixtures("_local")
def test_a_429_leaves_alone_all_of_its_credential_and_nobody_else(upstream: Upstream, model: Model) -> None:
    busy, idle = _credential("busy", upstream), _credential("idle", upstream)
    large, small, other = _paid("large", busy), _paid("small", busy), _paid("other", idle)
    upstream.script(large=_always(faults.rate_limited(30)))
    assert model(route("main", large, small, other)).invoke("hi").text == TEXT
    with pytest.raises(AllDeploymentsOpen) as raised:
        model(route("two", small)).invoke("hi")
    assert raised.value.retry_after == pytest.approx(30, abs=2)
    assert [each.deployment for each in upstream.requests()] == ["large", "other"]
    shown = services.standing_of(f"credential:{busy.pk}")
    assert (shown.state, shown.why) == (OPEN, "ModelRateLimited")
    assert (_circuit("large").state, _circuit("small").state) == (CLOSED, CLOSED)


@pytest.mark.usefixtures("_local")
def test_such_a_pause_is_over_by_itself(upstream: Upstream, model: Model) -> None:
    account = _credential("main", upstream)
    upstream.script(large=(_once(faults.rate_limited(0.2)), Behaviour()))
    assert model(route("main", _paid("large", account))).invoke("hi").text == TEXT
    assert model(route("two", _paid("small", account))).invoke("hi").text == TEXT
    assert [each.deployment for each in upstream.requests()] == ["large", "large", "small"]


@pytest.mark.usefixtures("_local")
def test_where_each_model_has_limits_of_its_own_a_429_says_nothing_about_the_others(
    upstream: Upstream, model: Model
) -> None:
    account = _credential("main", upstream, rate_limits="each_model")
    upstream.script(large=_always(faults.rate_limited(30)))
    assert model(route("main", _paid("large", account), _paid("small", account))).invoke("hi").text == TEXT
    assert [each.deployment for each in upstream.requests()] == ["large", "small"]
    assert _circuit("large").state == OPEN


@pytest.fixture
def untold(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The database's connection is gone when a try is to be counted."""

    def tried(*_args: Any, **_options: Any) -> Any:
        raise InterfaceError("connection already closed")

    with monkeypatch.context() as patched:
        patched.setattr(Recording, "tried", tried)
        yield


@pytest.mark.usefixtures("untold")
@pytest.mark.parametrize("fault", [(), (faults.failing(400),)])
def test_a_place_is_given_back_though_nobody_can_be_told(
    fault: tuple[Fault, ...], upstream: Upstream, model: Model
) -> None:
    upstream.script(one=Behaviour(faults=fault))
    row = deployment("one", most_concurrent=1)
    with pytest.raises(InterfaceError):
        model(route("main", row)).invoke("hi")
    assert picking.capacity.load(f"deployment:{row.pk}").places == 0
