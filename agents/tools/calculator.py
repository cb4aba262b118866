"""The tool that calculates. A syntax tree of numbers and operators is walked; nothing is executed.

Every operation is bounded before it is done, because `9**9**9` is a short text and an endless computation.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable

from agents.tools.registry import register_tool

Number = int | float

MOST_CHARACTERS = 300
MOST_BITS = 3_322  # a thousand digits
MOST_DECIMALS = 30
# How people, and small models, write operators.
SPELLINGS = str.maketrans({"^": "**", "×": "*", "·": "*", "÷": "/", "−": "-", "–": "-"})


@register_tool(effects="none")
def calculate(expression: str) -> str:
    """Calculates an arithmetic expression, such as (2 + 3) * 4, 2 ** 10 or sqrt(2).

    Args:
        expression: numbers, + - * / // % **, parentheses, abs, round, min, max, sqrt, pi and e
    """
    if len(expression) > MOST_CHARACTERS:
        raise ValueError(f"The expression is longer than {MOST_CHARACTERS} characters.")
    try:
        tree = ast.parse(expression.strip().translate(SPELLINGS), mode="eval")
        return _written(_value(tree.body))
    except ZeroDivisionError as error:
        raise ValueError("That divides by zero.") from error
    except OverflowError as error:
        raise ValueError("The result is too large.") from error
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(f"This is not an arithmetic expression: {expression!r}.") from error


def _value(node: ast.expr) -> Number:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return _bounded(number)
        case ast.UnaryOp(op=operation, operand=operand) if type(operation) in _UNARY:
            return _UNARY[type(operation)](_value(operand))
        case ast.BinOp(left=left, op=operation, right=right) if type(operation) in _BINARY:
            return _bounded(_BINARY[type(operation)](_value(left), _value(right)))
        case ast.Name(id=name) if name in _CONSTANTS:
            return _CONSTANTS[name]
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _FUNCTIONS:
            return _call(name, [_value(argument) for argument in arguments])
    raise ValueError(f"{ast.unparse(node)!r} cannot be calculated; there are numbers, operators and a few functions.")


def _call(name: str, arguments: list[Number]) -> Number:
    try:
        return _bounded(_FUNCTIONS[name](*arguments))
    except TypeError as error:
        raise ValueError(f"{name} cannot be used with {len(arguments)} arguments like these.") from error


def _bounded(number: Number | complex) -> Number:
    if isinstance(number, complex):
        raise ValueError("The result is not a real number.")  # noqa: TRY004 (the model's mistake, not the caller's)
    if isinstance(number, int):
        if number.bit_length() > MOST_BITS:
            raise OverflowError
    elif not math.isfinite(number):
        raise OverflowError
    return number


def _power(base: Number, exponent: Number) -> Number:
    if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * abs(exponent) > 2 * MOST_BITS:
        raise OverflowError
    return _bounded(base**exponent)


def _quotient(left: Number, right: Number) -> Number:
    exact = isinstance(left, int) and isinstance(right, int) and right != 0 and left % right == 0
    return left // right if exact else left / right


def _rounded(number: Number, decimals: Number = 0) -> Number:
    if not isinstance(decimals, int) or abs(decimals) > MOST_DECIMALS:
        raise ValueError(f"round takes from -{MOST_DECIMALS} to {MOST_DECIMALS} decimals.")
    return round(number, decimals) if decimals else round(number)


def _largest(*numbers: Number) -> Number:
    return max(numbers, default=0)


def _smallest(*numbers: Number) -> Number:
    return min(numbers, default=0)


def _written(number: Number) -> str:
    """Fifteen significant digits of a float are exact; the rest of 0.1 + 0.2 is noise."""
    return str(number) if isinstance(number, int) else f"{number:.15g}"


_UNARY: dict[type[ast.unaryop], Callable[[Number], Number]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}
_BINARY: dict[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: _quotient,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: _power,
}
_FUNCTIONS: dict[str, Callable[..., Number]] = {
    "abs": abs,
    "round": _rounded,
    "min": _smallest,
    "max": _largest,
    "sqrt": math.sqrt,
}
_CONSTANTS: dict[str, Number] = {"pi": math.pi, "e": math.e}
