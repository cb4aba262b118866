"""What may be submitted: the checks that come before the row."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from agents.definitions.cache_policy import wishes_errors
from agents.tasks.data import Limits
from agents.tasks.exceptions import InvalidInput
from agents.tasks.models import Priority
from foundation import egress

DEEPEST = 32
ROLES = ("system", "user", "assistant")
WHOLE_LIMITS = ("seconds", "steps", "tokens")
MOST = {"seconds": 86_400, "steps": 10_000, "tokens": 1_000_000_000, "cost": 1_000_000}
MOST_ATTEMPTS = 20
LONGEST_KEY = 255


def check_input(value: Any) -> None:
    """A string, `{"messages": [{"role", "content"}]}`, or an object of the agent's own. Raises InvalidInput."""
    if not isinstance(value, str | dict):
        raise InvalidInput(_("The input has to be a string or an object."))
    if isinstance(value, str) and not value.strip():
        raise InvalidInput(_("The input is empty."))
    check_storable(value)
    if isinstance(value, dict) and "messages" in value:
        _check_messages(value["messages"])


def check_storable(value: Any, *, depth: int = 0) -> None:
    """JSON that every database can store. Raises InvalidInput."""
    if depth > DEEPEST:
        raise InvalidInput(_("The input is nested too deeply."))
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, dict):
        for name, item in value.items():
            _check_text(name)
            check_storable(item, depth=depth + 1)
    elif isinstance(value, list):
        for item in value:
            check_storable(item, depth=depth + 1)
    elif isinstance(value, float) and value - value != 0:
        raise InvalidInput(_("The input has a number that JSON does not know."))


def _check_text(text: str) -> None:
    if "\x00" in text:
        raise InvalidInput(_("The input has a NUL character."))
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InvalidInput(_("The input is not valid Unicode.")) from error


def check_webhook_url(url: str) -> None:
    """Of a form that is sent to; where its name leads is looked at when it is sent to. Raises InvalidInput."""
    if not url:
        return
    try:
        egress.check_url(url)
    except egress.EgressError as error:
        raise InvalidInput(_("The webhook: %(why)s") % {"why": error}) from error


def check_cache_wishes(wishes: Mapping[str, Any]) -> None:
    """As `agents.definitions.cache_policy.Wishes` has them. Raises InvalidInput."""
    for message in wishes_errors(wishes):
        raise InvalidInput(message)


def _check_messages(messages: Any) -> None:
    if not isinstance(messages, list) or not messages:
        raise InvalidInput(_("“messages” has to be a list with at least one message."))
    for message in messages:
        is_message = isinstance(message, dict) and message.get("role") in ROLES and "content" in message
        if not is_message:
            raise InvalidInput(_("Every message needs a “content” and a “role”: system, user or assistant."))


def limits_of(agent_limits: Mapping[str, Any], requested: Mapping[str, Any] | None) -> Limits:
    """What the task may spend: what was asked for, never more than the agent may. Raises InvalidInput."""
    asked = dict(requested or {})
    if unknown := asked.keys() - MOST.keys():
        raise InvalidInput(_("There is no limit “%(name)s”.") % {"name": sorted(unknown)[0]})
    return Limits(
        seconds=int(_limit("seconds", agent_limits, asked) or settings.TASK_LIMIT_SECONDS),
        steps=int(_limit("steps", agent_limits, asked) or settings.TASK_LIMIT_STEPS),
        tokens=None if (tokens := _limit("tokens", agent_limits, asked)) is None else int(tokens),
        cost=_limit("cost", agent_limits, asked),
    )


def _limit(name: str, agent_limits: Mapping[str, Any], asked: Mapping[str, Any]) -> Decimal | None:
    given = [_amount(name, limits[name]) for limits in (agent_limits, asked) if limits.get(name) is not None]
    return min(given, default=None)


def _amount(name: str, value: Any) -> Decimal:
    is_number = isinstance(value, int | float | str | Decimal) and not isinstance(value, bool)
    try:
        amount = Decimal(str(value)) if is_number else Decimal("nan")
    except InvalidOperation:
        amount = Decimal("nan")
    is_whole = name not in WHOLE_LIMITS or amount == amount.to_integral_value() if amount.is_finite() else False
    if not is_whole or not 0 < amount <= MOST[name]:
        message = _("The limit “%(name)s” has to be a number above zero and at most %(most)d.")
        raise InvalidInput(message % {"name": name, "most": MOST[name]})
    return amount


def attempts_of(requested: int | None) -> int:
    """How often the task may fail before it has failed. Raises InvalidInput."""
    attempts = settings.TASK_MAX_ATTEMPTS if requested is None else requested
    if not 1 <= attempts <= MOST_ATTEMPTS:
        raise InvalidInput(_("“max_attempts” has to be from 1 to %(most)d.") % {"most": MOST_ATTEMPTS})
    return attempts


def priority_of(value: Priority | str | int) -> Priority:
    """By name or number. Raises InvalidInput."""
    try:
        return Priority[value.upper()] if isinstance(value, str) else Priority(value)
    except (KeyError, ValueError) as error:
        raise InvalidInput(_("The priority has to be low, normal, high or critical.")) from error


def check_idempotency_key(key: str | None) -> None:
    """1 to 255 printable ASCII characters. Raises InvalidInput."""
    if key is not None and not (0 < len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()):
        raise InvalidInput(_("The Idempotency-Key has to be 1 to 255 printable ASCII characters."))


def digest_of(request: Mapping[str, Any]) -> str:
    """The same for the same request, whatever the order of its fields."""
    plain = json.dumps(request, sort_keys=True, default=_plain)
    return hashlib.sha256(plain.encode()).hexdigest()


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
