"""What users test their agents with."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage

from accounts.models import User
from agents.definitions import AgentDefinition, registry
from agents.definitions.models import Agent
from agents.gateway import exceptions as gateway
from agents.tasks.models import Status
from agents.testing import (
    Reply,
    Request,
    ScriptedChatModel,
    call,
    named_model,
    run_agent_inline,
    scripted_chat_model,
)


def shipping_days(country: str) -> int:
    """How many days a parcel takes to a country."""
    if country == "Atlantis":
        raise LookupError("No parcel goes to Atlantis.")
    return 3 if country == "Brazil" else 9


class Parcels(AgentDefinition):
    slug = "parcels"
    system_prompt = "You answer questions about parcels."
    tools = (shipping_days,)


def test_replies_come_in_order_and_then_no_more() -> None:
    model = ScriptedChatModel(replies=["One", Reply("Two"), LookupError("Three")])
    assert model.invoke("a").content == "One"
    assert model.invoke("b").content == "Two"
    with pytest.raises(LookupError, match="Three"):
        model.invoke("c")
    with pytest.raises(AssertionError, match="asked 4 times; its script has 3 replies"):
        model.invoke("d")
    assert [request.said for request in model.requests] == ["a", "b", "c", "d"]


def test_the_last_reply_can_last_for_ever() -> None:
    model = ScriptedChatModel(replies=["One", "Two"], repeat_last=True)
    assert [model.invoke("a").content for _ in range(4)] == ["One", "Two", "Two", "Two"]


def test_a_reply_can_depend_on_the_request() -> None:
    model = ScriptedChatModel(replies=[lambda request: request.said.upper()], repeat_last=True)
    assert model.invoke("hello").content == "HELLO"


def test_a_text_is_streamed_in_words() -> None:
    model = ScriptedChatModel(replies=["Three days, I think. \n"])
    chunks = list(model.stream("How long?"))
    texts = [chunk.content for chunk in chunks if chunk.content]
    assert len(texts) == 5
    assert "".join(map(str, texts)) == "Three days, I think. \n"
    whole = sum(chunks[1:], chunks[0])
    assert isinstance(whole, AIMessageChunk)
    assert whole.usage_metadata == {"input_tokens": 2, "output_tokens": 5, "total_tokens": 7}


async def test_it_streams_asynchronously_too() -> None:
    model = ScriptedChatModel(replies=["Three days."])
    assert [chunk.content async for chunk in model.astream("How long?") if chunk.content] == [
        "Three",
        " days.",
    ]


def test_tool_calls_are_streamed_and_whole() -> None:
    both = Reply("Let me see.", calls=(("shipping_days", {"country": "Brazil"}), ("current_time", {})))
    model = ScriptedChatModel(replies=[both, both]).bind_tools([shipping_days])
    message = model.invoke("How long?")
    chunks = list(model.stream("How long?"))
    streamed = sum(chunks[1:], chunks[0])
    assert isinstance(message, AIMessage)
    assert isinstance(streamed, AIMessageChunk)
    for calls in (message.tool_calls, streamed.tool_calls):
        assert [(made["name"], made["args"]) for made in calls] == [
            ("shipping_days", {"country": "Brazil"}),
            ("current_time", {}),
        ]
        assert len({made["id"] for made in calls}) == 2


def test_requests_say_which_tools_were_offered() -> None:
    model = ScriptedChatModel(replies=["One"])
    model.bind_tools([shipping_days]).invoke("How long?")
    (request,) = model.requests
    assert [*request.tools] == ["shipping_days"]
    assert request.tools["shipping_days"]["parameters"]["required"] == ["country"]


def test_an_error_can_come_in_the_middle_of_a_text() -> None:
    model = ScriptedChatModel(replies=[Reply("Half of", error=ConnectionError("cut"))])
    heard: list[str] = []
    with pytest.raises(ConnectionError, match="cut"):
        heard.extend(str(chunk.content) for chunk in model.stream("a"))
    with pytest.raises(AssertionError):
        model.invoke("b")


def test_a_gate_holds_an_answer_back() -> None:
    gate, answers = threading.Event(), []
    model = ScriptedChatModel(replies=[Reply("Now", gate=gate)])
    thread = threading.Thread(target=lambda: answers.append(model.invoke("a").content))
    thread.start()
    thread.join(0.05)
    assert (thread.is_alive(), answers) == (True, [])
    gate.set()
    thread.join(10)
    assert answers == ["Now"]


def test_threads_share_a_script() -> None:
    model = ScriptedChatModel(replies=[str(number) for number in range(20)])
    said: list[Any] = []
    threads = [threading.Thread(target=lambda: said.append(model.invoke("a").content)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(map(int, said)) == [*range(20)]


def test_the_echo_says_what_was_said() -> None:
    model = scripted_chat_model("echo", {})
    assert model.invoke([HumanMessage("Olá, mundo"), AIMessage("…"), HumanMessage("Tchau")]).content == "Tchau"


def test_the_tools_model_calls_every_tool_and_reports() -> None:
    model = scripted_chat_model("tools", {"args": {"current_time": {"timezone": "UTC"}}})
    asked = model.bind_tools([shipping_days]).invoke("Brazil")
    assert isinstance(asked, AIMessage)
    (made,) = asked.tool_calls
    assert (made["name"], made["args"]) == ("shipping_days", {"country": "Brazil"})
    answer = ToolMessage("3", name="shipping_days", tool_call_id=made["id"])
    assert (
        model.bind_tools([shipping_days]).invoke([HumanMessage("Brazil"), asked, answer]).content == "shipping_days: 3"
    )
    assert model.invoke("Brazil").content == "There are no tools."


def test_the_slow_model_has_as_many_words_as_wanted() -> None:
    model = scripted_chat_model("slow", {"pieces": 3, "delay": 0})
    assert [chunk.content for chunk in model.stream("a") if chunk.content] == ["word1", " word2", " word3"]


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({}, gateway.ModelUnavailable),
        ({"error": "timeout"}, gateway.ModelTimeout),
        ({"error": "rate-limited"}, gateway.ModelRateLimited),
        ({"error": "rejected"}, gateway.ModelRejected),
        ({"error": "unauthorized"}, gateway.ModelUnauthorized),
        ({"error": "crash"}, RuntimeError),
    ],
)
def test_the_failing_model_fails_as_told(parameters: dict[str, str], error: type[Exception]) -> None:
    with pytest.raises(error):
        scripted_chat_model("fail", parameters).invoke("a")


def test_there_are_no_other_scripted_models() -> None:
    with pytest.raises(gateway.InvalidModelName, match="'nothing'; there are echo, fail, slow, tools"):
        scripted_chat_model("nothing", {})


def test_a_model_has_a_name_for_as_long_as_it_is_needed() -> None:
    model = ScriptedChatModel(replies=["One"])
    with named_model(model) as name:
        assert scripted_chat_model(name.removeprefix("scripted:"), {}) is model
    with pytest.raises(gateway.InvalidModelName):
        scripted_chat_model(name.removeprefix("scripted:"), {})


def test_a_request_tells_tool_answers_from_older_ones() -> None:
    old = [AIMessage("a"), ToolMessage("1", name="old", tool_call_id="1"), AIMessage("b")]
    new = [ToolMessage("2", name="new", tool_call_id="2")]
    assert Request([*old, *new], {}).tool_answers == [("new", "2")]
    assert Request(list(old), {}).tool_answers == []


@pytest.mark.django_db(transaction=True)
def test_an_agent_is_run_to_its_end_in_this_process() -> None:
    model = ScriptedChatModel(replies=[call("shipping_days", country="Brazil"), "Three days."])
    run = run_agent_inline(Parcels, "How long to Brazil?", model=model)
    assert (run.task.status, run.text) == (Status.SUCCEEDED, "Three days.")
    assert run.tool_calls == [("shipping_days", {"country": "Brazil"})]
    assert run.tool_results == [("shipping_days", "3")]
    assert model.requests[0].said == "How long to Brazil?"
    assert str(model.requests[0].messages[0].text) == "You answer questions about parcels."
    assert run.task.attempts.count() == 1
    assert run.events[-1][1]["status"] == "succeeded"


@pytest.mark.django_db(transaction=True)
def test_a_tools_error_reaches_the_model_as_a_message() -> None:
    model = ScriptedChatModel(replies=[call("shipping_days", country="Atlantis"), "Nothing goes there."])
    run = run_agent_inline(Parcels, "How long to Atlantis?", model=model)
    assert run.text == "Nothing goes there."
    assert run.tool_results == [("shipping_days", "LookupError: No parcel goes to Atlantis.")]


@pytest.mark.django_db(transaction=True)
def test_an_agent_that_fails_is_a_failed_task() -> None:
    run = run_agent_inline(Parcels, "How long?", model=ScriptedChatModel(replies=[gateway.ModelRejected()]))
    assert (run.task.status, run.task.error_type, run.text) == (Status.FAILED, "ModelRejected", "")


@pytest.mark.django_db(transaction=True)
def test_an_inline_run_leaves_the_registry_as_it_was() -> None:
    user = User.objects.create_user(username="somebody")
    run = run_agent_inline(Parcels, "Hello", model=ScriptedChatModel(replies=["Hi"]), user=user)
    assert run.task.owner == user
    assert "parcels" not in [definition.slug for definition in registry.definitions()]
    assert Agent.objects.get(slug="parcels").source == Agent.Source.CODE


@pytest.mark.django_db(transaction=True)
def test_an_agent_can_be_named_by_its_slug() -> None:
    run = run_agent_inline("clerk", "What is 6 times 7?", model=scripted_chat_model("tools", {}))
    assert run.task.status == Status.SUCCEEDED
    assert ("calculate", "42") in run.tool_results
    assert len(run.tool_results) == 2
