"""Every fault reaches OpenAI's own client as the error that it would be."""

from __future__ import annotations

import json
import threading
import time
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import openai
import pytest

from tests.upstream import client, faults
from tests.upstream.client import Upstream
from tests.upstream.script import Behaviour, Fault

pytestmark = pytest.mark.embedded

HELLO: Any = [{"role": "user", "content": "Hello"}]


def misbehave(upstream: Upstream, *given: Fault, **more: Any) -> None:
    upstream.script(m=Behaviour(**{"text": "One two three four", "latency": 0, "faults": given, **more}))


def invoke(asked: openai.OpenAI) -> str | None:
    return asked.chat.completions.create(model="m", messages=HELLO).choices[0].message.content


def listen(asked: openai.OpenAI, heard: list[str]) -> str | None:
    """Puts what it hears into the list; gives why it ended."""
    reason = None
    for chunk in asked.chat.completions.create(model="m", messages=HELLO, stream=True):
        for choice in chunk.choices:
            heard += [choice.delta.content] if choice.delta.content else []
            reason = choice.finish_reason or reason
    return reason


@pytest.mark.parametrize(
    ("fault", "kind", "code"),
    [
        (faults.rate_limited(), openai.RateLimitError, "rate_limit_exceeded"),
        (faults.out_of_quota(), openai.RateLimitError, "insufficient_quota"),
        (faults.unauthorized(), openai.AuthenticationError, "invalid_api_key"),
        (faults.too_long(), openai.BadRequestError, "context_length_exceeded"),
        (faults.refused_by_policy(), openai.BadRequestError, "content_filter"),
        (faults.unknown_model(), openai.NotFoundError, "model_not_found"),
        (faults.failing(500), openai.InternalServerError, None),
        (faults.failing(502), openai.InternalServerError, None),
        (faults.failing(503), openai.InternalServerError, None),
        (faults.failing(529), openai.InternalServerError, None),
    ],
)
def test_errors_are_openai_s(
    upstream: Upstream,
    openai_client: openai.OpenAI,
    fault: Fault,
    kind: type[openai.APIStatusError],
    code: str | None,
) -> None:
    misbehave(upstream, fault)
    for is_stream in (False, True):
        with pytest.raises(kind) as found:
            _ = listen(openai_client, []) if is_stream else invoke(openai_client)
        assert (found.value.status_code, found.value.code) == (fault.status, code)
        assert "sk-ana" not in str(found.value)
    assert upstream.of("m").faults == 2


def test_retry_after_comes_in_seconds_or_as_a_date(upstream: Upstream, openai_client: openai.OpenAI) -> None:
    misbehave(upstream, faults.rate_limited(7))
    with pytest.raises(openai.RateLimitError) as found:
        invoke(openai_client)
    assert found.value.response.headers["retry-after"] == "7"
    misbehave(upstream, faults.rate_limited(60, as_date=True))
    with pytest.raises(openai.RateLimitError) as found:
        invoke(openai_client)
    until = parsedate_to_datetime(found.value.response.headers["retry-after"]).timestamp()
    assert 50 < until - time.time() <= 60


def test_a_storm_ends_after_so_many_requests(upstream: Upstream, openai_client: openai.OpenAI) -> None:
    storm = Behaviour(latency=0, faults=(faults.rate_limited(1),), times=3)
    upstream.script(m=[storm, Behaviour(text="calm", latency=0)])
    for _ in range(3):
        with pytest.raises(openai.RateLimitError):
            invoke(openai_client)
    assert invoke(openai_client) == "calm"


def test_a_storm_ends_after_so_many_seconds(upstream: Upstream, openai_client: openai.OpenAI) -> None:
    storm = Behaviour(latency=0, faults=(faults.failing(503),), seconds=0.2)
    upstream.script(m=[storm, Behaviour(text="calm", latency=0)])
    began, said = time.monotonic(), None
    while said is None and time.monotonic() < began + 10:
        try:
            said = invoke(openai_client)
        except openai.InternalServerError:
            continue
    assert said == "calm"
    assert time.monotonic() - began >= 0.2
    assert upstream.of("m").faults == upstream.of("m").requests - 1


def test_a_connection_is_dropped_or_refused(upstream: Upstream, openai_client: openai.OpenAI) -> None:
    misbehave(upstream, faults.dropped())
    with pytest.raises(openai.APIConnectionError) as found:
        invoke(openai_client)
    assert "reset" in str(found.value.__cause__)
    with client.closed_port() as url, pytest.raises(openai.APIConnectionError) as found:
        invoke(openai_client.with_options(base_url=url))
    assert "refused" in str(found.value.__cause__)


def test_a_stream_is_cut_by_a_reset_after_its_first_pieces(upstream: Upstream, openai_client: openai.OpenAI) -> None:
    misbehave(upstream, faults.cut(after=2))
    heard: list[str] = []
    with pytest.raises(openai.APIConnectionError):
        listen(openai_client, heard)
    assert heard == ["One", " two"]


def test_a_stream_ends_early_as_if_it_were_over(upstream: Upstream, openai_client: openai.OpenAI) -> None:
    misbehave(upstream, faults.cut(after=2, reset=False))
    heard: list[str] = []
    assert listen(openai_client, heard) is None, "there is no finish reason"
    assert heard == ["One", " two"]


def test_a_stream_is_truncated_in_the_middle_of_its_frames(upstream: Upstream, openai_client: openai.OpenAI) -> None:
    misbehave(upstream, faults.truncated())
    heard: list[str] = []
    with pytest.raises(openai.APIConnectionError):
        listen(openai_client, heard)
    assert heard == ["One"]


@pytest.mark.parametrize("pings", [False, True])
def test_a_stalled_stream_is_silent_until_the_client_leaves(
    upstream: Upstream, openai_client: openai.OpenAI, *, pings: bool
) -> None:
    misbehave(upstream, faults.stalled(after=1, pings=pings))
    lines: list[str] = []
    body = {"model": "m", "messages": HELLO, "stream": True}
    wanted = 3 if pings else 0
    with httpx.stream(
        "POST", f"{upstream.url}/chat/completions", json=body, headers={"Authorization": "Bearer sk"}, timeout=0.5
    ) as answer:
        given = answer.iter_lines()
        while sum(line == ": ping" for line in lines) < wanted or not any("One" in line for line in lines):
            lines.append(next(given))
        if not pings:
            assert next(given) == ""
            with pytest.raises(httpx.ReadTimeout):
                next(given)
    assert not any("two" in line for line in lines)
    upstream.wait("m", "abandoned", 1)


def test_a_piece_is_no_json(upstream: Upstream, openai_client: openai.OpenAI) -> None:
    misbehave(upstream, faults.malformed(after=2))
    heard: list[str] = []
    with pytest.raises(json.JSONDecodeError):
        listen(openai_client, heard)
    assert heard == ["One", " two"]


def test_an_error_stands_where_a_piece_should_be(upstream: Upstream, openai_client: openai.OpenAI) -> None:
    misbehave(upstream, faults.error_inside(after=1))
    heard: list[str] = []
    with pytest.raises(openai.APIError, match="had an error"):
        listen(openai_client, heard)
    assert heard == ["One"]


def test_a_fault_may_come_before_the_first_piece(upstream: Upstream, openai_client: openai.OpenAI) -> None:
    misbehave(upstream, faults.cut(after=0))
    heard: list[str] = []
    with pytest.raises(openai.APIConnectionError):
        listen(openai_client, heard)
    assert heard == []


def test_the_first_token_may_be_late(upstream: Upstream, openai_client: openai.OpenAI) -> None:
    misbehave(upstream, faults.slow(5))
    with pytest.raises(openai.APITimeoutError):
        invoke(openai_client.with_options(timeout=0.1))
    upstream.wait("m", "abandoned", 1)
    misbehave(upstream, faults.slow(0.2))
    began = time.monotonic()
    assert invoke(openai_client) == "One two three four"
    assert time.monotonic() - began >= 0.2


def test_an_answer_may_be_json_of_another_kind_or_have_nothing_in_it(
    upstream: Upstream, openai_client: openai.OpenAI
) -> None:
    misbehave(upstream, faults.wrong_json())
    answer = openai_client.chat.completions.create(model="m", messages=HELLO)
    assert answer.choices is None
    misbehave(upstream, faults.no_choices())
    assert openai_client.chat.completions.create(model="m", messages=HELLO).choices == []
    heard: list[str] = []
    assert listen(openai_client, heard) is None
    assert heard == []


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (faults.malformed(), json.JSONDecodeError),
        (faults.truncated(), openai.APIConnectionError),
        (faults.cut(), openai.APIConnectionError),
    ],
)
def test_an_answer_that_is_no_stream_breaks_too(
    upstream: Upstream, openai_client: openai.OpenAI, fault: Fault, kind: type[Exception]
) -> None:
    misbehave(upstream, fault)
    with pytest.raises(kind):
        invoke(openai_client)


def test_a_proxy_in_between_speaks_html(upstream: Upstream, openai_client: openai.OpenAI) -> None:
    misbehave(upstream, faults.proxy_page(502))
    with pytest.raises(openai.InternalServerError) as found:
        invoke(openai_client)
    assert "<html>" in found.value.response.text


def test_an_answer_may_be_filtered(upstream: Upstream, openai_client: openai.OpenAI) -> None:
    misbehave(upstream, faults.filtered(after=1))
    heard: list[str] = []
    assert listen(openai_client, heard) == "content_filter"
    assert heard == ["One"]
    assert openai_client.chat.completions.create(model="m", messages=HELLO).choices[0].finish_reason == "content_filter"


def test_many_at_a_time_are_counted(upstream: Upstream, openai_client: openai.OpenAI) -> None:
    upstream.script(m=Behaviour(holds_after=0, latency=0))
    callers = [threading.Thread(target=invoke, args=(openai_client,)) for _ in range(20)]
    for caller in callers:
        caller.start()
    upstream.wait("m", "in_flight", 20)
    upstream.release()
    for caller in callers:
        caller.join(10)
    counts = upstream.of("m")
    assert (counts.most_in_flight, counts.completed, counts.in_flight) == (20, 20, 0)
