"""Rates as people write them: `100/m`, `20/10s`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
MOST = 10_000_000
LONGEST_SECONDS = 86_400
# django-ratelimit reads more than this, and some of it wrongly: to it, 1000/month is 1000 a minute.
_FORM = re.compile(r"([0-9]{1,8})/([0-9]{0,5})([smhd])")


@dataclass(frozen=True, slots=True)
class Rate:
    """So many in so many seconds."""

    count: int
    seconds: int


def parse_rate(text: str) -> Rate:
    """The rate of this text. Raises ValueError, whose message is a sentence."""
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise ValueError(
            str(_("“%(text)s” is not a rate. Write how many in which time: 100/m, 5/s, 20/10s.") % {"text": text})
        )
    count, multiple, unit = int(found[1]), int(found[2] or 1), found[3]
    seconds = multiple * SECONDS[unit]
    if count > MOST or not 1 <= seconds <= LONGEST_SECONDS:
        raise ValueError(str(_("A rate is at most %(most)d, in one second to one day.") % {"most": MOST}))
    return Rate(count, seconds)


def validate_rate(text: str) -> None:
    """For model fields and forms. Raises ValidationError."""
    try:
        parse_rate(text)
    except ValueError as error:
        raise ValidationError(str(error)) from error
