"""A last turn is never compared alone."""

from __future__ import annotations

import pytest

from agents.cache.semantic.context import context_of
from agents.cache.semantic.data import Dialogue, dialogue_of
from agents.cache.semantic.verifier import compare, prepare, threshold


def talk(*said: str) -> Dialogue:
    roles = ("user", "assistant")
    return dialogue_of([{"role": roles[n % 2], "content": text} for n, text in enumerate(said)])


def score(one: Dialogue, other: Dialogue) -> float:
    return compare(prepare(one), prepare(other)).score


def relaxed() -> float:
    return threshold("relaxed", "conversations")


def test_yes_to_one_proposal_is_not_yes_to_another() -> None:
    start = "My parcel is late"
    one = talk(start, "Sorry. Shall I refund the postage?", "yes please")
    other = talk(start, "Sorry. Shall I send the parcel again?", "yes please")
    assert score(one, other) < relaxed()


def test_the_second_option_depends_on_the_order_they_were_given_in() -> None:
    one = talk("Two seats for Friday?", "Option 1 is row C, option 2 is row K. Which one?", "the second one")
    other = talk("Two seats for Friday?", "Option 1 is row K, option 2 is row C. Which one?", "the second one")
    assert score(one, other) < relaxed()


@pytest.mark.parametrize(
    ("said", "reply", "option"),
    [
        ("I can do 1) a refund, or 2) a new pair. Which?", "the second one", "a new pair"),
        ("Option 1 is a refund, option 2 is a new pair.", "option 1 please", "a refund"),
        ("Reply A for a refund or B for a new pair.", "B", "a new pair"),
        ("Would you like a refund, or a new pair?", "the first one", "Would you like a refund"),
    ],
)
def test_a_reply_that_picks_stands_for_what_it_picks(said: str, reply: str, option: str) -> None:
    assert context_of(talk("My boots broke", said, reply)).proposal == option


def test_one_other_detail_in_the_same_story_is_refused() -> None:
    one = talk("I'm on the Basic tariff since March", "Thanks, I can see it.", "when does it end?")
    other = talk("I'm on the Night tariff since March", "Thanks, I can see it.", "when does it end?")
    assert score(one, other) < relaxed()


def test_the_same_conversation_in_other_capitals_is_served() -> None:
    said = ("I bought a kettle from you last week", "Thanks! How can I help with the kettle?", "Can I return it?")
    assert score(talk(*said), talk(*said[:-1], "can i return it")) >= relaxed()


def test_small_talk_beside_the_matter_is_passed_over() -> None:
    one = talk("I bought a kettle from you last week.", "Thanks! How can I help?", "Can I return it to a shop?")
    other = talk(
        "Morning! It's pouring down here lol. I bought a kettle from you last week.",
        "Oh dear, stay dry! How can I help with the kettle?",
        "can I return it to a shop?",
    )
    assert score(one, other) >= relaxed()


def test_another_last_question_after_the_same_history_is_refused() -> None:
    history = ("I bought a kettle from you last week", "Thanks! How can I help with the kettle?")
    one, other = talk(*history, "How do I enable the timer?"), talk(*history, "How do I disable the timer?")
    assert compare(prepare(one), prepare(other)).blocked_by == "last_turn"
