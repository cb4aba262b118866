"""The scripted upstream speaks as OpenAI does: its own client and LangChain's understand it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, SecretStr

from tests.upstream import client, faults
from tests.upstream.client import Upstream
from tests.upstream.script import OTHERS, Behaviour, Call

pytestmark = pytest.mark.embedded

HELLO: Any = [{"role": "user", "content": "Hello"}]
QUICK = Behaviour(latency=0)


class Weather(BaseModel):
    """The weather in a place."""

    place: str
    degrees: int


@pytest.fixture
def chat(upstream: Upstream) -> Iterator[ChatOpenAI]:
    """LangChain's own; its connections are closed afterwards."""
    with httpx2.Client(timeout=5) as connections:
        yield ChatOpenAI(
            model="m",
            base_url=upstream.url,
            api_key=SecretStr("sk-ana-123456"),
            max_retries=0,
            http_client=connections,
        )


def test_an_answer_has_everything_that_an_answer_has(upstream: Upstream, openai_client: openai.OpenAI) -> None:
    upstream.script(m=Behaviour(text="One two three", cached_tokens=5, reasoning_tokens=4, prompt_tokens=20))
    answer = openai_client.chat.completions.create(model="m", messages=HELLO)
    assert answer.choices[0].message.content == "One two three"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (20, 7, 27)
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == 5
    assert answer.usage.completion_tokens_details is not None
    assert answer.usage.completion_tokens_details.reasoning_tokens == 4
    assert (answer.model, answer.object, answer.system_fingerprint) == ("m", "chat.completion", "fp_scripted")


def test_a_stream_says_the_same_in_pieces_and_counts_when_asked(
    upstream: Upstream, openai_client: openai.OpenAI
) -> None:
    upstream.script(m=Behaviour(text="One two three", pause=0.001))
    chunks = [*openai_client.chat.completions.create(model="m", messages=HELLO, stream=True)]
    assert [chunk.choices[0].delta.content for chunk in chunks] == ["", "One", " two", " three", None]
    assert chunks[-1].choices[0].finish_reason == "stop"
    asked: Any = {"include_usage": True}
    chunks = [*openai_client.chat.completions.create(model="m", messages=HELLO, stream=True, stream_options=asked)]
    assert [chunk.usage is not None for chunk in chunks] == [False] * 5 + [True]
    assert chunks[-1].choices == []


def test_the_most_tokens_and_stop_sequences_end_an_answer(upstream: Upstream, openai_client: openai.OpenAI) -> None:
    upstream.script(m=Behaviour(text="One two three"))
    create = openai_client.chat.completions.create
    short = create(model="m", messages=HELLO, max_tokens=2).choices[0]
    stopped = create(model="m", messages=HELLO, stop=[" three"]).choices[0]
    assert (short.message.content, short.finish_reason) == ("One two", "length")
    assert (stopped.message.content, stopped.finish_reason) == ("One two", "stop")


def test_a_tool_that_the_user_names_is_called_and_its_result_answered(chat: ChatOpenAI) -> None:
    model = chat.bind_tools([Weather])
    first = model.invoke("Call Weather for 21 degrees")
    assert [call["name"] for call in first.tool_calls] == ["Weather"]
    assert Weather.model_validate(first.tool_calls[0]["args"]).degrees == 21
    said = ToolMessage("sunny", tool_call_id=first.tool_calls[0]["id"])
    assert model.invoke([HumanMessage("Call Weather"), first, said]).text.startswith("Good day")


def test_scripted_tool_calls_are_streamed_in_pieces(upstream: Upstream, chat: ChatOpenAI) -> None:
    arguments = json.dumps({"place": "Belém", "degrees": 31})
    upstream.script(m=Behaviour(calls=(Call("Weather", arguments), Call("Weather", arguments))))
    pieces = [*chat.bind_tools([Weather]).stream("Hello")]
    whole = pieces[0]
    for piece in pieces[1:]:
        whole = whole + piece  # type: ignore[assignment]
    assert isinstance(whole, AIMessage)
    assert [call["args"] for call in whole.tool_calls] == [json.loads(arguments)] * 2
    assert sum(len(getattr(piece, "tool_call_chunks", ())) for piece in pieces) > 4
    assert whole.response_metadata["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output_fits_its_schema(chat: ChatOpenAI, method: Any) -> None:
    found = chat.with_structured_output(Weather, method=method).invoke("What is it like at 12 degrees?")
    assert isinstance(found, Weather)
    assert found.degrees == 12


def test_json_mode_answers_in_json_and_wants_the_word(openai_client: openai.OpenAI) -> None:
    create = openai_client.chat.completions.create
    asked: Any = [{"role": "user", "content": "In JSON, please"}]
    answer = create(model="m", messages=asked, response_format={"type": "json_object"})
    assert json.loads(answer.choices[0].message.content or "") == {"answer": Behaviour().text}
    with pytest.raises(openai.BadRequestError, match="must contain the word 'json'"):
        create(model="m", messages=HELLO, response_format={"type": "json_object"})


def test_messages_of_several_parts_are_understood(upstream: Upstream, chat: ChatOpenAI) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    message = HumanMessage([{"type": "text", "text": "What is this?"}, picture])
    assert chat.invoke([message]).text
    assert upstream.requests()[0].body["messages"][0]["content"][0]["text"] == "What is this?"


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([], "Missing required parameter"),
        ([{"role": "boss", "content": "x"}], "Supported values are"),
        ([{"role": "user", "content": [{"type": "smell"}]}], "Supported values are"),
        ([{"role": "tool", "tool_call_id": "1", "content": "x"}], "must be a response to a preceeding message"),
        (
            [{"role": "assistant", "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f"}}]}],
            "did not have response messages: 1",
        ),
    ],
)
def test_wrong_messages_are_refused(openai_client: openai.OpenAI, messages: Any, said: str) -> None:
    with pytest.raises(openai.BadRequestError, match=said):
        openai_client.chat.completions.create(model="m", messages=messages)


def test_what_is_not_there_is_not_found(openai_client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        openai_client.images.generate(model="m", prompt="x")
    with pytest.raises(openai.NotFoundError):
        openai_client.models.retrieve("nothing")


def test_texts_with_words_in_common_have_embeddings_near_each_other(upstream: Upstream) -> None:
    with httpx2.Client() as connections:
        model = OpenAIEmbeddings(
            model="e",
            base_url=upstream.url,
            api_key=SecretStr("sk"),
            check_embedding_ctx_length=False,
            http_client=connections,
        )
        one, like, other, again = model.embed_documents(["a red car", "a red bus", "nothing else", "a red car"])
    assert one == pytest.approx(again)
    assert _dot(one, like) > _dot(one, other) + 0.2
    assert _dot(one, one) == pytest.approx(1, abs=1e-3)


def _dot(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def test_deployments_are_told_apart_by_model_or_by_key_and_counted(
    upstream: Upstream, openai_client: openai.OpenAI
) -> None:
    key = Behaviour(text="key", latency=0)
    upstream.script({"sk-other": key, OTHERS: QUICK}, m=Behaviour(text="model", latency=0))
    other = openai_client.with_options(api_key="sk-other")
    for asked, model in ((openai_client, "m"), (openai_client, "n"), (other, "m"), (openai_client, "m")):
        asked.chat.completions.create(model=model, messages=HELLO)
    counts = upstream.counts()
    assert {name: each.completed for name, each in counts.items()} == {"m": 2, "n": 1, "sk-other": 1}
    assert [each.deployment for each in upstream.requests()] == ["m", "n", "sk-other", "m"]
    assert [model.id for model in openai_client.models.list()] == ["m", "n", "sk-other"]


def test_behaviours_follow_each_other_and_the_last_one_stays(upstream: Upstream, openai_client: openai.OpenAI) -> None:
    upstream.script(m=[Behaviour(text="first", latency=0, times=2), Behaviour(text="then", latency=0)])
    create = openai_client.chat.completions.create
    said = [create(model="m", messages=HELLO).choices[0].message.content for _ in range(4)]
    assert said == ["first", "first", "then", "then"]


def test_a_mix_of_faults_repeats_with_its_seed(upstream: Upstream) -> None:
    mix = Behaviour(latency=0, faults=(faults.failing(500).of(0.3), faults.rate_limited().of(0.2)))

    def outcomes(seed: int) -> list[str | None]:
        upstream.script(m=mix, seed=seed)
        with openai.OpenAI(base_url=upstream.url, api_key="sk", max_retries=0) as asked:
            for _ in range(60):
                _try(asked)
        return [each.fault for each in upstream.requests()]

    first = outcomes(1)
    assert first == outcomes(1) != outcomes(2)
    assert 15 < sum(each is not None for each in first) < 45


def _try(asked: openai.OpenAI) -> None:
    try:
        asked.chat.completions.create(model="m", messages=HELLO)
    except openai.APIStatusError:
        return


def test_what_is_held_goes_on_when_it_is_released(upstream: Upstream, openai_client: openai.OpenAI) -> None:
    upstream.script(m=Behaviour(text="One two three", latency=0, holds_after=2))
    heard: list[str] = []
    has_two = threading.Event()

    def listen() -> None:
        for chunk in openai_client.chat.completions.create(model="m", messages=HELLO, stream=True):
            heard.append(chunk.choices[0].delta.content or "")
            if "".join(heard) == "One two":
                has_two.set()

    listener = threading.Thread(target=listen)
    listener.start()
    assert has_two.wait(10)
    upstream.wait("m", "in_flight", 1)
    upstream.release()
    listener.join(10)
    assert "".join(heard) == "One two three"
    assert upstream.of("m").completed == 1


def test_a_client_that_leaves_is_counted(upstream: Upstream, openai_client: openai.OpenAI) -> None:
    upstream.script(m=Behaviour(holds_after=1, latency=0))
    stream = openai_client.chat.completions.create(model="m", messages=HELLO, stream=True)
    next(iter(stream))
    stream.close()
    upstream.wait("m", "abandoned", 1)
    assert upstream.of("m").completed == 0


def test_connections_are_kept_and_counted(upstream: Upstream) -> None:
    upstream.script(m=QUICK)
    with openai.OpenAI(base_url=upstream.url, api_key="sk", max_retries=0) as asked:
        for _ in range(5):
            asked.chat.completions.create(model="m", messages=HELLO)
    assert upstream.of("m").requests == 5
    assert upstream.connections() == 1


def test_it_runs_as_a_process_that_ends_when_it_is_told_to() -> None:
    with client.process() as other:
        other.script(m=QUICK)
        with openai.OpenAI(base_url=other.url, api_key="sk") as asked:
            assert asked.chat.completions.create(model="m", messages=HELLO).choices[0].message.content == QUICK.text
    with pytest.raises(ConnectionError):
        other.counts()


def test_it_says_what_it_can_be_told() -> None:
    told = subprocess.run([sys.executable, "-m", "tests.upstream", "--help"], capture_output=True, text=True)
    assert "--port" in told.stdout
