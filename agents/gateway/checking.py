"""What can be set up: names, addresses and parameters are looked at when they are saved, not when a task fails."""

from __future__ import annotations

import json
import warnings
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext as _

from agents.definitions.models import Agent
from agents.definitions.validators import parameter_errors
from agents.gateway.exceptions import GatewayError
from agents.gateway.models import Credential, Deployment, Price, Route
from agents.gateway.providers import (
    LOCAL,
    MODULES,
    SCRIPTED,
    describe,
    known_providers,
    route_name,
    validate_model_name,
)
from agents.gateway.refusals import InvalidSetting
from foundation import egress

# Whose client goes to the address that it is given, over a connection that is held to it.
ADDRESSABLE: Final = frozenset({"openai"})
LONGEST_SECRET: Final = 10_000
LONGEST_PARAMETERS: Final = 10_000
# Enough of a secret to tell two apart is shown only where that leaves enough of it to guess.
SHORTEST_WITH_HINT: Final = 20

Complaints = Iterator[tuple[str, str]]


def check(row: models.Model, complaints: Callable[[Any], Complaints]) -> None:
    """Raises InvalidSetting with all that is wrong with the columns; when they are right, with the rest."""
    try:
        row.full_clean()
    except ValidationError as error:
        raise InvalidSetting(by_field(error)) from error
    errors: dict[str, list[str]] = defaultdict(list)
    for field, sentence in complaints(row):
        errors[field].append(sentence)
    if errors:
        raise InvalidSetting(errors)


def by_field(error: ValidationError) -> dict[str, list[str]]:
    """Django's errors; those of the whole row under `setting`."""
    return {("setting" if name == "__all__" else name): found for name, found in error.message_dict.items()}


def credential_complaints(row: Credential) -> Complaints:
    """A provider that takes credentials, and an address that may be sent to. Resolves its name."""
    if row.provider not in MODULES:
        yield "provider", _unknown_provider(sorted(MODULES))
    if not row.base_url:
        return
    if row.provider not in ADDRESSABLE:
        names = {"provider": row.provider, "known": ", ".join(sorted(ADDRESSABLE))}
        yield "base_url", _("No address can be set for %(provider)s, only for %(known)s.") % names
        return
    try:
        egress.check_destination(row.base_url)
    except egress.EgressError as error:
        yield "base_url", str(error)


def secret_complaints(secret: str) -> Complaints:
    """One line of visible characters, as fits a header."""
    if not secret or len(secret) > LONGEST_SECRET or not secret.isascii() or not secret.isprintable() or " " in secret:
        yield "secret", _("A secret is one line of letters, digits and signs, without spaces.")


def hint_of(secret: str) -> str:
    """Its end, or nothing of a short one."""
    return secret[-4:] if len(secret) >= SHORTEST_WITH_HINT else ""


def deployment_complaints(row: Deployment) -> Complaints:
    """The model can be used here, by this credential, and its client takes the parameters. Builds it; calls nothing."""
    if not isinstance(row.parameters, dict) or len(json.dumps(row.parameters)) > LONGEST_PARAMETERS:
        yield "parameters", _("Parameters are an object such as {“temperature”: 0.2}, and not a long one.")
        return
    if row.provider not in known_providers():
        yield "provider", _unknown_provider(known_providers())
        return
    if row.credential is not None and row.credential.provider != row.provider:
        yield "credential", _("This credential is for %(provider)s.") % {"provider": row.credential.provider}
        return
    found = [*parameter_errors(row.parameters)]
    yield from found
    if not found:
        yield from _building_complaints(row)


def _building_complaints(row: Deployment) -> Complaints:
    try:
        validate_model_name(f"{row.provider}:{row.model}")
    except GatewayError as error:
        yield "model", str(error)
        return
    for sentence in _client_complaints(row):
        yield "parameters", sentence


def agent_parameter_complaints(model: str, parameters: Mapping[str, Any]) -> Iterator[str]:
    """What no client of the model would take, or of one of the deployments of a route, which is named. Builds them;
    calls nothing. Says nothing of a model that cannot be used here, or whose client cannot be built without the
    parameters either: that is not their fault.
    """
    try:
        validate_model_name(model)
    except GatewayError:
        return
    for row in filter(_can_be_built, _deployments_of(model)):
        for sentence in _client_complaints(_as_called(row, parameters)):
            yield f"{row.name}: {sentence}" if row.name else sentence


def _deployments_of(model: str) -> Iterable[Deployment]:
    """Of a route those that calls go to; what is called `provider:model` by itself is one that is in no table."""
    if not (name := route_name(model)):
        provider, model = describe(model)
        return [Deployment(provider=provider, model=model)]
    rows = Deployment.objects.filter(is_enabled=True, steps__route__name=name).order_by("steps__position")
    # The secret stays sealed: building needs none.
    return rows.select_related("credential").defer("credential__secret")


def _can_be_built(row: Deployment) -> bool:
    return not [*_client_complaints(row)]


def _as_called(row: Deployment, parameters: Mapping[str, Any]) -> Deployment:
    """The deployment with what a call makes of its parameters and these; nothing in it is shared."""
    from agents.gateway.building import merged

    parameters = merged(json.dumps(row.parameters), json.dumps(dict(parameters)))
    return Deployment(provider=row.provider, model=row.model, credential=row.credential, parameters=parameters)


def _client_complaints(row: Deployment) -> Iterator[str]:
    # LangChain, which takes a second to import: only when something is saved.
    from agents.gateway.trying import try_on

    try:
        with warnings.catch_warnings():
            # Of names that it does not know, which are looked for below.
            warnings.simplefilter("ignore")
            # Some clients take what they know out of what they are given.
            client = try_on(_as_called(row, {}))
    except Exception as error:  # of whatever kind the provider's client raises
        yield from _sentences(error)
        return
    if row.provider != SCRIPTED:
        for name in _unknown_parameters(type(client), row.parameters):
            yield _("The model's client knows no parameter “%(name)s”.") % {"name": name}


def _sentences(error: Exception) -> list[str]:
    """What is wrong with each parameter, if the client says so; its own words else, when they are the gateway's."""
    import pydantic

    from agents.gateway.errors import clean

    if isinstance(cause := error.__context__, pydantic.ValidationError):
        found = cause.errors(include_url=False, include_context=False, include_input=False)
        return [clean(": ".join([*map(str, each["loc"][:1]), f"{each['msg']}."])) for each in found]
    if isinstance(error, GatewayError):
        return [str(error)]
    return [_("The model's client does not take them (%(kind)s).") % {"kind": type(error).__name__}]


def _unknown_parameters(client: type[Any], parameters: Mapping[str, Any]) -> list[str]:
    """Names that the client would hand on unseen: a slip of the pen, more often than not."""
    fields: Mapping[str, Any] = getattr(client, "model_fields", {})
    known = {*fields, *(each.alias for each in fields.values())}
    return sorted(name for name in parameters if fields and name not in known)


def route_complaints(row: Route) -> Complaints:
    """Its other routes do not lead back to it."""
    for field in ("longer_route", "refused_route"):
        seen: set[Any] = set()
        following = getattr(row, field)
        while following is not None and following.pk not in seen:
            seen.add(following.pk)
            if following.pk == row.pk:
                yield field, _("That would go round in a circle.")
                break
            following = getattr(following, field)


def price_complaints(row: Price) -> Complaints:
    """A provider that takes money."""
    if row.provider not in MODULES:
        yield "provider", _unknown_provider(sorted(MODULES))


def route_names() -> list[str]:
    """What agents can name, as they write it."""
    return [f"route:{name}" for name in Route.objects.filter(is_enabled=True).values_list("name", flat=True)]


def agents_of(route: Route) -> list[str]:
    """The agents whose current version names the route."""
    return [*Agent.objects.filter(current_version__model=f"route:{route.name}").values_list("slug", flat=True)]


def _unknown_provider(known: Collection[str]) -> str:
    names = [name for name in known if name not in (LOCAL, SCRIPTED)]
    return _("There is no such provider; there are %(known)s.") % {"known": ", ".join(names)}
