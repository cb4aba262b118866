"""Agents and roles in a file, and back."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import CommandError, call_command

from accounts.audit import SYSTEM
from accounts.models import AuditEvent, Role, User
from accounts.roles import ensure_roles
from agents.definitions.models import Agent, AgentVersion
from agents.definitions.services import create_agent, sync_agents
from agents.tasks import queues, slots
from agents.tasks.models import ConcurrencyLimit, Queue, Slot

PARCELS = {"system_prompt": "You answer questions\nabout parcels.", "limits": {"seconds": 60, "cost": "0.5"}}

KINDS = "roles, deployments, routes, agents, quotas, rate_limits, queues, concurrency, schedules, prices"


def _run(command: str, *arguments: object, **options: Any) -> str:
    output = io.StringIO()
    call_command(command, *map(str, arguments), stdout=output, **options)
    return output.getvalue()


@pytest.fixture
def file(db: None, tmp_path: Path) -> Path:
    """An export of the roles that ship and of one agent."""
    ensure_roles()
    create_agent(slug="parcels", name="Parcels", **PARCELS)  # type: ignore[arg-type]
    path = tmp_path / "mutirao.yaml"
    _run("export", path)
    return path


def _edit(file: Path, **agents: Any) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(file.read_text())
    document["agents"]["parcels"] |= agents
    file.write_text(yaml.safe_dump(document))
    return document


def test_an_export_holds_what_a_person_would_write(file: Path) -> None:
    document = yaml.safe_load(file.read_text())
    assert document["mutirao"] == 1
    assert document["agents"]["parcels"]["system_prompt"] == PARCELS["system_prompt"]
    assert document["roles"]["member"] == {"permissions": ["agents_definitions.use_agent"]}
    assert "system_prompt: |" in file.read_text()


def test_applying_what_is_there_changes_nothing(file: Path) -> None:
    before = AuditEvent.objects.count()
    assert _run("apply", file) == "Nothing to change.\n"
    assert (AgentVersion.objects.count(), AuditEvent.objects.count()) == (1, before)


def test_a_file_makes_on_an_empty_installation_what_it_was_made_from(file: Path) -> None:
    text = file.read_text()
    Agent.objects.update(current_version=None)
    Agent.objects.all().delete()
    Role.objects.all().delete()
    _run("apply", file)
    assert _run("export", "-") == text
    assert _run("apply", file) == "Nothing to change.\n"


def test_a_changed_prompt_is_a_new_version_and_a_changed_name_is_not(file: Path) -> None:
    _edit(file, name="Post")
    _run("apply", file)
    assert AgentVersion.objects.count() == 1
    _edit(file, system_prompt="Be brief.")
    _run("apply", file)
    agent = Agent.objects.select_related("current_version").get(slug="parcels")
    assert agent.current_version is not None
    assert (agent.name, agent.current_version.number, agent.current_version.system_prompt) == ("Post", 2, "Be brief.")


def test_a_rehearsal_shows_the_difference_and_makes_none(file: Path) -> None:
    _edit(file, name="Post")
    shown = _run("apply", file, dry_run=True)
    assert "-    name: Parcels" in shown.splitlines()
    assert "+    name: Post" in shown.splitlines()
    assert Agent.objects.get(slug="parcels").name == "Parcels"
    assert _run("apply", file) == shown


def test_fields_and_rows_that_the_file_does_not_name_stay(file: Path) -> None:
    file.write_text("mutirao: 1\nagents:\n  parcels:\n    is_enabled: false\n")
    _run("apply", file)
    agent = Agent.objects.select_related("current_version").get(slug="parcels")
    assert agent.current_version is not None
    assert (agent.is_enabled, agent.current_version.system_prompt) == (False, PARCELS["system_prompt"])
    assert Role.objects.filter(name="member").exists()


def test_nothing_is_half_applied(file: Path) -> None:
    document = _edit(file, name="Post")
    document["agents"]["wrong"] = {"limits": {"seconds": -1}}
    document["roles"]["librarian"] = {"permissions": []}
    file.write_text(yaml.safe_dump(document))
    with pytest.raises(CommandError, match=r"agents\.wrong: "):
        _run("apply", file)
    assert Agent.objects.get(slug="parcels").name == "Parcels"
    assert not Role.objects.filter(name="librarian").exists()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("agents: {}", "The file does not begin with “mutirao: 1”."),
        ("mutirao: 1\nagents: [", "Line 2 is not YAML."),
        ("mutirao: 1\nagnts: {}", f"“agnts” is nothing that can be applied: {KINDS}."),
        ("mutirao: 1\nagents: []", "“agents” has to be a mapping of names to fields."),
        ("mutirao: 1\nagents: {a: 1}", "“agents.a” has to be a mapping of names to fields."),
        ("mutirao: 1\nroles: {a: {rights: []}}", "“roles.a.rights” is not a known field; known are: permissions."),
        ("mutirao: 1\nroles: {a: {permissions: [x.y]}}", "roles.a: There is no permission “x.y”."),
        ("mutirao: 1\nagents: {a: {tools: calculator}}", "agents.a: “tools” has to be a list of names."),
        ("mutirao: 1\nagents: {a: {name: 3}}", "agents.a: “name” has to be text."),
        ("mutirao: 1\nagents: {a: {is_enabled: 'no'}}", "agents.a: “is_enabled” has to be true or false."),
        ("mutirao: 1\nagents: {a: {memory_messages: x}}", "agents.a: “memory_messages” has to be a whole number."),
        (
            "mutirao: 1\nagents: {a: {limits: {seconds: 2026-11-25}}}",
            "“agents.a” holds a value that is no text, number, truth value, list or mapping.",
        ),
    ],
)
def test_what_cannot_be_applied_is_one_sentence(db: None, tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(text)
    with pytest.raises(CommandError) as refused:
        _run("apply", file)
    assert str(refused.value).startswith(sentence)
    assert not Agent.objects.filter(slug="a").exists()


def test_secrets_do_not_get_in_through_parameters(file: Path) -> None:
    _edit(file, parameters={"api_key": "sk-123"})
    with pytest.raises(CommandError, match="api_key"):
        _run("apply", file)


def test_agents_of_the_code_stay_with_their_code(file: Path) -> None:
    sync_agents()
    assert "assistant" not in yaml.safe_load(_run("export", "-"))["agents"]
    file.write_text("mutirao: 1\nagents:\n  assistant:\n    system_prompt: Be brief.\n")
    with pytest.raises(CommandError, match=r"agents\.assistant: This agent is defined in code"):
        _run("apply", file)


def test_json_is_taken_too(file: Path) -> None:
    file.write_text('{"mutirao": 1, "roles": {"librarian": {"permissions": ["agents_definitions.use_agent"]}}}')
    _run("apply", file)
    assert Role.objects.get(name="librarian").permissions.count() == 1


def test_bounds_of_queues_and_limits_of_concurrency_travel(db: None, tmp_path: Path, member: User) -> None:
    agent = create_agent(slug="parcels")
    queues.change(name="background", most_waiting=50, is_paused=True, actor=SYSTEM)
    slots.set_limit(most_running=3, agent=agent, actor=SYSTEM)
    slots.set_limit(most_running=2, owner=member, actor=SYSTEM)
    path = tmp_path / "mutirao.yaml"
    _run("export", path)
    document = yaml.safe_load(path.read_text())
    assert document["queues"] == {"background": {"most_waiting": 50, "is_paused": True}}
    assert document["concurrency"] == {"agent:parcels": {"most_running": 3}, "user:member": {"most_running": 2}}
    Queue.objects.all().delete()
    ConcurrencyLimit.objects.all().delete()
    _run("apply", path)
    assert Queue.objects.values_list("name", "most_waiting", "is_paused").get() == ("background", 50, True)
    assert Slot.objects.count() == 5
    assert _run("apply", path) == "Nothing to change.\n"


@pytest.mark.parametrize(
    "wrong",
    [
        {"queues": {"background": {"most_waiting": 0}}},
        {"queues": {"background": {"is_paused": "yes"}}},
        {"concurrency": {"agent:nobody": {"most_running": 1}}},
        {"concurrency": {"agent:parcels": {"most_running": "many"}}},
    ],
)
def test_a_bound_that_makes_no_sense_is_refused(db: None, tmp_path: Path, wrong: dict[str, Any]) -> None:
    create_agent(slug="parcels")
    path = tmp_path / "mutirao.yaml"
    path.write_text(yaml.safe_dump({"mutirao": 1, **wrong}))
    with pytest.raises(CommandError):
        _run("apply", path)
    assert not Queue.objects.exists()
    assert not ConcurrencyLimit.objects.exists()
