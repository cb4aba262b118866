"""What is learned of hits and near misses, and what follows: thresholds, bounds, a tier that turns itself off."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.utils import timezone, translation

from accounts.audit import Actor
from accounts.models import AuditEvent
from agents.cache import learning, meaning, shadowing
from agents.cache.learning import Seen, learn, start_anew
from agents.cache.models import CacheEntry, Calibration, Trial
from agents.cache.observing import Compared, Rejected
from agents.cache.thresholds import threshold_of
from agents.gateway.answers import ModelRequest
from agents.gateway.data import CallContext
from agents.testing import ScriptedChatModel, call
from agents.testing.scripts import named_model

pytestmark = pytest.mark.django_db
USUAL, STRICTER = 0.9, 0.99


class Plain:
    """Says nothing of meaning; learning needs only its names and its threshold."""

    def embedding(self) -> str:
        return "none"

    def verifier(self) -> str:
        return "plain-1"

    def kind(self, said: Any) -> str:
        return "questions" if len(said) == 1 else "conversations"

    def threshold(self, error_target: float, kind: str) -> float:
        return USUAL if error_target >= 0.01 else STRICTER

    def vector(self, said: Any) -> Any:
        return np.zeros(1, np.float32)

    def prepared(self, said: Any, vector: Any) -> Any:
        return None

    def compare(self, one: Any, other: Any) -> Any:
        raise NotImplementedError


@pytest.fixture(autouse=True)
def _plain() -> Iterator[None]:
    meaning.use_meaning(Plain())
    yield
    meaning.use_meaning(None)


@pytest.fixture
def agent_id() -> uuid.UUID:
    return uuid.uuid4()


def _seen(agent_id: uuid.UUID, *, score: float, is_right: bool, times: int = 1, kind: str = "questions") -> Calibration:
    for _time in range(times):
        calibration = learn(
            Seen(
                agent_id=agent_id, kind=kind, entry_id=uuid.uuid4(), score=score, is_right=is_right,
                source=Trial.Source.SHADOW, was_served=True,
            )
        )  # fmt: skip
    return calibration


def _entry(agent_id: uuid.UUID, answer: str = "At nine.") -> CacheEntry:
    now = timezone.now()
    return CacheEntry.objects.create(
        scope="s", exact=uuid.uuid4().hex, agent_id=agent_id, agent_version_id=uuid.uuid4(), target="scripted:echo",
        question="When do you open?", dialogue=[{"role": "user", "content": "When do you open?"}],
        answer={"message": {"content": answer, "whole": True}, "pieces": [{"content": answer, "whole": True}]},
        stale_at=now, expires_at=now + timedelta(days=1),
    )  # fmt: skip


def _compared(entry: CacheEntry, outcome: Any, *, target: str = "scripted:echo", **policy: Any) -> Compared:
    context = CallContext(agent_id=entry.agent_id, agent_version_id=entry.agent_version_id, cache_policy=policy)
    request = ModelRequest(target, {}, ["opening hours?"], {}, streamed=False, context=context)  # type: ignore[list-item]
    return Compared(
        outcome=outcome, request=request, dialogue=({"role": "user", "content": "opening hours?"},),
        entry_id=entry.pk, new_entry_id=None, call_id=None, score=0.95 if outcome == "hit" else 0.7, similarity=0.8,
        threshold=USUAL, evidence={},
    )  # fmt: skip


def test_what_was_right_leaves_the_threshold_and_lowers_the_bound(agent_id: uuid.UUID) -> None:
    first = _seen(agent_id, score=0.95, is_right=True)
    last = _seen(agent_id, score=0.95, is_right=True, times=20)
    assert (last.threshold, last.trials, last.errors, last.is_off) == (USUAL, 21, 0, False)
    assert first.bound is not None
    assert last.bound is not None
    assert last.bound < first.bound <= 0.01


def test_a_wrong_answer_raises_the_threshold_above_it(agent_id: uuid.UUID) -> None:
    _seen(agent_id, score=0.97, is_right=True, times=5)
    calibration = _seen(agent_id, score=0.93, is_right=False)
    assert 0.93 < calibration.threshold <= 0.97
    assert threshold_of(agent_id, "questions").value == calibration.threshold
    assert threshold_of(uuid.uuid4(), "questions").value == USUAL


def test_no_threshold_above_the_errors_turns_the_tier_off_and_says_why(agent_id: uuid.UUID) -> None:
    calibration = _seen(agent_id, score=1.0, is_right=False, times=3)
    assert calibration.is_off
    assert threshold_of(agent_id, "questions").is_off
    assert calibration.off_because == "No threshold keeps what is known to be wrong within 1.0%."


def test_many_errors_below_the_highest_score_turn_the_tier_off_too(agent_id: uuid.UUID) -> None:
    """Each of them alone would only raise the threshold."""
    for number in range(3):
        calibration = _seen(agent_id, score=0.93 + number / 100, is_right=False)
        assert (calibration.is_off, calibration.threshold > 0.93 + number / 100) == (False, True)
    calibration = _seen(agent_id, score=0.96, is_right=False)
    assert (calibration.is_off, calibration.trials, calibration.errors) == (True, 4, 4)
    assert threshold_of(agent_id, "questions").is_off
    assert calibration.bound is not None
    assert 0.02 < calibration.bound < 0.04
    assert calibration.off_because == "4 of 4 answers that were asked again were wrong; more than 1.0% may be."
    with translation.override("pt-br"):
        assert calibration.off_because.startswith("4 de 4")


def test_what_people_call_wrong_raises_the_threshold_and_breaks_nothing(agent_id: uuid.UUID) -> None:
    """They see all hits and tell of wrong ones alone; one in fifty is asked again."""
    for number in range(20):
        calibration = learn(
            Seen(
                agent_id=agent_id, kind="questions", entry_id=uuid.uuid4(), score=0.93, is_right=False,
                source=Trial.Source.FEEDBACK, was_served=True, call_id=uuid.uuid4(),
            )
        )  # fmt: skip
        assert (calibration.is_off, calibration.threshold > 0.93) == (False, True), number
    assert (calibration.trials, calibration.errors) == (0, 0)


def test_near_misses_and_labelled_pairs_are_no_answers_that_were_given(agent_id: uuid.UUID) -> None:
    for _time in range(20):
        calibration = learn(
            Seen(
                agent_id=agent_id, kind="questions", entry_id=uuid.uuid4(), score=0.8, is_right=False,
                source=Trial.Source.JUDGE, was_served=False,
            )
        )  # fmt: skip
    assert (calibration.is_off, calibration.trials, calibration.errors) == (False, 0, 0)


def test_questions_and_conversations_have_thresholds_of_their_own(agent_id: uuid.UUID) -> None:
    _seen(agent_id, score=1.0, is_right=False, times=3, kind="conversations")
    assert (threshold_of(agent_id, "conversations").is_off, threshold_of(agent_id, "questions").is_off) == (True, False)
    assert Calibration.objects.count() == 1


def test_who_puts_up_with_less_than_what_was_learned_gets_the_stricter_one(agent_id: uuid.UUID) -> None:
    _seen(agent_id, score=0.97, is_right=True)
    assert threshold_of(agent_id, "questions", 0.02).value == USUAL
    assert threshold_of(agent_id, "questions", 0.001).value == STRICTER


def test_starting_anew_forgets_the_trials_and_is_recorded(agent_id: uuid.UUID) -> None:
    calibration = _seen(agent_id, score=1.0, is_right=False, times=3)
    start_anew(calibration=calibration, actor=Actor(name="ana"))
    calibration.refresh_from_db()
    assert (calibration.is_off, calibration.threshold, calibration.trials) == (False, USUAL, 0)
    assert Trial.objects.count() == 0
    assert AuditEvent.objects.filter(verb="cache.start_anew").count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_hit_that_is_asked_again_with_the_same_answer_was_right(agent_id: uuid.UUID) -> None:
    entry = _entry(agent_id)
    with named_model(ScriptedChatModel(replies=["At  nine."])) as target:
        shadowing.look(_compared(entry, "hit", target=target, shadow=1))
    trial = Trial.objects.get()
    assert (trial.source, trial.is_right, trial.was_served, trial.score) == ("shadow", True, True, 0.95)
    entry.refresh_from_db()
    assert entry.evicted_at is None


@pytest.mark.django_db(transaction=True)
def test_a_hit_that_is_asked_again_with_another_answer_was_wrong_and_is_evicted(agent_id: uuid.UUID) -> None:
    entry = _entry(agent_id)
    other, no = (ScriptedChatModel(replies=[said]) for said in ("The invoice is overdue by three weeks.", "NO."))
    with named_model(other) as target, named_model(no) as judge:
        shadowing.look(_compared(entry, "hit", target=target, shadow=1, judge=judge))
    assert [*Trial.objects.values_list("is_right", flat=True)] == [False]
    entry.refresh_from_db()
    assert entry.evicted_because == CacheEntry.Evicted.DISPROVED


@pytest.mark.parametrize("said", ["", call("clock")])
@pytest.mark.django_db(transaction=True)
def test_a_new_answer_without_words_says_nothing_about_the_old_one(agent_id: uuid.UUID, said: Any) -> None:
    entry, model = _entry(agent_id), ScriptedChatModel(replies=[said])
    with named_model(model) as target, named_model(ScriptedChatModel(replies=["NO."])) as judge:
        shadowing.look(_compared(entry, "hit", target=target, shadow=1, judge=judge))
    assert len(model.requests) == 1
    assert not Trial.objects.exists()
    entry.refresh_from_db()
    assert entry.evicted_at is None


def test_a_hit_outside_of_the_share_is_not_asked_again(agent_id: uuid.UUID) -> None:
    model = ScriptedChatModel(replies=["never"])
    with named_model(model) as target:
        shadowing.look(_compared(_entry(agent_id), "hit", target=target, shadow=0))
    assert model.requests == []


@pytest.mark.parametrize(("word", "expected"), [("YES", [True]), ("No", [False]), ("Perhaps", [])])
@pytest.mark.django_db(transaction=True)
def test_a_near_miss_is_judged_where_there_is_a_judge(agent_id: uuid.UUID, word: str, expected: list[bool]) -> None:
    entry = _entry(agent_id)
    with named_model(ScriptedChatModel(replies=[word])) as judge:
        shadowing.look(_compared(entry, "near_miss", judge=judge))
    assert [*Trial.objects.values_list("is_right", flat=True)] == expected
    assert not Trial.objects.filter(was_served=True).exists()


def test_without_a_judge_near_misses_teach_nothing(agent_id: uuid.UUID) -> None:
    shadowing.look(_compared(_entry(agent_id), "near_miss"))
    assert Trial.objects.count() == 0


def test_labelled_pairs_and_what_calls_taught_do_not_push_each_other_out(
    agent_id: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning, "MOST_TRIALS", 3)
    _seen(agent_id, score=0.93, is_right=False)
    pairs = [(0.5, False)] * 5
    learning.learn_pairs(agent_id=agent_id, kind="questions", pairs=pairs, error_target=None)
    assert Calibration.objects.get().threshold > 0.93
    _seen(agent_id, score=0.91, is_right=True, times=3)
    kept = Trial.objects.order_by("source", "score").values_list("source", "score")
    assert [*kept] == [("labelled", 0.5)] * 3 + [("shadow", 0.91)] * 3


def test_what_a_person_calls_wrong_teaches_too(agent_id: uuid.UUID) -> None:
    entry = _entry(agent_id)
    shadowing.take_to_heart(Rejected(entry_id=entry.pk, call_id=None, similarity=0.9, evidence={"score": 0.94}))
    assert [*Trial.objects.values_list("source", "is_right")] == [("feedback", False)]
    assert Calibration.objects.get(agent_id=agent_id).threshold > 0.94
