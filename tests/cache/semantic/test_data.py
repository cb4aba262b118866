"""What may be compared, and that the order of the two does not matter."""

from __future__ import annotations

import json
import random

import pytest

from agents.cache.semantic.data import Prepared, dialogue_of
from agents.cache.semantic.training import labelled
from agents.cache.semantic.verifier import compare, prepare

pytestmark = pytest.mark.embedded


@pytest.mark.parametrize(
    "given",
    ["", "   ", [], [{"role": "assistant", "content": "Hello"}], [{"role": "boss", "content": "Hi"}], ["Hi"],
     [{"role": "user", "content": 5}]],
)  # fmt: skip
def test_what_is_no_dialogue_is_refused_with_a_sentence(given: object) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        dialogue_of(given)  # type: ignore[arg-type]


def test_langchain_names_of_roles_are_known() -> None:
    dialogue = dialogue_of([{"role": "human", "content": "Hi"}, {"role": "ai", "content": "Hello"}])
    assert [turn.role for turn in dialogue] == ["user", "assistant"]


def test_a_comparison_is_the_same_both_ways_and_its_evidence_is_json() -> None:
    pairs = random.Random(7).sample(labelled(), 60)
    for one, other, _label in pairs:
        a, b = prepare(one), prepare(other)
        there, back = compare(a, b), compare(b, a)
        assert there == back
        assert 0 <= there.score <= 1
        assert json.loads(json.dumps(dict(there.evidence))) == dict(there.evidence)


def test_a_vector_that_is_at_hand_is_used() -> None:
    dialogue = dialogue_of("How do I pay?")
    made = prepare(dialogue)
    assert prepare(dialogue, made.vector).vector is made.vector
    assert isinstance(made, Prepared)
    assert made.vector.shape == (384,)
    assert float(made.vector @ made.vector) == pytest.approx(1, abs=1e-5)
