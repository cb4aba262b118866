"""The agents that ship."""

from __future__ import annotations

import pytest

from accounts.models import User
from agents.definitions import registry
from agents.definitions.models import Agent
from agents.definitions.services import get_usable_agent, sync_agents
from agents.memory.services import post_message, start_conversation
from agents.tasks.models import Status, Task
from agents.testing import ScriptedChatModel, call, run_agent_inline


@pytest.mark.django_db
def test_they_are_there_after_synchronising(member: User) -> None:
    sync_agents()
    assert {"assistant", "clerk"} <= set(Agent.objects.usable().values_list("slug", flat=True))
    assert get_usable_agent(slug="assistant", user=member).name == "Assistant"


def test_the_assistant_uses_the_default_model_and_remembers() -> None:
    configuration = registry.get("assistant").configuration()
    assert (configuration.model, configuration.tools, configuration.memory_messages) == ("", (), 20)


def test_the_clerk_has_two_tools() -> None:
    configuration = registry.get("clerk").configuration()
    assert configuration.tools == ("current_time", "calculate")
    assert not configuration.system_prompt.startswith(" ")


@pytest.mark.django_db(transaction=True)
def test_the_assistant_answers() -> None:
    model = ScriptedChatModel(replies=["Good day."])
    run = run_agent_inline("assistant", "Hello", model=model)
    assert (run.task.status, run.text) == (Status.SUCCEEDED, "Good day.")
    assert [message.type for message in model.requests[0].messages] == ["system", "human"]


@pytest.mark.django_db(transaction=True)
def test_the_clerk_uses_its_tools() -> None:
    model = ScriptedChatModel(replies=[call("calculate", expression="17 * 23"), "391."])
    run = run_agent_inline("clerk", "What is 17 times 23?", model=model)
    assert run.tool_results == [("calculate", "391")]
    assert run.text == "391."
    assert [*model.requests[0].tools] == ["current_time", "calculate"]


@pytest.mark.django_db
def test_a_conversation_with_the_assistant_begins_with_a_task(member: User) -> None:
    sync_agents()
    agent = get_usable_agent(slug="assistant", user=member)
    posted = post_message(conversation=start_conversation(owner=member, agent=agent), text="Hi", owner=member)
    assert [*Task.objects.values_list("id", "agent_version")] == [(posted.task.pk, agent.current_version_id)]
