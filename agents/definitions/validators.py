"""What a valid configuration is. Rooms above know tools and models, so they tell this one (in
AppConfig.ready).
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from django.utils.translation import gettext as _

from agents.definitions import registry
from agents.definitions.cache_policy import cache_policy_errors
from agents.definitions.data import TOOL_CALLING, Configuration
from agents.definitions.definition import CODE_KIND
from agents.definitions.exceptions import InvalidAgent
from agents.definitions.policy import policy_errors
from foundation.parsers import UNSTORABLE

Check = Callable[[str], None]
ParametersCheck = Callable[[str, Mapping[str, Any]], Iterable[str]]

MOST_OF_LIMITS = {"seconds": 86_400, "steps": 10_000, "tokens": 1_000_000_000, "cost": 1_000_000}
MOST_TOOLS = 64
MOST_PROMPT_CHARACTERS = 100_000
MOST_MEMORY_MESSAGES = 1000
# Parameters are stored and shown; secrets and addresses belong in the environment, where no row can redirect
# a key.
NOT_A_PARAMETER = re.compile(
    r"(?i)key|secret|password|credential|token$|url|endpoint|header|client|proxy|api_base|host$"
    # What makes another model of it than the one that was checked, or names objects.
    r"|^(callbacks|cache|configurable_fields|config_prefix|model_provider|rate_limiter|custom_get_token_ids)$"
    r"|^(models?|model_name|model_id|fallbacks)$"
)
# Parameters of the call itself, which the libraries hand on.
MORE_PARAMETERS = ("model_kwargs", "extra_kwargs", "extra_body")
# What the call itself says, or would ask another model than the one that is paid for (`models` of OpenRouter,
# `fallbacks` of LiteLLM).
NOT_IN_THE_BODY = frozenset({"model", "models", "fallbacks", "messages", "input", "stream"})


def _takes_any(_model: str, _parameters: Mapping[str, Any]) -> Iterable[str]:
    return ()


_tool_names: Callable[[], list[str]] = list
_model_names: Callable[[], list[str]] = list
_checks: dict[str, tuple[Check, tuple[type[Exception], ...]]] = {}
_parameters_check: ParametersCheck = _takes_any


def register_model_validator(
    check: Check, *, raises: type[Exception] | tuple[type[Exception], ...] = ValueError
) -> None:
    """`check(name)` raises one of `raises`, its text a sentence, when no model of that name can be used."""
    _register("model", check, raises)


def register_parameters_check(check: ParametersCheck) -> None:
    """`check(model, parameters)` gives a sentence for each parameter that no call of the model could be made with."""
    global _parameters_check
    _parameters_check = check


def register_tool_validator(
    check: Check, *, raises: type[Exception] | tuple[type[Exception], ...] = ValueError
) -> None:
    """`check(name)` raises one of `raises`, its text a sentence, when there is no tool of that name."""
    _register("tools", check, raises)


def register_tool_names(names: Callable[[], list[str]]) -> None:
    """`names()` gives every tool that an agent may be given, for people to choose from."""
    global _tool_names
    _tool_names = names


def tool_names() -> list[str]:
    """Every tool that an agent may be given."""
    return _tool_names()


def register_model_names(names: Callable[[], list[str]]) -> None:
    """`names()` gives the models that this installation has set up, for people to choose from."""
    global _model_names
    _model_names = names


def model_names() -> list[str]:
    """The models that this installation has set up; others can be named too."""
    return _model_names()


def _register(field: str, check: Check, raises: type[Exception] | tuple[type[Exception], ...]) -> None:
    _checks[field] = (check, raises if isinstance(raises, tuple) else (raises,))


def validate(
    configuration: Configuration, *, own_tools: Mapping[str, Any] | None = None, check_model: bool = True
) -> None:
    """Raises InvalidAgent with every error found.

    `own_tools` are known without asking. A model is not checked with `check_model=False`, nor whether it takes the
    parameters: whether its package and its provider are there is a fact about a machine, not about the agent. What the
    installation's default takes is not looked at either, as it may be another one tomorrow.
    """
    errors: dict[str, list[str]] = defaultdict(list)
    for field, message in _errors(configuration, own_tools or {}, check_model=check_model):
        errors[field].append(message)
    if errors:
        raise InvalidAgent(errors)


def _errors(
    configuration: Configuration, own_tools: Mapping[str, Any], *, check_model: bool
) -> Iterator[tuple[str, str]]:
    yield from _kind_errors(configuration.kind)
    if check_model and configuration.model:
        yield from _complaints("model", configuration.model)
    yield from _size_errors(configuration)
    for name in configuration.tools:
        if name not in own_tools:
            yield from _complaints("tools", name)
    yield from _parameters_errors(configuration, check_model=check_model)
    yield from _limit_errors(configuration.limits)
    for message in policy_errors(configuration.policy):
        yield "policy", message
    for message in (*_storage_errors(configuration.cache), *cache_policy_errors(configuration.cache)):
        yield "cache", message
    judge = configuration.cache.get("judge")
    if check_model and judge and isinstance(judge, str):
        yield from (("cache", message) for _field, message in _complaints("model", judge))


def _kind_errors(kind: str) -> Iterator[tuple[str, str]]:
    known = {TOOL_CALLING, *registry.graph_kinds()}
    if kind not in known and kind.startswith(CODE_KIND):
        known |= {definition.configuration().kind for definition in registry.definitions()}
    if kind not in known:
        yield "kind", _("No graph of the kind “%(kind)s” is installed.") % {"kind": kind}


def _parameters_errors(configuration: Configuration, *, check_model: bool) -> Iterator[tuple[str, str]]:
    found = [*parameter_errors(configuration.parameters)]
    yield from found
    if check_model and configuration.model and configuration.parameters and not found:
        for sentence in _parameters_check(configuration.model, configuration.parameters):
            yield "parameters", sentence


def _complaints(field: str, value: str) -> Iterator[tuple[str, str]]:
    check, refusals = _checks.get(field, (None, ()))
    if check is None:
        return
    try:
        check(value)
    except refusals as refusal:
        yield field, str(refusal)


def _size_errors(configuration: Configuration) -> Iterator[tuple[str, str]]:
    if len(configuration.system_prompt) > MOST_PROMPT_CHARACTERS:
        yield "system_prompt", _("At most %(most)d characters.") % {"most": MOST_PROMPT_CHARACTERS}
    if "\x00" in configuration.system_prompt:
        yield "system_prompt", _("No NUL characters.")
    if len(configuration.tools) > MOST_TOOLS:
        yield "tools", _("At most %(most)d tools.") % {"most": MOST_TOOLS}
    if len(set(configuration.tools)) != len(configuration.tools):
        yield "tools", _("Every tool only once.")
    if not 0 <= configuration.memory_messages <= MOST_MEMORY_MESSAGES:
        yield "memory_messages", _("From 0 to %(most)d.") % {"most": MOST_MEMORY_MESSAGES}


def parameter_errors(parameters: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What may not stand among the parameters of a model: `("parameters", sentence)`."""
    for message in (*_storage_errors(parameters), *_name_errors(parameters)):
        yield "parameters", message


def _name_errors(parameters: Mapping[str, Any], within: str = "") -> Iterator[str]:
    for name, value in parameters.items():
        if within and name in NOT_IN_THE_BODY:
            yield _("“%(name)s” may not stand in “%(within)s”.") % {"name": name, "within": within}
        elif NOT_A_PARAMETER.search(name):
            yield _("“%(name)s” belongs in the environment, not in an agent.") % {"name": name}
        if name in MORE_PARAMETERS and isinstance(value, Mapping):
            yield from _name_errors(value, name)


def _storage_errors(value: Mapping[str, Any]) -> Iterator[str]:
    """What no JSON column can hold, at any depth: Python's JSON knows numbers and characters that databases refuse."""
    waiting: list[Any] = [value]
    while waiting:
        found = waiting.pop()
        if _is_unstorable(found):
            yield _("NaN, infinity, NUL characters and halves of surrogate pairs cannot be stored.")
            return
        if isinstance(found, Mapping):
            waiting += [*found, *found.values()]
        elif isinstance(found, list | tuple):
            waiting += found


def _is_unstorable(value: Any) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    return isinstance(value, str) and UNSTORABLE.search(value) is not None


def _limit_errors(limits: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in limits.items():
        if name not in MOST_OF_LIMITS:
            message = _("There is no limit “%(name)s”; there are seconds, steps, tokens, cost.")
            yield "limits", message % {"name": name}
        elif not _is_amount(value, most=MOST_OF_LIMITS[name], whole=name != "cost"):
            message = _("The limit “%(name)s” has to be a number above zero and at most %(most)d.")
            yield "limits", message % {"name": name, "most": MOST_OF_LIMITS[name]}


def _is_amount(value: object, *, most: int, whole: bool) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return False
    if whole and not isinstance(value, int):
        return False
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return False
    return amount.is_finite() and 0 < amount <= most
