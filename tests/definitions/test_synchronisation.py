"""Agents defined in code become rows."""

from __future__ import annotations

import threading

import pytest
from django.db import connection

from agents.definitions import AgentDefinition, register, registry
from agents.definitions.exceptions import InvalidAgent, SlugTaken, VersionIsImmutable
from agents.definitions.models import Agent, AgentVersion
from agents.definitions.services import create_agent, sync_agents

pytestmark = pytest.mark.usefixtures("code")


def _definition(slug: str = "parcels", **attributes: object) -> type[AgentDefinition]:
    return type(slug.title().replace("-", ""), (AgentDefinition,), {"slug": slug, **attributes})


def _define(slug: str = "parcels", **attributes: object) -> None:
    """What the next deploy says about this agent."""
    registry._definitions.pop(slug, None)
    register(_definition(slug, **attributes))


@pytest.mark.django_db
def test_the_first_time_makes_agent_and_version() -> None:
    _define(name="Parcels", description="About parcels", queue="background", limits={"seconds": 30, "cost": "0.5"})
    assert sync_agents() == ["parcels"]
    agent = Agent.objects.get()
    version = agent.current_version
    assert (agent.source, agent.name, agent.queue, agent.is_usable) == ("code", "Parcels", "background", True)
    assert version is not None
    assert (version.number, version.kind, version.limits) == (
        1,
        "tool-calling",
        {"seconds": 30, "cost": "0.5"},
    )


@pytest.mark.django_db
def test_the_second_time_changes_nothing() -> None:
    _define()
    _define("other")
    assert sync_agents() == ["other", "parcels"]
    assert sync_agents() == []
    assert AgentVersion.objects.count() == 2


@pytest.mark.django_db
def test_a_change_is_a_new_version_and_the_old_one_stays() -> None:
    _define(system_prompt="One")
    sync_agents()
    _define(system_prompt="Two")
    assert sync_agents() == ["parcels"]
    agent = Agent.objects.get()
    assert [*agent.versions.values_list("number", "system_prompt")] == [(2, "Two"), (1, "One")]
    assert agent.current_version == agent.versions.get(number=2)


@pytest.mark.django_db
def test_what_is_only_said_of_an_agent_makes_no_version() -> None:
    _define(description="One")
    sync_agents()
    _define(description="Two", queue="background")
    assert sync_agents() == ["parcels"]
    assert [*Agent.objects.values_list("description", "queue")] == [("Two", "background")]
    assert AgentVersion.objects.count() == 1


@pytest.mark.django_db
def test_a_deploy_that_is_rolled_back_goes_back_to_its_version() -> None:
    for prompt in ("One", "Two", "One"):
        _define(system_prompt=prompt)
        sync_agents()
    agent = Agent.objects.get()
    assert agent.versions.count() == 2
    assert agent.current_version == agent.versions.get(number=1)


@pytest.mark.django_db
def test_an_agent_whose_code_is_gone_cannot_be_used_until_it_is_back() -> None:
    _define()
    sync_agents()
    registry._definitions.clear()
    assert sync_agents() == ["parcels"]
    assert sync_agents() == []
    assert not Agent.objects.usable().exists()
    assert not Agent.objects.get().is_usable
    assert AgentVersion.objects.count() == 1
    _define()
    assert sync_agents() == ["parcels"]
    assert Agent.objects.usable().count() == 1
    assert AgentVersion.objects.count() == 1


@pytest.mark.django_db
def test_what_an_operator_disabled_stays_disabled() -> None:
    _define()
    sync_agents()
    Agent.objects.update(is_enabled=False)
    _define(system_prompt="New")
    sync_agents()
    assert Agent.objects.get().is_enabled is False


@pytest.mark.django_db
def test_agents_made_in_the_admin_are_left_alone() -> None:
    create_agent(slug="mine", system_prompt="Mine")
    assert sync_agents() == []
    assert Agent.objects.usable().count() == 1


@pytest.mark.django_db
def test_code_may_not_take_the_slug_of_an_agent_made_in_the_admin() -> None:
    create_agent(slug="parcels", system_prompt="Mine")
    _define(system_prompt="Theirs")
    with pytest.raises(SlugTaken, match="Parcels has the slug 'parcels'"):
        sync_agents()
    version = Agent.objects.get().current_version
    assert version is not None
    assert version.system_prompt == "Mine"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("attributes", "field"),
    [
        ({"slug": "Not A Slug"}, "slug"),
        ({"tools": ["no_such_tool"]}, "tools"),
        ({"limits": {"seconds": 0}}, "limits"),
        ({"parameters": {"api_key": "sk-1"}}, "parameters"),
    ],
)
def test_a_wrong_definition_is_a_named_error(attributes: dict[str, object], field: str) -> None:
    slug = str(attributes.pop("slug", "wrong"))
    _define(slug, **attributes)
    with pytest.raises(InvalidAgent) as refused:
        sync_agents()
    assert [*refused.value.errors] == [
        f"{registry.definitions()[0].__module__}.{registry.definitions()[0].__name__}.{field}"
    ]
    assert not Agent.objects.exists()


@pytest.mark.django_db
def test_whether_a_models_package_is_there_is_no_fact_about_the_agent() -> None:
    _define(model="no-such-provider:model")
    assert sync_agents() == ["parcels"]


@pytest.mark.django_db
def test_a_version_never_changes() -> None:
    _define()
    sync_agents()
    version = AgentVersion.objects.get()
    version.system_prompt = "Other"
    with pytest.raises(VersionIsImmutable):
        version.save()
    assert AgentVersion.objects.get().system_prompt == ""


@pytest.mark.django_db(transaction=True)
def test_processes_that_start_together_make_one_version() -> None:
    _define(system_prompt="One")
    sync_agents()
    _define(system_prompt="Two")
    _define("other")
    together, errors = threading.Barrier(4), []

    def start() -> None:
        try:
            together.wait(10)
            sync_agents()
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == []
    assert [*Agent.objects.values_list("slug", "current_version__number")] == [("other", 1), ("parcels", 2)]
    assert AgentVersion.objects.count() == 3
