"""Deployments, routes and prices as plain data. Credentials are in no file: those that are named have to be there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_aware
from django.utils.translation import gettext as _

from accounts.audit import SYSTEM
from agents.gateway import services
from agents.gateway.models import Credential, Deployment, Price, Route
from agents.gateway.refusals import InvalidSetting
from agents.gateway.services import DEPLOYMENT_FIELDS, ROUTE_FIELDS, Step
from foundation.portable import Entry, NotApplicable, register_kind, text_of

AMOUNTS = ("input_price", "output_price", "cached_price", "reasoning_price")


class Deployments:
    """By their names."""

    name = "deployments"
    fields: Sequence[str] = DEPLOYMENT_FIELDS

    def read(self) -> dict[str, Entry]:
        """Every deployment, with its credential's name."""
        rows = Deployment.objects.select_related("credential").defer("credential__secret").order_by("name")
        return {row.name: _said(row, DEPLOYMENT_FIELDS) for row in rows}

    def apply(self, name: str, entry: Entry) -> None:
        """Makes the deployment or changes it."""
        row = Deployment.objects.filter(name=name).first()
        given = dict(entry)
        if "credential" in given:
            given["credential"] = _named(Credential, given["credential"])
        if row is None:
            _carried_out(services.create_deployment, name=name, actor=SYSTEM, **given)
        else:
            _carried_out(services.change_deployment, deployment=row, changes=given, actor=SYSTEM)


class Routes:
    """By their names. `steps` are `[deployment, weight]`; a route that another one leads to stands before it, or is
    there already.
    """

    name = "routes"
    fields: Sequence[str] = (*ROUTE_FIELDS, "steps")

    def read(self) -> dict[str, Entry]:
        """Every route: what others lead to comes first."""
        rows = Route.objects.select_related("longer_route", "refused_route").prefetch_related("steps__deployment")
        said = {
            row.name: {
                **_said(row, ROUTE_FIELDS), "steps": [[step.deployment.name, step.weight] for step in row.steps.all()],
            }
            for row in rows.order_by("name")
        }  # fmt: skip
        return {name: said[name] for name in _targets_first(said)}

    def apply(self, name: str, entry: Entry) -> None:
        """Makes the route or changes it."""
        given = dict(entry)
        for field in ("longer_route", "refused_route"):
            if field in given:
                given[field] = _named(Route, given[field])
        steps = [_step(each) for each in _list_of(given.pop("steps"))] if "steps" in given else None
        row = Route.objects.filter(name=name).first()
        if row is None:
            _carried_out(services.create_route, name=name, steps=steps or [], actor=SYSTEM, **given)
        else:
            _carried_out(services.change_route, route=row, changes=given, steps=steps, actor=SYSTEM)


class Prices:
    """Those that were entered here, by `provider:model 2026-01-31T00:00:00+00:00`: the moment from which they count.
    Amounts are text, so that no file changes them.
    """

    name = "prices"
    fields: Sequence[str] = (*AMOUNTS, "note")

    def read(self) -> dict[str, Entry]:
        """Every price that did not come with Mutirão."""
        rows = Price.objects.filter(source=Price.Source.OPERATOR).order_by("provider", "model", "valid_from")
        return {
            f"{row.provider}:{row.model} {row.valid_from.astimezone(UTC).isoformat()}": {
                **{name: _amount_said(getattr(row, name)) for name in AMOUNTS}, "note": row.note,
            }
            for row in rows
        }  # fmt: skip

    def apply(self, name: str, entry: Entry) -> None:
        """Adds the price. One that is there stays as it is: another one is another moment's."""
        provider, model, valid_from = _parsed(name)
        given: dict[str, Any] = {field: _amount(field, entry[field]) for field in AMOUNTS if field in entry}
        row = Price.objects.filter(provider=provider, model=model, valid_from=valid_from).first()
        if row is not None:
            if any(getattr(row, field) != value for field, value in given.items()):
                raise NotApplicable(_("Prices are not changed; “%(name)s” is there already.") % {"name": name})
            return
        given |= {"provider": provider, "model": model, "valid_from": valid_from, "note": text_of(entry, "note")}
        for field in ("input_price", "output_price"):
            if given.get(field) is None:
                raise NotApplicable(_("“%(field)s” is missing.") % {"field": field})
        _carried_out(services.set_price, actor=SYSTEM, **given)


def _said(row: Any, fields: Sequence[str]) -> dict[str, Any]:
    return {name: _plain(getattr(row, name)) for name in fields}


def _plain(value: Any) -> Any:
    return value.name if isinstance(value, Credential | Route) else value


def _targets_first(said: Mapping[str, Mapping[str, Any]]) -> list[str]:
    done: list[str] = []
    begun: set[Any] = set()

    def put(name: Any) -> None:
        # Two routes may lead to each other, one for what is too long and one for what is refused.
        if name in said and name not in begun:
            begun.add(name)
            for field in ("longer_route", "refused_route"):
                put(said[name][field])
            done.append(name)

    for name in said:
        put(name)
    return done


def _carried_out(act: Callable[..., object], **given: Any) -> None:
    """Raises NotApplicable."""
    try:
        act(**given)
    except InvalidSetting as error:
        raise NotApplicable(str(error)) from error


def _named(kind: type[Any], name: Any) -> Any:
    if name is None:
        return None
    row = kind.objects.filter(name=name).first() if isinstance(name, str) else None
    if row is None:
        raise NotApplicable(_("There is no “%(name)s”.") % {"name": name})
    return row


def _list_of(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise NotApplicable(_("“%(field)s” has to be a list.") % {"field": "steps"})
    return value


def _step(said: Any) -> Step:
    name, weight = said if isinstance(said, list) and len(said) == 2 else (said, 1)
    if not isinstance(weight, int) or isinstance(weight, bool):
        raise NotApplicable(_("“%(field)s” has to be a whole number.") % {"field": "weight"})
    return Step(_named(Deployment, name or ""), weight)


def _amount_said(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount.normalize():f}"


def _amount(field: str, value: Any) -> Decimal | None:
    try:
        found = None if value is None else Decimal(str(value))
    except InvalidOperation:
        found = Decimal("NaN")
    if found is not None and not found.is_finite():
        raise NotApplicable(_("“%(field)s” has to be a number.") % {"field": field})
    return found


def _parsed(name: str) -> tuple[str, str, datetime]:
    known, _space, since = name.rpartition(" ")
    provider, colon, model = known.partition(":")
    try:
        moment = parse_datetime(since)
    except ValueError:
        moment = None
    if not colon or moment is None or not is_aware(moment):
        raise NotApplicable(_("“%(name)s” is not like “openai:gpt-4o 2026-01-31T00:00:00+00:00”.") % {"name": name})
    return provider, model, moment


def register_kinds() -> None:
    """Called when the application starts."""
    # Agents name routes.
    register_kind(Deployments(), before="agents")
    register_kind(Routes(), before="agents")
    register_kind(Prices())
