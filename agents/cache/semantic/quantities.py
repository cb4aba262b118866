"""Numbers, times, dates, amounts and codes, in one form each: “two weeks” is “14 days”, “3pm” is “15:00”."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

UNITS: Final = {"zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8,
    "nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
    "seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60,
    "seventy": 70, "eighty": 80, "ninety": 90, "twice": 2, "couple": 2, "dozen": 12}  # fmt: skip
ORDINALS: Final = {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8,
    "ninth": 9, "tenth": 10}  # fmt: skip
SCALES: Final = {"hundred": 100, "thousand": 1000, "grand": 1000, "million": 1_000_000}
MONTHS: Final = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
    "november", "december")  # fmt: skip
_MINUTES: Final = {"minute": 1, "minut": 1, "min": 1, "hour": 60, "hr": 60, "day": 1440, "night": 1440, "week": 10080,
    "wk": 10080, "fortnight": 20160}  # fmt: skip
_MONTHS: Final = {"month": 1, "year": 12, "yr": 12, "decade": 120}
_METRIC: Final = (
    "kg|g|mg|lb|lbs|oz|ml|l|gb|mb|kb|tb|km|cm|mm|m|mph|kw|kwh|w|mbps|inches|inch|ft|degrees|c|f"
    "|hours|hour|hrs|hr|mins|min"
)
_SPELLED: Final = {
    "lbs": "lb",
    "hours": "hour",
    "hrs": "hour",
    "hr": "hour",
    "mins": "minute",
    "min": "minute",
    "inches": "inch",
}
_NUMBER: Final = r"\d+(?:,\d{3})*(?:\.\d+)?"
TOKEN: Final = re.compile(
    rf"""(?P<time>\b\d{{1,2}}(?:[:.]\d{{2}})?\s?(?:am|pm)\b|\b\d{{1,2}}:\d{{2}}\b|\b\d{{1,2}}\s?o'?clock\b)
    |(?P<money>[£$€]\s?{_NUMBER}\s?[km]?\b)
    |(?P<measure>\b{_NUMBER}\s?(?:{_METRIC})\b)
    |(?P<percent>\b{_NUMBER}\s?(?:%|percent\b|per\ cent\b))
    |(?P<code>\b(?=[a-z]*\d)(?=\d*[a-z])[a-z0-9]+(?:[-_][a-z0-9]+)*\b|\b[a-z]+-\d[\w-]*\b)
    |(?P<number>{_NUMBER}(?:st|nd|rd|th)?(?![a-z]))
    |(?P<word>[^\W\d_]+(?:'[^\W\d_]+)?)""",
    re.VERBOSE,
)
_ORDINAL: Final = re.compile(r"\d+(?:st|nd|rd|th)")


@dataclass(frozen=True, slots=True)
class Quantity:
    """A value with its kind: minutes, months, clock, money£, kg, percent, code, or "" for a bare number.

    `said` is the number as it was said, where a unit changed it: 18 of “18 years”.
    """

    kind: str
    value: str
    said: str = ""


def of_match(kind: str, text: str) -> Quantity:
    """The quantity of a token that TOKEN found."""
    if kind == "time":
        return _clock(text)
    if kind == "code":
        return Quantity("" if _ORDINAL.fullmatch(text) else "code", re.sub(r"(?<=\d)(?:st|nd|rd|th)$|[-_]", "", text))
    number = _plain(re.sub(r"[^\d.]", "", text).rstrip("."))
    unit = re.sub(r"[\d.,\s-]", "", text)
    if kind == "money":
        return Quantity("money" + text[0], _scaled(number, unit[1:]))
    if kind == "percent":
        return Quantity("percent", number)
    return Quantity(_SPELLED.get(unit, unit), number) if kind == "measure" else Quantity("", number)


def spelled(word: str) -> float | None:
    """The value of a number word."""
    return UNITS.get(word, SCALES.get(word))


def with_unit(number: Quantity, unit: str) -> Quantity | None:
    """A bare number with the stem of the word after it, in minutes or months; None when that is no length of time."""
    if number.kind not in ("", "hour", "minute"):
        return None
    for table, kind in ((_MINUTES, "minutes"), (_MONTHS, "months")):
        factor = table.get(number.kind or unit) or table.get(unit.removesuffix("s"))
        if factor:
            return Quantity(kind, _plain(str(float(number.value) * factor)), number.value)
    return None


def agree(one: Quantity, other: Quantity) -> bool:
    """Whether two quantities can mean the same."""
    if "clock" in (one.kind, other.kind):
        return _hours_agree(one, other)
    if one.kind == other.kind:
        return one.value == other.value
    return "" in (one.kind, other.kind) and (one.said or one.value) == (other.said or other.value)


def _clock(text: str) -> Quantity:
    found = re.match(r"(\d{1,2})(?:[:.](\d{2}))?", text)
    assert found is not None  # noqa: S101
    hour, minute = int(found[1]), int(found[2] or 0)
    if "pm" in text:
        hour = hour % 12 + 12
    elif "am" in text:
        hour %= 12
    exact = "am" in text or "pm" in text or hour > 12 or text.startswith("0")
    return Quantity("clock", f"{hour:02}:{minute:02}{'' if exact else '?'}")


def _hours_agree(one: Quantity, other: Quantity) -> bool:
    if one.kind != other.kind:
        clock, bare = (one, other) if one.kind == "clock" else (other, one)
        return (
            bare.kind == ""
            and bare.value.isdigit()
            and clock.value[3:5] == "00"
            and (int(clock.value[:2]) % 12 == int(bare.value) % 12)
        )
    if one.value == other.value:
        return True
    vague = "?" in one.value + other.value
    return vague and one.value[2:5] == other.value[2:5] and int(one.value[:2]) % 12 == int(other.value[:2]) % 12


def _plain(number: str) -> str:
    return f"{float(number or 0):.6f}".rstrip("0").rstrip(".")


def _scaled(number: str, unit: str) -> str:
    return _plain(str(float(number) * {"k": 1000, "m": 1_000_000}.get(unit.strip(), 1)))
