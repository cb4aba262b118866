"""Two deployments, one of them faulty: callers notice nothing but a little time."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from agents.circuits import protection
from agents.gateway.chat import GatewayChatModel
from agents.gateway.exceptions import AllDeploymentsOpen, GatewayError
from agents.gateway.models import ModelCall
from foundation.circuit_rules import Policy
from foundation.threads import close_connections
from tests.gateway.conftest import Model
from tests.gateway.routes import deployment, route
from tests.upstream import client, faults
from tests.upstream.client import Upstream
from tests.upstream.script import Behaviour, Fault

pytestmark = pytest.mark.django_db(transaction=True)

CALLS = 500
AT_A_TIME = 16
TEXT = "Good day to you."
WELL = Behaviour(text=TEXT, latency=0.002)
QUICK = {"first_token_seconds": 1.0, "stall_seconds": 0.5, "deadline_seconds": 20.0}
# A breaker that opens after five has not let more through than these, and those that were under way.
MOST_WHILE_CLOSED = 5 + 2 * AT_A_TIME
FAULTS = {
    "a storm of 429": faults.rate_limited(30),
    "a storm of 429 without a time": faults.rate_limited(),
    "500": faults.failing(500),
    "503": faults.failing(503),
    "a page of a proxy": faults.proxy_page(),
    "dropped connections": faults.dropped(),
    "cut by a reset": faults.cut(after=2),
    "cut as if it were over": faults.cut(after=2, reset=False),
    "a stall": faults.stalled(after=2),
    "a stall with comments": faults.stalled(after=2, pings=True),
    "a malformed chunk": faults.malformed(after=1),
    "an error inside": faults.error_inside(after=1),
    "a late first token": faults.slow(5),
    "wrong JSON": faults.wrong_json(),
    "no choices": faults.no_choices(),
    "a wrong key": faults.unauthorized(),
    "no money": faults.out_of_quota(),
}
# The others differ only in what the provider does, which no database has a part in.
ON_EVERY_DATABASE = {"a storm of 429", "500", "cut by a reset", "a stall"}


@pytest.fixture(autouse=True)
def _long_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protection, "POLICY", Policy(open_seconds=60))


def _script(upstream: Upstream, *faulty: Behaviour) -> None:
    upstream.script(bad=faulty, good=WELL)


def _broken(fault: Fault) -> Behaviour:
    return replace(WELL, faults=(fault,))


def _many(ask: Callable[[], Any], count: int = CALLS) -> list[Any]:
    """What each call gave, or raised."""

    def one() -> Any:
        try:
            return ask()
        except GatewayError as error:
            return error

    def share(number: int) -> list[Any]:
        try:
            return [one() for _call in range(number, count, AT_A_TIME)]
        finally:
            close_connections()

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        return list(itertools.chain(*pool.map(share, range(AT_A_TIME))))


def _streamed(model: GatewayChatModel) -> str:
    whole: Any = None
    for piece in model.stream("hi"):
        whole = piece if whole is None else whole + piece
    return str(whole.text)


def _well(answers: list[Any]) -> int:
    return sum(answer == TEXT for answer in answers)


@pytest.mark.parametrize(
    "name", [name if name in ON_EVERY_DATABASE else pytest.param(name, marks=pytest.mark.once) for name in FAULTS]
)
def test_of_500_streams_99_percent_succeed_and_the_faulty_one_is_left_alone(
    name: str, upstream: Upstream, model: Model
) -> None:
    _script(upstream, _broken(FAULTS[name]))
    asked = model(route("main", deployment("bad"), deployment("good"), **QUICK))
    answers = _many(lambda: _streamed(asked))
    assert _well(answers) >= 0.99 * CALLS
    rows = ModelCall.objects.filter(outcome="succeeded")
    assert rows.count() >= 0.99 * CALLS
    assert rows.filter(model="bad").count() == 0
    most = MOST_WHILE_CLOSED if "429 without" not in name else CALLS / 2
    assert 1 <= upstream.of("bad").requests <= most


@pytest.mark.parametrize("name", ["500", "wrong JSON", "no choices", "a malformed chunk", "dropped connections"])
def test_whole_answers_fall_back_too(name: str, upstream: Upstream, model: Model) -> None:
    _script(upstream, _broken(FAULTS[name]))
    asked = model(route("main", deployment("bad"), deployment("good"), **QUICK))
    answers = _many(lambda: asked.invoke("hi").text, 100)
    assert _well(answers) == 100
    assert 1 <= upstream.of("bad").requests <= MOST_WHILE_CLOSED


def test_a_whole_answer_that_never_comes_leaves_time_for_another_deployment(upstream: Upstream, model: Model) -> None:
    _script(upstream, _broken(faults.stalled()))
    asked = model(route("main", deployment("bad"), deployment("good"), deadline_seconds=3.0))
    began = time.monotonic()
    assert asked.invoke("hi").text == TEXT
    assert 1.2 <= time.monotonic() - began < 3.0


def test_a_refused_connection_is_passed_by(upstream: Upstream, model: Model, settings: Any) -> None:
    settings.EGRESS_ALLOW_HTTP, settings.EGRESS_ALLOWED_HOSTS = True, ["127.0.0.0/8"]
    upstream.script(good=WELL)
    with client.closed_port() as nowhere:
        # Patient: what is looked at is that the refusal is seen as one, on a busy machine too.
        asked = model(route("main", deployment("bad", url=nowhere), deployment("good"), first_token_seconds=10.0))
        assert _well(_many(lambda: _streamed(asked))) >= 0.99 * CALLS
    tries = ModelCall.objects.values_list("tries", flat=True)
    refused = [each for each in itertools.chain(*tries) if each["deployment"] == "bad"]
    assert {each["error"] for each in refused} == {"ModelUnavailable"}
    assert 1 <= len(refused) <= MOST_WHILE_CLOSED


def test_without_another_deployment_the_same_faults_are_seen(upstream: Upstream, model: Model) -> None:
    """The control of the tests above."""
    _script(upstream, _broken(faults.failing(500)))
    asked = model(route("main", deployment("bad"), **QUICK))
    assert _well(_many(lambda: _streamed(asked), 50)) == 0


def test_without_the_breaker_the_faulty_one_is_asked_by_every_call(
    upstream: Upstream, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of its being left alone."""

    class Always:
        def begun(self) -> None: ...

        def succeeded(self) -> None: ...

        def failed(self, why: str) -> None: ...

        def throttled(self, seconds: float, why: str) -> None: ...

        def ignored(self) -> None: ...

    monkeypatch.setattr(protection, "permit", lambda _key, **_seconds: Always())
    _script(upstream, _broken(faults.failing(500)))
    asked = model(route("main", deployment("bad"), deployment("good"), **QUICK))
    assert _well(_many(lambda: _streamed(asked), 100)) == 100
    assert upstream.of("bad").requests >= 100


def test_an_open_one_gets_its_probe_and_is_used_again_when_it_is_well(
    upstream: Upstream, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protection, "POLICY", Policy(failures=3, open_seconds=0.2))
    _script(upstream, replace(WELL, faults=(faults.failing(500),), times=4), WELL)
    asked = model(route("main", deployment("bad"), deployment("good"), **QUICK))
    for _call in until(lambda: upstream.of("bad").requests >= 3):
        assert _streamed(asked) == TEXT
    assert _is_open("bad")
    # One probe fails, a later one goes well.
    for _call in until(lambda: ModelCall.objects.filter(model="bad", outcome="succeeded").exists()):
        assert _streamed(asked) == TEXT
    assert not _is_open("bad")
    assert upstream.of("bad").requests <= 10


def test_when_all_are_open_a_call_fails_at_once_and_says_for_how_long(upstream: Upstream, model: Model) -> None:
    upstream.script(bad=_broken(faults.failing(500)), worse=_broken(faults.failing(500)))
    asked = model(route("main", deployment("bad"), deployment("worse"), **QUICK))
    for _call in until(lambda: _is_open("bad") and _is_open("worse")):
        with pytest.raises(GatewayError):
            asked.invoke("hi")
    before = upstream.of("bad").requests + upstream.of("worse").requests
    with pytest.raises(AllDeploymentsOpen) as raised:
        asked.invoke("hi")
    assert upstream.of("bad").requests + upstream.of("worse").requests == before
    assert raised.value.retry_after is not None
    assert 0 < raised.value.retry_after <= 60
    assert raised.value.retryable


@pytest.mark.parametrize("fault", [faults.refused_by_policy(), faults.failing(400), faults.too_long()])
def test_what_the_caller_did_wrong_opens_nothing(fault: Fault, upstream: Upstream, model: Model) -> None:
    upstream.script(picky=_broken(fault))
    asked = model(route("main", deployment("picky"), **QUICK))
    assert all(isinstance(each, GatewayError) for each in _many(lambda: asked.invoke("hi"), 40))
    assert not _is_open("picky")
    assert upstream.of("picky").requests == 40


def test_a_429_holds_back_its_own_deployment_only_for_as_long_as_it_asks(upstream: Upstream, model: Model) -> None:
    upstream.script(
        bad=(replace(WELL, faults=(faults.rate_limited(0.3),), times=1), WELL),
        good=WELL,
    )
    asked = model(route("main", deployment("bad"), deployment("good"), **QUICK))
    assert _streamed(asked) == TEXT
    assert _is_open("bad")
    assert not _is_open("good")
    for _call in until(lambda: upstream.of("bad").requests == 2):
        assert _streamed(asked) == TEXT
    assert not _is_open("bad")


def _is_open(name: str) -> bool:
    from agents.gateway.models import Deployment

    key = f"deployment:{Deployment.objects.get(name=name).pk}"
    return protection.circuits().states([key])[key].state == "open"


def until(is_so: Callable[[], bool], *, within: float = 20) -> Iterator[None]:
    """Rounds, until it is so."""
    ends = time.monotonic() + within
    while not is_so():
        assert time.monotonic() < ends, "it did not come to that"
        yield
