"""An agent's semantic tier is calibrated by labelled pairs of its own field."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from accounts.audit import SYSTEM
from accounts.models import AuditEvent
from agents.cache.calibrating import calibrate
from agents.cache.learning import Seen, learn
from agents.cache.meaning import meaning
from agents.cache.models import Calibration, Trial
from agents.cache.semantic.evaluation import Pair, Scored
from agents.cache.thresholds import threshold_of
from agents.definitions.models import Agent, AgentVersion
from agents.definitions.services import create_agent
from foundation.models import new_id

pytestmark = pytest.mark.django_db


@pytest.fixture
def agent() -> Agent:
    return create_agent(slug="echo")


def _pairs(count: int, score: float, *, right: bool, kind: str = "questions", blocked: str = "") -> list[Scored]:
    pair = Pair((), (), right, "other")
    return [Scored(pair, kind, (score,), blocked, cross_fitted=False) for _ in range(count)]


def test_pairs_lower_the_threshold_as_far_as_they_show_that_it_holds(agent: Agent) -> None:
    usual = meaning().threshold(0.01, "questions")
    [row] = calibrate(agent=agent, scored=_pairs(400, 0.7, right=True), actor=SYSTEM)
    assert (row.kind, row.threshold, row.trials, row.errors) == ("questions", 0.7, 0, 0)
    assert row.bound is not None
    assert 0 < row.bound <= 0.01
    assert threshold_of(agent.pk, "questions").value == 0.7 < usual
    assert threshold_of(agent.pk, "conversations").value == meaning().threshold(0.01, "conversations")
    event = AuditEvent.objects.get(verb="cache.calibrate")
    assert event.changes["questions"]["threshold"] == 0.7


def test_wrong_pairs_raise_it_and_those_that_a_guard_refuses_say_nothing(agent: Agent) -> None:
    refused = _pairs(5, 1.0, right=False, blocked="names")
    scored = [*_pairs(3, 0.97, right=False), *_pairs(20, 0.99, right=True), *refused]
    [row] = calibrate(agent=agent, scored=scored, actor=SYSTEM)
    assert 0.97 < row.threshold <= 0.99
    assert not row.is_off


def test_the_pairs_of_the_last_time_are_replaced_and_what_was_learned_stays(agent: Agent) -> None:
    learn(
        Seen(
            agent_id=agent.pk, kind="questions", entry_id=new_id(), score=0.99, is_right=True,
            source=Trial.Source.SHADOW, was_served=True,
        )
    )  # fmt: skip
    for _time in range(2):
        calibrate(agent=agent, scored=_pairs(10, 0.99, right=True), actor=SYSTEM)
    assert Trial.objects.filter(source="labelled").count() == 10
    assert Trial.objects.filter(source="shadow").count() == 1
    assert Calibration.objects.get().trials == 1


def test_pairs_of_a_kind_that_are_not_there_any_more_are_forgotten(agent: Agent) -> None:
    conversations = _pairs(400, 0.7, right=True, kind="conversations")
    calibrate(agent=agent, scored=[*conversations, *_pairs(1, 0.99, right=True)], actor=SYSTEM)
    assert Calibration.objects.get(kind="conversations").threshold == 0.7
    rows = calibrate(agent=agent, scored=_pairs(2, 0.99, right=True), actor=SYSTEM)
    assert {row.kind for row in rows} == {"questions", "conversations"}
    assert [*Trial.objects.values_list("calibration__kind", flat=True)] == ["questions"] * 2
    usual = meaning().threshold(0.01, "conversations")
    assert Calibration.objects.get(kind="conversations").threshold == usual


def test_the_agents_own_target_counts_where_none_is_said(agent: Agent) -> None:
    AgentVersion.objects.filter(agent=agent).update(cache={"error_target": 0.07})
    agent = Agent.objects.select_related("current_version").get(pk=agent.pk)
    [row] = calibrate(agent=agent, scored=_pairs(1, 0.99, right=True), actor=SYSTEM)
    assert row.error_target == 0.07
    [row] = calibrate(agent=agent, scored=_pairs(1, 0.99, right=True), actor=SYSTEM, error_target=0.02)
    assert row.error_target == 0.02


def test_the_command_calibrates_an_agent(agent: Agent, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.jsonl"
    pair = {"a": "How do I feed a tortoise?", "b": "how do i feed a tortoise", "same_answer": True}
    pairs.write_text(json.dumps(pair))
    out = StringIO()
    call_command("evaluate_cache", "--pairs", str(pairs), "--agent", agent.slug, "--json", stdout=out)
    said = json.loads(out.getvalue())["agent"]["questions"]
    row = Calibration.objects.get(agent_id=agent.pk)
    assert (said["threshold"], said["trials"], said["is_off"]) == (row.threshold, row.trials, False)
    table = StringIO()
    call_command("evaluate_cache", "--pairs", str(pairs), "--agent", agent.slug, stdout=table)
    assert "single questions: threshold" in table.getvalue()
    with pytest.raises(CommandError, match="nobody"):
        call_command("evaluate_cache", "--pairs", str(pairs), "--agent", "nobody")
