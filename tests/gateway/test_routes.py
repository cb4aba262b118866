"""Where calls go."""

from __future__ import annotations

import functools
import itertools
import operator
import time
import uuid
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from agents.circuits import protection
from agents.gateway import picking, prices, routing
from agents.gateway.exceptions import (
    ContentRefused,
    ContextWindowExceeded,
    ModelRateLimited,
    ModelRejected,
    PriceUnknown,
    UnknownRoute,
)
from agents.gateway.models import Deployment, ModelCall, Price, Route
from agents.gateway.providers import validate_model_name
from agents.gateway.routing import DeploymentData, RouteData
from foundation.breakers import CircuitOpen
from tests.gateway.conftest import Model
from tests.gateway.routes import deployment, route
from tests.upstream import faults
from tests.upstream.client import Upstream
from tests.upstream.script import Behaviour, Fault

pytestmark = pytest.mark.django_db


def _broken(fault: Fault) -> Behaviour:
    return Behaviour(latency=0.001, faults=(fault,))


def _data(name: str, weight: int = 1) -> DeploymentData:
    return DeploymentData(f"deployment:{name}", "openai", name, name=name, id=uuid.uuid4(), weight=weight)


def test_a_route_is_called_by_its_name_and_the_record_says_where_it_went(upstream: Upstream, model: Model) -> None:
    upstream.script(first=_broken(faults.failing(503)))
    first, second = deployment("first"), deployment("second", model="gpt", parameters={"temperature": 0.25})
    answer = model(route("main", first, second), {"top_p": 0.5}).invoke("hi")
    assert answer.response_metadata["model_name"] == "gpt"
    row = ModelCall.objects.get()
    assert (row.route, row.deployment_id, row.provider, row.model) == ("route:main", second.pk, "openai", "gpt")
    assert [(each["deployment"], each["outcome"], each["error"]) for each in row.tries] == [
        ("first", "failed", "ModelUnavailable"), ("second", "succeeded", ""),
    ]  # fmt: skip
    asked = upstream.requests()[-1].body
    assert (asked["temperature"], asked["top_p"]) == (0.25, 0.5)


def test_weights_say_how_often_each_is_first() -> None:
    found = RouteData("main", (_data("a", 3), _data("b", 1), _data("never", 0)), strategy=Route.Strategy.WEIGHTED)
    firsts, lasts = Counter[str](), Counter[str]()
    for _call in range(2000):
        order = routing.ordered(found)
        firsts[order[0].name] += 1
        lasts[order[-1].name] += 1
    assert firsts["a"] / 2000 == pytest.approx(0.75, abs=0.05)
    assert lasts == {"never": 2000}


def test_the_quickest_is_asked_first_mostly_and_what_is_unknown_before_it() -> None:
    slow, quick, unknown = _data("slow"), _data("quick"), _data("unknown")
    for _call in range(10):
        routing.note_latency(slow, 0.9)
        routing.note_latency(quick, 0.1)
    known = RouteData("main", (slow, quick), strategy=Route.Strategy.LATENCY)
    firsts = Counter(routing.ordered(known)[0].name for _call in range(1000))
    assert 900 < firsts["quick"] < 1000
    more = RouteData("main", (slow, quick, unknown), strategy=Route.Strategy.LATENCY)
    assert Counter(routing.ordered(more)[0].name for _call in range(100))["unknown"] > 80


def test_routes_are_read_with_two_queries_and_then_remembered(
    upstream: Upstream, model: Model, django_assert_num_queries: Any, settings: Any
) -> None:
    settings.ROUTE_CACHE_SECONDS = 60
    target = route("main", deployment("first"), deployment("second"))
    with django_assert_num_queries(2):
        routing.find(target)
    with django_assert_num_queries(0):
        for _call in range(5):
            routing.find(target)


def test_no_query_is_made_for_a_call_that_is_not_the_first(
    upstream: Upstream, model: Model, django_assert_num_queries: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ROUTE_CACHE_SECONDS = settings.TASK_SETTINGS_CACHE_SECONDS = 60
    rows: list[Any] = []
    monkeypatch.setattr("agents.gateway.ledger.calls.add", rows.append)
    asked = model(route("main", deployment("first")))
    asked.invoke("hi")
    with django_assert_num_queries(0):
        asked.invoke("hi")
        list(asked.stream("hi"))
    assert len(rows) == 3


def test_a_route_that_has_just_been_made_is_found(settings: Any) -> None:
    settings.ROUTE_CACHE_SECONDS = 60
    with pytest.raises(UnknownRoute):
        routing.find("route:main")
    Route.objects.create(name="main")
    assert routing.find("route:main").name == "main"


def test_what_cannot_be_called_says_why(upstream: Upstream, model: Model) -> None:
    with pytest.raises(UnknownRoute, match="nowhere"):
        validate_model_name("route:nowhere")
    with pytest.raises(UnknownRoute, match="nowhere"):
        model("route:nowhere")
    Route.objects.create(name="off", is_enabled=False)
    with pytest.raises(UnknownRoute):
        validate_model_name("route:off")
    target = route("empty", deployment("asleep", is_enabled=False))
    validate_model_name(target)
    with pytest.raises(UnknownRoute, match="empty"):
        model(target).invoke("hi")
    assert upstream.requests() == []


def test_a_deployment_that_is_switched_off_is_passed_by(upstream: Upstream, model: Model) -> None:
    target = route("main", deployment("first"), deployment("second"))
    Deployment.objects.filter(name="first").update(is_enabled=False)
    routing.forget()
    model(target).invoke("hi")
    assert [each.deployment for each in upstream.requests()] == ["second"]


@pytest.mark.parametrize(
    ("fault", "field", "error"),
    [
        (faults.too_long(), "longer_route", ContextWindowExceeded),
        (faults.refused_by_policy(), "refused_route", ContentRefused),
        (faults.filtered(), "refused_route", None),
    ],
)
def test_what_is_too_long_or_refused_has_a_route_of_its_own(
    fault: Fault, field: str, error: type[Exception] | None, upstream: Upstream, model: Model
) -> None:
    upstream.script(small=_broken(fault), small2=Behaviour())
    other = route("other", deployment("large"))
    small, small2 = deployment("small"), deployment("small2")
    for streamed in (True, False):
        target = route(f"main-{streamed}".lower(), small, small2, **{field: Route.objects.get(name="other")})
        asked = model(target)
        answer = functools.reduce(operator.add, asked.stream("hi")) if streamed else asked.invoke("hi")
        assert answer.text == Behaviour().text
    assert other
    assert upstream.of("small2").requests == 0
    assert upstream.of("large").requests == 2
    plain = model(route("plain", small, small2))
    if error is None:
        assert plain.invoke("hi").response_metadata["finish_reason"] == "content_filter"
    else:
        with pytest.raises(error):
            plain.invoke("hi")


def test_routes_that_lead_to_each_other_are_each_taken_once(upstream: Upstream, model: Model) -> None:
    upstream.script(a=_broken(faults.too_long()), b=_broken(faults.too_long()))
    target = route("one", deployment("a"))
    route("two", deployment("b"), longer_route=Route.objects.get(name="one"))
    Route.objects.filter(name="one").update(longer_route=Route.objects.get(name="two"))
    routing.forget()
    with pytest.raises(ContextWindowExceeded):
        model(target).invoke("hi")
    assert [each.deployment for each in upstream.requests()] == ["a", "b"]


def test_a_wrong_key_or_an_unknown_model_is_passed_by_and_a_wrong_request_is_not(
    upstream: Upstream, model: Model
) -> None:
    good = deployment("good")
    upstream.script(
        locked=_broken(faults.unauthorized()),
        missing=_broken(faults.unknown_model()),
        strict=_broken(faults.failing(400)),
    )
    model(route("main", deployment("locked"), deployment("missing"), good)).invoke("hi")
    assert [each.deployment for each in upstream.requests()] == ["locked", "missing", "good"]
    with pytest.raises(ModelRejected):
        model(route("other", deployment("strict"), good)).invoke("hi")
    assert [each.deployment for each in upstream.requests()][3:] == ["strict"]


def test_a_task_with_a_cost_limit_passes_by_what_has_no_price(upstream: Upstream, model: Model) -> None:
    target = route("main", deployment("dear"), deployment("priced"))
    with pytest.raises(PriceUnknown):
        model(target, cost_limit=Decimal(1)).invoke("hi")
    Price.objects.create(
        provider="openai", model="priced", valid_from="2025-01-01T00:00Z", input_price=1, output_price=1
    )
    prices.forget()
    model(target, cost_limit=Decimal(1)).invoke("hi")
    assert [each.deployment for each in upstream.requests()] == ["priced"]
    model(target).invoke("hi")
    assert [each.deployment for each in upstream.requests()] == ["priced", "dear"]


def test_a_full_deployment_is_passed_by_and_full_ones_are_waited_for_a_little(
    upstream: Upstream, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = deployment("small", most_requests=1)
    asked = model(route("main", small, deployment("large")))
    for _call in range(3):
        asked.invoke("hi")
    assert [each.deployment for each in upstream.requests()] == ["small", "large", "large"]
    monkeypatch.setattr(picking, "LONGEST_FULL_SECONDS", 0.05)
    began = time.monotonic()
    with pytest.raises(ModelRateLimited) as raised:
        model(route("alone", small)).invoke("hi")
    assert raised.value.retry_after is not None
    assert time.monotonic() - began < 5


def test_a_place_is_given_back_however_the_call_ends(upstream: Upstream, model: Model) -> None:
    upstream.script(
        one=(
            Behaviour(times=1, faults=(faults.refused_by_policy(),)), Behaviour(times=1, pieces=3), Behaviour(),
        )
    )  # fmt: skip
    row = deployment("one", most_concurrent=1)
    asked = model(route("main", row))
    with pytest.raises(ContentRefused):
        asked.invoke("hi")
    stream: Any = asked.stream("hi")
    next(stream)
    assert picking.capacity.load(f"deployment:{row.pk}").places == 1
    stream.close()
    asked.invoke("hi")
    assert picking.capacity.load(f"deployment:{row.pk}").places == 0


def test_another_deployment_is_preferred_to_waiting(
    upstream: Upstream, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(picking.Picker, "_wait", lambda _self, seconds: waits.append(seconds))
    upstream.script(first=_broken(faults.failing(500)))
    model(route("main", deployment("first"), deployment("second"))).invoke("hi")
    assert waits == []


def test_a_short_retry_after_is_waited_for_and_a_long_one_is_not(
    upstream: Upstream, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    wait = picking.Picker._wait

    def waited(self: Any, seconds: float) -> None:
        waits.append(seconds)
        wait(self, seconds)

    monkeypatch.setattr(picking.Picker, "_wait", waited)
    upstream.script(
        short=(_times(faults.rate_limited(0.2)), Behaviour()),
        date=(_times(faults.rate_limited(1, as_date=True)), Behaviour()),
        long=(_times(faults.rate_limited(30)), Behaviour()),
    )
    assert model("openai:short").invoke("hi").text
    assert 0.2 <= waits[0] < 0.3
    assert model("openai:date").invoke("hi").text
    assert 0 <= sum(waits[1:]) < 1.5
    count = len(waits)
    with pytest.raises(ModelRateLimited) as raised:
        model("openai:long").invoke("hi")
    assert (raised.value.retry_after, len(waits)) == (30, count)


def test_a_circuit_that_an_operator_holds_open_is_kept_to(
    upstream: Upstream, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = deployment("first"), deployment("second")

    def permit(key: str, **seconds: Any) -> Any:
        if key == f"deployment:{first.pk}":
            raise CircuitOpen(key, retry_after=5, why="held open")
        return real(key, **seconds)

    real = protection.permit
    monkeypatch.setattr(protection, "permit", permit)
    model(route("main", first, second)).invoke("hi")
    assert [each.deployment for each in upstream.requests()] == ["second"]


def test_a_model_may_be_named_for_one_call_but_not_in_the_place_of_a_route(upstream: Upstream, model: Model) -> None:
    model("openai:m").invoke("hi", model="other")
    row = ModelCall.objects.get()
    assert (row.route, row.model) == ("openai:other", "other")
    with pytest.raises(ModelRejected):
        model(route("main", deployment("first"))).invoke("hi", model="other")


def test_a_secret_or_address_that_changes_is_used_from_then_on(upstream: Upstream, model: Model, settings: Any) -> None:
    settings.EGRESS_ALLOW_HTTP, settings.EGRESS_ALLOWED_HOSTS = True, ["127.0.0.0/8"]
    row = deployment("first", url=upstream.url, secret="sk-one")
    asked = model(route("main", row))
    for _call in range(3):
        asked.invoke("hi")
    assert upstream.connections() == 1
    assert row.credential is not None
    row.credential.secret = "sk-two"
    row.credential.save()
    routing.forget()
    asked.invoke("hi")
    said = [each.headers["authorization"] for each in upstream.requests()]
    assert said == [*itertools.repeat("Bearer sk-one", 3), "Bearer sk-two"]


def test_an_entered_address_that_is_not_public_is_not_asked(upstream: Upstream, model: Model, settings: Any) -> None:
    settings.EGRESS_ALLOW_HTTP, settings.EGRESS_ALLOWED_HOSTS = True, []
    with pytest.raises(ModelRejected):
        model(route("main", deployment("first", url=upstream.url))).invoke("hi")
    assert upstream.requests() == []


def test_a_credential_without_an_address_goes_to_the_provider_not_to_the_environments(
    upstream: Upstream, model: Model
) -> None:
    from agents.gateway.building import OPENAI_URL, build
    from agents.gateway.routing import CredentialData

    built: Any = build("openai", "m", {}, credential=CredentialData(uuid.uuid4(), "", "sk-entered"))
    assert str(built.root_client.base_url).rstrip("/") == OPENAI_URL
    assert built.root_client.api_key == "sk-entered"


def _times(fault: Fault) -> Behaviour:
    return Behaviour(faults=(fault,), times=1)
