"""Agents made of configuration alone, and who may use which agent."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace

import pytest
from guardian.shortcuts import assign_perm, remove_perm
from pytest_django import DjangoAssertNumQueries, DjangoCaptureOnCommitCallbacks, Settings

from accounts.audit import Actor
from accounts.models import AuditEvent, User
from agents.definitions import validators
from agents.definitions.data import Configuration
from agents.definitions.exceptions import InvalidAgent, UnknownAgent
from agents.definitions.models import Agent, AgentVersion
from agents.definitions.services import (
    agent_version_data,
    create_agent,
    get_usable_agent,
    publish_version,
    update_agent,
)

pytestmark = [pytest.mark.usefixtures("code"), pytest.mark.django_db]


@pytest.fixture
def helper() -> Agent:
    return create_agent(slug="helper", name="Helper", system_prompt="Help.", tools=["calculate"])


def test_an_agent_is_made_with_its_first_version(helper: Agent) -> None:
    version = helper.current_version
    assert version is not None
    assert (helper.source, version.number, version.tools, len(version.digest)) == (
        "admin",
        1,
        ["calculate"],
        64,
    )
    assert Agent.objects.get().current_version == version


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"slug": "Helper!"}, "slug"),
        ({"name": "x" * 101}, "name"),
        ({"kind": "no-such-kind"}, "kind"),
        ({"kind": "code:no-such-agent"}, "kind"),
        ({"tools": ["no_such_tool"]}, "tools"),
        ({"tools": ["calculate", "calculate"]}, "tools"),
        ({"system_prompt": "a\x00b"}, "system_prompt"),
        ({"memory_messages": -1}, "memory_messages"),
        ({"limits": {"seconds": -1}}, "limits"),
        ({"limits": {"seconds": True}}, "limits"),
        ({"limits": {"minutes": 1}}, "limits"),
        ({"limits": {"cost": "NaN"}}, "limits"),
        ({"parameters": {"openai_api_key": "sk-1"}}, "parameters"),
        ({"parameters": {"base_url": "http://elsewhere"}}, "parameters"),
        ({"parameters": {"model_kwargs": {"extra_headers": {"x": "y"}}}}, "parameters"),
        ({"parameters": {"configurable_fields": "any"}}, "parameters"),
        ({"parameters": {"extra_body": {"secret": "x"}}}, "parameters"),
        ({"parameters": {"extra_body": {"model": "another"}}}, "parameters"),
        ({"parameters": {"extra_body": {"models": ["another"]}}}, "parameters"),
        ({"parameters": {"model_kwargs": {"input": "another"}}}, "parameters"),
        ({"parameters": {"temperature": float("nan")}}, "parameters"),
        ({"parameters": {"stop": ["\x00"]}}, "parameters"),
        ({"cache": {"tags": ["half \ud83d"]}}, "cache"),
    ],
)
def test_a_wrong_configuration_is_refused_and_makes_nothing(fields: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidAgent) as refused:
        create_agent(**{"slug": "helper", **fields})  # type: ignore[arg-type]
    assert [*refused.value.errors] == [field]
    assert not Agent.objects.exists()


def test_harmless_parameters_and_limits_are_taken() -> None:
    parameters = {"temperature": 0.1, "max_tokens": 5, "top_p": 1, "extra_body": {"top_k": 5, "stop": ["\u00e3"]}}
    agent = create_agent(
        slug="helper", parameters=parameters, limits={"seconds": 5, "steps": 2, "tokens": 9, "cost": 0.1}
    )
    assert agent.current_version is not None
    assert agent.current_version.parameters == parameters


def test_a_model_is_asked_of_the_room_that_knows_models(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(name: str) -> None:
        if name != "known:model":
            raise LookupError(f"There is no model {name}.")

    monkeypatch.setattr(validators, "_checks", {})
    validators.register_model_validator(check, raises=LookupError)
    with pytest.raises(InvalidAgent, match="There is no model unknown:model"):
        create_agent(slug="helper", model="unknown:model")
    create_agent(slug="helper", model="known:model")
    create_agent(slug="default")


def test_parameters_are_asked_of_the_room_that_knows_models(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def check(model: str, parameters: Mapping[str, object]) -> list[str]:
        asked.append(model)
        return [f"There is no {name}." for name in parameters]

    monkeypatch.setattr(validators, "_checks", {})
    monkeypatch.setattr(validators, "_parameters_check", check)
    wrong = Configuration(model="any:model", parameters={"warmth": 1}, limits={})
    with pytest.raises(InvalidAgent) as refused:
        validators.validate(wrong)
    assert refused.value.errors == {"parameters": ["There is no warmth."]}
    # Not on a machine that may know less of models, not for the default, which may change, and not for nothing.
    validators.validate(wrong, check_model=False)
    validators.validate(replace(wrong, model=""))
    validators.validate(replace(wrong, parameters={}))
    assert asked == ["any:model"]


def test_a_taken_slug_is_refused(helper: Agent) -> None:
    with pytest.raises(InvalidAgent) as refused:
        create_agent(slug="helper")
    assert [*refused.value.errors] == ["slug"]
    assert AgentVersion.objects.count() == 1


def test_publishing_changes_what_is_named_and_keeps_the_rest(helper: Agent) -> None:
    version = publish_version(agent=helper, system_prompt="Help more.")
    assert (version.number, version.system_prompt, version.tools) == (2, "Help more.", ["calculate"])
    assert Agent.objects.get().current_version == version


def test_publishing_the_same_again_is_no_new_version(helper: Agent) -> None:
    first = helper.current_version
    assert publish_version(agent=helper, system_prompt="Help.") == first
    publish_version(agent=helper, system_prompt="Other.")
    assert publish_version(agent=helper, system_prompt="Help.") == first
    assert AgentVersion.objects.count() == 2


def test_a_wrong_version_is_not_published(helper: Agent) -> None:
    with pytest.raises(InvalidAgent, match="no_such_tool"):
        publish_version(agent=helper, tools=["no_such_tool"])
    assert AgentVersion.objects.count() == 1


def test_what_is_done_to_an_agent_is_on_record(helper: Agent, admin: User) -> None:
    actor = Actor(user_id=admin.pk, name="admin")
    publish_version(agent=helper, actor=actor, system_prompt="Help more.")
    update_agent(agent=helper, actor=actor, is_enabled=False)
    update_agent(agent=helper, actor=actor, is_enabled=False)
    events = AuditEvent.objects.filter(subject_id=helper.pk).order_by("created_at", "id")
    assert [*events.values_list("verb", "actor_name")] == [
        ("agent.create", "system"),
        ("agent.publish", "admin"),
        ("agent.update", "admin"),
    ]


def test_an_agent_of_code_changes_with_its_code(helper: Agent) -> None:
    helper.source = Agent.Source.CODE
    with pytest.raises(InvalidAgent, match="defined in code"):
        publish_version(agent=helper, system_prompt="Other.")


def test_what_is_said_of_an_agent_can_be_changed(helper: Agent) -> None:
    update_agent(agent=helper, name="Aide", is_enabled=False)
    changed = Agent.objects.get()
    assert (changed.name, changed.is_enabled, changed.queue) == ("Aide", False, "interactive")
    with pytest.raises(InvalidAgent):
        update_agent(agent=changed, name="x" * 101)


def test_whoever_may_use_agents_gets_the_agent_with_its_version(
    helper: Agent, member: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    found = get_usable_agent(slug="helper", user=member)
    assert found == helper
    assert found.current_version == helper.current_version


def test_an_outsider_is_told_there_is_no_such_agent(helper: Agent, outsider: User) -> None:
    with pytest.raises(UnknownAgent) as forbidden:
        get_usable_agent(slug="helper", user=outsider)
    with pytest.raises(UnknownAgent) as absent:
        get_usable_agent(slug="absent", user=outsider)
    assert str(forbidden.value).replace("helper", "absent") == str(absent.value)


def test_one_agent_can_be_granted(helper: Agent, outsider: User) -> None:
    create_agent(slug="other")
    assign_perm("agents_definitions.use_agent", outsider, helper)
    outsider = User.objects.get(pk=outsider.pk)
    assert get_usable_agent(slug="helper", user=outsider) == helper
    with pytest.raises(UnknownAgent):
        get_usable_agent(slug="other", user=outsider)
    assert [agent.slug for agent in Agent.objects.usable_by(outsider)] == ["helper"]


def test_the_list_of_usable_agents_follows_rights_and_state(helper: Agent, member: User, outsider: User) -> None:
    create_agent(slug="disabled", is_enabled=False)
    assert [agent.slug for agent in Agent.objects.usable_by(member)] == ["helper"]
    assert [*Agent.objects.usable_by(outsider)] == []


def test_a_disabled_agent_cannot_be_used(helper: Agent, admin: User) -> None:
    update_agent(agent=helper, is_enabled=False)
    with pytest.raises(UnknownAgent):
        get_usable_agent(slug="helper", user=admin)


def test_a_known_agent_costs_no_query(
    helper: Agent, outsider: User, settings: Settings, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    settings.AGENT_CACHE_SECONDS = 60
    assign_perm("agents_definitions.use_agent", outsider, helper)
    outsider = User.objects.get(pk=outsider.pk)
    get_usable_agent(slug="helper", user=outsider)
    with django_assert_num_queries(0):
        assert get_usable_agent(slug="helper", user=User(pk=outsider.pk)) == helper


def test_a_change_is_seen_at_once_here_and_soon_elsewhere(
    helper: Agent,
    member: User,
    settings: Settings,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    settings.AGENT_CACHE_SECONDS = 60
    get_usable_agent(slug="helper", user=member)
    with django_capture_on_commit_callbacks(execute=True):
        update_agent(agent=helper, is_enabled=False)
    with pytest.raises(UnknownAgent):
        get_usable_agent(slug="helper", user=member)


def test_a_right_that_was_taken_ends_with_the_memory(helper: Agent, outsider: User, settings: Settings) -> None:
    settings.AGENT_CACHE_SECONDS = 0
    assign_perm("agents_definitions.use_agent", outsider, helper)
    assert get_usable_agent(slug="helper", user=User.objects.get(pk=outsider.pk)) == helper
    remove_perm("agents_definitions.use_agent", outsider, helper)
    with pytest.raises(UnknownAgent):
        get_usable_agent(slug="helper", user=User.objects.get(pk=outsider.pk))


def test_a_version_is_read_once(helper: Agent, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    assert helper.current_version_id is not None
    data = agent_version_data(helper.current_version_id)
    assert (data.slug, data.number, data.system_prompt, data.tools) == ("helper", 1, "Help.", ("calculate",))
    with django_assert_num_queries(0):
        assert agent_version_data(helper.current_version_id) is data


def test_an_unknown_version_is_named() -> None:
    with pytest.raises(UnknownAgent):
        agent_version_data(uuid.uuid4())
