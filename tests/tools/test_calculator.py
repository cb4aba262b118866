"""The calculator: right, and never endless."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest

from agents.tools.calculator import calculate


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("6 * 7", "42"),
        ("(2 + 3) * 4 - -1", "21"),
        ("0.1 + 0.2", "0.3"),
        ("10 / 4", "2.5"),
        ("10 / 5", "2"),
        ("7 // 2", "3"),
        ("7 % 4", "3"),
        ("2 ** 10", "1024"),
        ("2^3 + 1", "9"),
        ("6 × 7 ÷ 2 − 1", "20"),
        ("2 ** -1", "0.5"),
        ("2 ** 0.5", "1.41421356237310"),
        ("sqrt(16)", "4"),
        ("max(1, 2.5, -3)", "2.5"),
        ("abs(min(1, -3))", "3"),
        ("round(2.675, 1)", "2.7"),
        ("round(7.6)", "8"),
        ("123456789 * 987654321", "121932631112635269"),
        ("1e3 + 1", "1001"),
    ],
)
def test_it_calculates(expression: str, result: str) -> None:
    assert float(calculate(expression)) == pytest.approx(float(result))


def test_exact_results_are_written_exactly() -> None:
    assert calculate("123456789 * 987654321") == "121932631112635269"
    assert calculate("0.1 + 0.2") == "0.3"
    assert calculate("10 / 5") == "2"
    assert calculate("sqrt(16)") == "4"


@pytest.mark.parametrize(
    ("expression", "sentence"),
    [
        ("1 / 0", "divides by zero"),
        ("0 ** -1", "divides by zero"),
        ("1e308 * 10", "too large"),
        ("(-1) ** 0.5", "not a real number"),
        ("sqrt(-1)", "math domain"),
        ("two plus two", "not an arithmetic expression"),
        ("", "not an arithmetic expression"),
        ("1,000 + 1", "cannot be calculated"),
        ("'a' * 3", "cannot be calculated"),
        ("True + 1", "cannot be calculated"),
        ("1j * 1j", "cannot be calculated"),
        ("round(1, 2, 3)", "arguments"),
        ("round(1, 99)", "decimals"),
        ("round(1, 0.5)", "decimals"),
        ("sqrt()", "arguments"),
        ("max(x=1)", "cannot be calculated"),
        ("1 if 1 else 2", "cannot be calculated"),
        ("1 < 2", "cannot be calculated"),
        ("~1", "cannot be calculated"),
        ("1 << 9", "cannot be calculated"),
    ],
)
def test_what_it_cannot_do_is_said_in_a_sentence(expression: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        calculate(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os').system('true')",
        "(1).__class__",
        "open('/etc/passwd')",
        "[x for x in (1,)]",
        "lambda: 1",
        "f'{1}'",
        "(x := 1)",
        "exec('1')",
        "pi.real",
        "1; 2",
        "1\n2",
    ],
)
def test_it_executes_nothing(expression: str) -> None:
    with pytest.raises(ValueError, match=r"cannot be calculated|not an arithmetic expression"):
        calculate(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "9**9**9",
        "9**9**9**9",
        "(10**1000)**(10**1000)",
        "(-9)**99999999",
        "1.5**99999",
        "round(1, -10**9)",
        "((" * 60 + "9" + "**9)**9)" * 30,
        "*".join(["(10**900)"] * 25),
        "-" * 299 + "1",
        "(" * 149 + "1" + ")" * 149,
        "9" * 301,
        "9" * 300,
    ],
)
def test_short_texts_with_endless_computations_end_at_once(expression: str) -> None:
    began = time.process_time()
    with suppress(ValueError):
        calculate(expression)
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize("expression", ["9**9**9", "(-9)**99999999", "*".join(["(10**900)"] * 25)])
def test_huge_numbers_are_refused(expression: str) -> None:
    with pytest.raises(ValueError, match="too large"):
        calculate(expression)
