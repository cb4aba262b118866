"""Each guard, by sentences that differ in one thing."""

from __future__ import annotations

import pytest

from agents.cache.semantic.data import Verdict, dialogue_of
from agents.cache.semantic.verifier import compare, prepare, threshold


def verdict(one: object, other: object) -> Verdict:
    return compare(prepare(dialogue_of(one)), prepare(dialogue_of(other)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "other", "guard"),
    [
        ("Can I pay in 3 parts?", "Can I pay in 4 parts?", "numbers"),
        ("Book me in for 3pm", "Book me in for 3am", "numbers"),
        ("Is delivery free over £40?", "Is delivery free over £400?", "numbers"),
        ("How long to roast a 1kg duck?", "How long to roast a 1lb duck?", "numbers"),
        ("What does error E04 mean?", "What does error E40 mean?", "numbers"),
        ("What is 2 minus 8?", "What is 8 minus 2?", "numbers"),
        ("Delete the old reports", "Do not delete the old reports", "negation"),
        ("Which plans include roaming?", "Which plans don't include roaming?", "negation"),
        ("How do I enable the alarm?", "How do I disable the alarm?", "contrast"),
        ("Is the gym open in March?", "Is the gym open in April?", "contrast"),
        ("Do I pay before the course?", "Do I pay after the course?", "contrast"),
        ("How do I turn the heating on?", "How do I turn the heating off?", "contrast"),
        ("How do I connect my Garmin watch?", "How do I connect my Fitbit watch?", "names"),
        ("How do I get from Leeds to York?", "How do I get from York to Leeds?", "direction"),
        ("Who built the bridge?", "Why was the bridge built?", "question"),
        ('What does "git pull" do?', 'What does "git push" do?', "quoted"),
    ],
)
def test_a_difference_that_changes_the_answer_is_refused_by_its_guard(one: str, other: str, guard: str) -> None:
    found = verdict(one, other)
    assert (found.blocked_by, found.score) == (guard, 0.0)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Can I return it after 14 days?", "Can I return it after two weeks?"),
        ("Is the 3pm tour full?", "Is the 15:00 tour full?"),
        ("How do I organise my inbox?", "how do i organize my inbox"),
        ("How do I reset my passcode?", "Hi there, how can I reset my passcode? Thanks"),
        ("Where is my nearest pharmacy?", "Where's my nearest pharmcy?"),
        ("How do I pay at the weekend?", "At the weekend, how do I pay?"),
        ("I can't log in", "I cannot log in"),
    ],
)
def test_another_wording_of_the_same_question_is_served_by_the_relaxed_setting(one: str, other: str) -> None:
    found = verdict(one, other)
    assert found.blocked_by == ""
    assert found.score >= threshold("relaxed", "questions")


def test_a_text_in_a_language_without_word_lists_is_served_only_when_its_words_are_the_same() -> None:
    assert (
        verdict("Qual seria o horario da loja amanha?", "Onde fica a loja mais perto daqui?").blocked_by == "language"
    )
    assert verdict("Qual seria o horario da loja?", "qual seria o horario da loja").blocked_by == ""


def test_other_instructions_or_tool_results_are_refused_whatever_was_asked() -> None:
    def asked(role: str, content: str) -> list[dict[str, str]]:
        return [{"role": role, "content": content}, {"role": "user", "content": "What is the price?"}]

    assert verdict(asked("system", "Be brief."), asked("system", "Be long.")).blocked_by == "instructions"
    assert verdict(asked("tool", "price: 4"), asked("tool", "price: 5")).blocked_by == "tools"
    assert verdict(asked("assistant", "Hello."), "What is the price?").blocked_by == "history"


def test_what_is_too_long_to_compare_in_time_is_refused() -> None:
    assert verdict("Summarise this: " + "word " * 300, "Sum this up: " + "word " * 300).blocked_by == "long"
