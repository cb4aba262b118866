"""JSON bodies of bounded size and depth."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser
from rest_framework.request import Request

from foundation.exceptions import Problem

MOST_DEPTH = 64
# What neither a JSON column nor a text column of PostgreSQL can hold; written as an escape in the body.
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
ESCAPED = re.compile(r"\\u(0000|d[89a-f][0-9a-f]{2})", re.IGNORECASE)


class BodyTooLarge(Problem):
    """The body is larger than this server accepts."""

    status_code = 413
    default_code = "body-too-large"
    default_detail = _("The body is larger than this server accepts.")


class BoundedJSONParser(JSONParser):
    """Strict JSON in UTF-8: at most DATA_UPLOAD_MAX_MEMORY_SIZE bytes, MOST_DEPTH levels, no NUL characters."""

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """The decoded body. Raises BodyTooLarge and ParseError."""
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        request: Request | None = (parser_context or {}).get("request")
        declared = request.META.get("CONTENT_LENGTH") if request is not None else None
        if declared and declared.isdigit() and int(declared) > limit:
            raise BodyTooLarge
        body = stream.read(limit + 1)
        if len(body) > limit:
            raise BodyTooLarge
        return decode(body)


def decode(body: bytes) -> Any:
    """JSON from bytes. Raises ParseError with a sentence for a person."""
    try:
        text = body.decode("utf-8")
        value = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except UnicodeDecodeError as error:
        raise ParseError(_("The body is not valid UTF-8.")) from error
    except RecursionError as error:
        raise ParseError(_("The body is nested too deeply.")) from error
    except ValueError as error:
        raise ParseError(_("The body is not valid JSON: %(reason)s.") % {"reason": error}) from error
    if ESCAPED.search(text) and _has_unstorable(value):
        raise ParseError(_("The body has a NUL character or half of a surrogate pair, which cannot be stored."))
    if _depth_exceeds(value, MOST_DEPTH):
        raise ParseError(_("The body is nested too deeply."))
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:20]} is too large a number")
    return number


def _has_unstorable(value: Any) -> bool:
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, str) and UNSTORABLE.search(found):
            return True
        if isinstance(found, dict):
            waiting += [*found, *found.values()]
        elif isinstance(found, list):
            waiting += found
    return False


def _depth_exceeds(value: Any, most: int) -> bool:
    level = [value]
    for _level in range(most + 1):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True
