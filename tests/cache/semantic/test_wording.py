"""How a sentence is taken apart."""

from __future__ import annotations

import pytest

from agents.cache.semantic import lexicon
from agents.cache.semantic.quantities import Quantity, agree
from agents.cache.semantic.wording import sentence


@pytest.mark.parametrize(
    ("text", "ask"),
    [
        ("How do I pay?", "how"), ("What's the best way to pay?", "how"),
        ("hi um can you tell me how to pay pls", "how"),
        ("How much does it cost?", "price"), ("When do you open?", "when"), ("What time do you open?", "when"),
        ("How long does it take?", "duration"), ("Am I able to pay by card?", "may"), ("Is it open?", "whether"),
        ("Why is it closed?", "why"), ("Who wrote it?", "who"), ("Cancel my order", "tell"),
    ],
)  # fmt: skip
def test_the_kind_of_question_is_found_behind_its_frame(text: str, ask: str) -> None:
    assert sentence(text).ask == ask


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("after two weeks", "minutes", "20160"), ("after 14 days", "minutes", "20160"),
        ("an 18-month deal", "months", "18"),
        ("for a year and 2 years", "months", "24"), ("at 3pm", "clock", "15:00"), ("at 15:00", "clock", "15:00"),
        ("at 3 o'clock", "clock", "03:00?"), ("for £1,000", "money£", "1000"), ("for £1k", "money£", "1000"),
        ("the 5th", "", "5"), ("fifteen percent of it", "", "15"), ("order SW-88213", "code", "sw88213"),
        ("a 10GB plan", "gb", "10"), ("half an hour", "minutes", "30"), ("ten thousand", "", "10000"),
    ],
)  # fmt: skip
def test_quantities_have_one_form(text: str, kind: str, value: str) -> None:
    assert [(each.kind, each.value) for each in sentence(text).numbers] == [(kind, value)]


def test_times_and_bare_numbers_agree_where_they_can_mean_the_same() -> None:
    assert agree(Quantity("clock", "15:00"), Quantity("clock", "03:00?"))
    assert agree(Quantity("clock", "19:00"), Quantity("", "7"))
    assert not agree(Quantity("clock", "15:00"), Quantity("clock", "03:00"))
    assert not agree(Quantity("kg", "2"), Quantity("lb", "2"))


def test_the_month_of_may_is_not_the_verb() -> None:
    assert "maymonth" in [word.stem for word in sentence("What was my bill in May?").words]
    assert sentence("May I leave early?").ask == "may"


def test_contractions_and_slips_are_one_with_the_full_form() -> None:
    assert sentence("I can't log in").negations == sentence("I cannot log in").negations == 1
    assert sentence("whats the time").plain == sentence("What is the time").plain


@pytest.mark.parametrize(
    ("one", "other"),
    [("organised", "organizes"), ("colours", "color"), ("policies", "policy"), ("stopped", "stopping")],
)
def test_forms_of_one_word_have_one_stem(one: str, other: str) -> None:
    assert lexicon.stem(one) == lexicon.stem(other)


def test_a_slip_is_a_typo_but_another_number_or_first_letter_is_not() -> None:
    assert lexicon.is_typo("allowance", "allowence")
    assert lexicon.is_typo("cancel", "cancle")
    assert not lexicon.is_typo("70452", "70425")
    assert not lexicon.is_typo("ethanol", "methanol")


def test_a_negating_prefix_is_a_contrast_and_no_synonym_is_one() -> None:
    assert lexicon.are_contrasted("subscribe", "unsubscribe")
    assert lexicon.are_contrasted(lexicon.key("turn on"), lexicon.key("turn off"))
    assert lexicon.are_synonyms(lexicon.key("shop"), lexicon.key("store"))
    assert not lexicon.are_contrasted(lexicon.key("shop"), lexicon.key("store"))
