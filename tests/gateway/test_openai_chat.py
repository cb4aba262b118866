"""What goes to servers that speak OpenAI's protocol, and what comes of it."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from accounts.audit import SYSTEM
from agents.gateway import events, wire
from agents.gateway.building import model_of
from agents.gateway.events import data_of
from agents.gateway.exceptions import BrokenAnswer, GatewayError, ModelRejected, ModelTimeout
from agents.gateway.local_chat import LocalChatModel
from agents.gateway.models import ModelCall
from agents.gateway.routing import deployment_data
from agents.gateway.trying import try_deployment
from tests.gateway.conftest import Model
from tests.gateway.listening import listening
from tests.gateway.routes import deployment, route
from tests.upstream.client import Upstream
from tests.upstream.script import Behaviour

pytestmark = pytest.mark.django_db(transaction=True)

# Of no form that tells it for a secret.
SECRET = "9b1f04c2d8e37a65b0c4f1e2a3d49876"
RESPONSES = {"use_responses_api": True}


@pytest.fixture(autouse=True)
def _here(settings: Any) -> None:
    settings.EGRESS_ALLOW_HTTP, settings.EGRESS_ALLOWED_HOSTS = True, ["127.0.0.0/8"]


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> None:
    """What OpenAI's client takes from the environment by itself."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-environment")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-env")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-env")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "x-proxy-secret: TOPSECRET-env\nAuthorization: Bearer of-env")


@pytest.mark.parametrize("way", ["stream", "invoke"])
@pytest.mark.parametrize("parameters", [{}, RESPONSES, {"organization": "org-own"}])
def test_an_entered_address_is_told_nothing_of_the_environments_account(
    parameters: dict[str, Any], way: str, account: None, model: Model
) -> None:
    with listening() as heard:
        target = route("main", deployment("only", url=heard.url, secret=SECRET, parameters=parameters))
        with pytest.raises(ModelRejected):
            list(model(target).stream("hi")) if way == "stream" else model(target).invoke("hi")
    (headers,) = heard.headers
    assert headers["authorization"] == f"Bearer {SECRET}"
    assert headers.get("openai-organization") == parameters.get("organization")
    assert "openai-project" not in headers
    assert "env" not in str(headers)


def test_the_client_for_calls_in_an_event_loop_is_told_nothing_either(account: None) -> None:
    row = deployment("only", url="https://8.8.8.8/v1", secret=SECRET)
    made: Any = model_of(deployment_data(row), "{}")
    assert "env" not in str(made.root_async_client.default_headers)
    assert "env" not in str(made.root_client.default_headers)


def test_nor_is_the_local_models_server(account: None, settings: Any) -> None:
    settings.LOCAL_MODEL_URL = "http://127.0.0.1:9"
    _url, headers = LocalChatModel()._client(None)._addressed()
    assert "env" not in str(headers)


def test_the_environments_own_address_is_told_all_of_it(
    account: None, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    with listening() as heard:
        monkeypatch.setenv("OPENAI_BASE_URL", heard.url)
        with pytest.raises(ModelRejected):
            model("openai:m").invoke("hi")
    (headers,) = heard.headers
    names = ("openai-organization", "openai-project", "x-proxy-secret")
    assert [headers[name] for name in names] == ["org-env", "project-env", "TOPSECRET-env"]


@pytest.mark.filterwarnings("ignore:Parameters .* should be specified explicitly")
@pytest.mark.parametrize(
    ("parameters", "options"),
    [
        ({"extra_body": {"top_k": 5, "temperature": 1}}, {}),
        ({"model_kwargs": {"extra_body": {"top_k": 5, "temperature": 1}}}, {}),
        ({}, {"extra_body": {"top_k": 5, "temperature": 1}}),
        ({}, {"extra_body": {"top_k": 5, "temperature": 1}, "extra_headers": {"x-any": "1"}}),
    ],
)  # fmt: skip
def test_an_extra_body_is_part_of_the_body(
    parameters: dict[str, Any], options: dict[str, Any], upstream: Upstream, model: Model
) -> None:
    asked = model(route("main", deployment("only", parameters={"temperature": 0.5, **parameters})))
    asked.invoke("hi", **options)
    list(asked.stream("hi", **options))
    bodies = [each.body for each in upstream.requests()]
    assert [(each["top_k"], each["temperature"], "extra_body" in each) for each in bodies] == [(5, 1, False)] * 2
    assert [each["model"] for each in bodies] == ["only", "only"]


@pytest.mark.parametrize("name", ["model", "messages", "input", "stream", "models", "fallbacks"])
@pytest.mark.parametrize("parameters", [{}, RESPONSES])
def test_an_extra_body_makes_no_other_call_of_it(
    name: str, parameters: dict[str, Any], upstream: Upstream, model: Model
) -> None:
    row = deployment("only", parameters=parameters)
    later = deployment("stored", parameters={**parameters, "extra_body": {name: "another"}})
    with pytest.raises(ModelRejected, match=name):
        model(route("main", row)).invoke("hi", extra_body={name: "another"})
    with pytest.raises(ModelRejected, match=name):
        list(model(route("other", later)).stream("hi"))
    assert upstream.requests() == []


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_a_model_that_thinks_aloud_is_not_late(field: str, upstream: Upstream, model: Model) -> None:
    upstream.script(only=Behaviour(text="Yes.", thoughts=12, thinks_in=field, pause=0.1))
    asked = model(route("main", deployment("only"), first_token_seconds=0.6, stall_seconds=0.6, most_tries=1))
    began = time.monotonic()
    assert "".join(piece.text for piece in asked.stream("hi")) == "Yes."
    assert time.monotonic() - began > 1.2
    assert ModelCall.objects.get().outcome == "succeeded"


def test_empty_thoughts_keep_nothing_alive(upstream: Upstream, model: Model) -> None:
    """The control of the test above: in a field that nobody knows they are no thoughts."""
    upstream.script(only=Behaviour(text="Yes.", thoughts=12, thinks_in="musings", pause=0.1))
    asked = model(route("main", deployment("only"), first_token_seconds=0.6, stall_seconds=0.6, most_tries=1))
    with pytest.raises(ModelTimeout):
        list(asked.stream("hi"))


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (400, b'{"error": {"message": "no such key: %s"}}'),
        # Inside a stream.
        (200, b'data: {"error": {"message": "no such key: %s"}}\n\n'),
    ],
)
def test_an_error_that_quotes_a_stored_secret_is_told_without_it(status: int, answer: bytes, model: Model) -> None:
    with listening(answer % SECRET.encode(), status=status) as heard:
        row = deployment("only", url=heard.url, secret=SECRET)
        with pytest.raises(GatewayError, match="no such key") as raised:
            list(model(route("main", row, most_tries=1)).stream("hi"))
    assert SECRET not in str(raised.value)
    said = ModelCall.objects.get().error_message
    assert "no such key" in said
    assert SECRET not in said


def test_trying_a_deployment_tells_it_without_its_secret_too() -> None:
    with listening(b'{"error": {"message": "no such key: %s"}}' % SECRET.encode()) as heard:
        result = try_deployment(deployment("only", url=heard.url, secret=SECRET), SYSTEM)
    assert "no such key" in result.error
    assert SECRET not in result.error


def _padded(size: int) -> bytes:
    """An answer of about so many bytes."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "x" * size}, "finish_reason": "stop"}
    return json.dumps(
        {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    ).encode()


@pytest.fixture
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "LONGEST_ANSWER", 200_000)
    monkeypatch.setattr(wire, "LONGEST_STREAM", 200_000)
    monkeypatch.setattr(events, "LONGEST_EVENT", 100_000)


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize("headers", [{"Content-Encoding": "gzip"}, {}])
def test_an_answer_has_a_longest(headers: dict[str, str], model: Model) -> None:
    for size, is_read in ((150_000, True), (250_000, False)):
        body = gzip.compress(_padded(size)) if headers else _padded(size)
        with listening(body, status=200, headers=headers) as heard:
            asked = model(route(f"of-{size}", deployment(f"of-{size}", url=heard.url), most_tries=1))
            if is_read:
                assert len(asked.invoke("hi").text) == size
            else:
                with pytest.raises(BrokenAnswer):
                    asked.invoke("hi")


@pytest.mark.usefixtures("_small")
def test_an_answer_that_openais_client_reads_has_a_longest_too(model: Model) -> None:
    body = gzip.compress(_padded(250_000))
    with listening(body, status=200, headers={"Content-Encoding": "gzip"}) as heard:
        row = deployment("only", url=heard.url, parameters=RESPONSES)
        with pytest.raises(BrokenAnswer, match="longer than is read"):
            model(route("main", row, most_tries=1)).invoke("hi")


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize("answer", [b"data: x\n" * 20_000, b"data: " + b"x" * 150_000, b": ping\n\n" * 40_000])
def test_a_stream_without_end_is_broken(answer: bytes, model: Model) -> None:
    with listening(answer, status=200) as heard:
        asked = model(route("main", deployment("only", url=heard.url), most_tries=1))
        with pytest.raises(BrokenAnswer):
            list(asked.stream("hi"))


def test_the_lines_of_one_event_are_bounded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "LONGEST_EVENT", 1_000)

    def endless() -> Iterator[bytes]:
        while True:
            yield b"data: xxxxxxxxxx\n"

    with pytest.raises(BrokenAnswer):
        list(data_of(endless()))
    many = [b"data: xxxxxxxxxx\n\n"] * 1_000
    assert len(list(data_of(many))) == 1_000


@pytest.mark.parametrize("parameters", [{}, RESPONSES])
def test_of_a_long_refusal_the_beginning_is_read(parameters: dict[str, Any], model: Model) -> None:
    # As a whole it is no JSON, and would tell nothing.
    answer = b'{"error": {"message": "Such a model is not here."}}' + b" " * 100_000 + b"and so on" * 1_000
    with listening(answer, status=404) as heard:
        row = deployment("only", url=heard.url, parameters=parameters)
        with pytest.raises(ModelRejected, match="Such a model is not here"):
            model(route("main", row, most_tries=1)).invoke("hi")
