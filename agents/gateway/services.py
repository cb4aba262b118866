"""What operators set up: credentials, deployments, routes, prices. Every verb is checked, atomic and audited.

Names stay: agents, files and the record know these things by them. What changes is known to this process at once, to
others after ROUTE_CACHE_SECONDS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from django.db import transaction
from django.db.models import Model
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit
from accounts.audit import Actor
from agents.circuits import protection
from agents.gateway import checking, prices, routing
from agents.gateway.circuits import CREDENTIAL, DEPLOYMENT
from agents.gateway.models import Credential, Deployment, Price, Route, RouteStep
from agents.gateway.refusals import InUse, InvalidSetting
from foundation import egress

CREDENTIAL_FIELDS: Final = ("base_url", "rate_limits")
DEPLOYMENT_FIELDS: Final = (
    "provider", "model", "credential", "parameters", "is_enabled", "most_concurrent", "most_requests", "most_tokens",
)  # fmt: skip
ROUTE_FIELDS: Final = (
    "description", "strategy", "is_enabled", "deadline_seconds", "first_token_seconds", "stall_seconds", "most_tries",
    "longer_route", "refused_route",
)  # fmt: skip
PRICE_FIELDS: Final = ("input_price", "output_price", "cached_price", "reasoning_price", "valid_from", "note")
MOST_STEPS: Final = 20


@dataclass(frozen=True, slots=True)
class Step:
    """A deployment's place in a route; they are tried in their order, or by weight."""

    deployment: Deployment
    weight: int = 1


def create_credential(*, name: str, provider: str, secret: str = "", actor: Actor, **fields: Any) -> Credential:
    """What a provider is shown; `fields` are CREDENTIAL_FIELDS. Raises InvalidSetting."""
    row = Credential(name=name, provider=provider, **_only(fields, CREDENTIAL_FIELDS))
    if secret:
        _put(row, secret)
    with transaction.atomic():
        checking.check(row, checking.credential_complaints)
        row.save(force_insert=True)
        changes = audit.difference({}, _credential_facts(row))
        audit.record(verb="credential.create", actor=actor, subject=row, changes=changes)
        _changed()
    return row


def change_credential(*, credential: Credential, actor: Actor, changes: Mapping[str, Any]) -> Credential:
    """Changes some of CREDENTIAL_FIELDS. Another address clears the secret: who may change an address must not be able
    to have a secret sent to a machine of theirs. Raises InvalidSetting.
    """
    with transaction.atomic():
        row = _locked(credential)
        given = _only(changes, CREDENTIAL_FIELDS)
        written = [name for name in given if getattr(row, name) != given[name]]
        if not written:
            return row
        before = _credential_facts(row)
        _set(row, given)
        if "base_url" in written:
            row.secret, row.hint, row.changed_at = "", "", None
            written += ["secret", "hint", "changed_at"]
        checking.check(row, checking.credential_complaints)
        row.save(update_fields=written)
        difference = audit.difference(before, _credential_facts(row))
        audit.record(verb="credential.change", actor=actor, subject=row, changes=difference)
        _changed()
    return row


def _locked(credential: Credential) -> Credential:
    """Without its secret: one that no key opens any more can be given another."""
    return Credential.objects.defer("secret").select_for_update().get(pk=credential.pk)


def set_secret(*, credential: Credential, secret: str, actor: Actor) -> Credential:
    """Puts a new secret in the place of the old one; nobody can read it again. What failed with the old one is tried at
    once. Raises InvalidSetting.
    """
    with transaction.atomic():
        row = _locked(credential)
        _put(row, secret)
        row.save(update_fields=["secret", "hint", "changed_at"])
        audit.record(verb="credential.secret", actor=actor, subject=row)
        _changed()
        transaction.on_commit(lambda: _close_circuits(row))
    return row


def _close_circuits(credential: Credential) -> None:
    """As an operator would who has just changed the key; what they hold stays held."""
    protection.circuits().reset(f"{CREDENTIAL}:{credential.pk}")
    for pk in credential.deployments.values_list("pk", flat=True):
        protection.circuits().reset(f"{DEPLOYMENT}:{pk}")


def delete_credential(*, credential: Credential, actor: Actor) -> None:
    """Raises InUse while a deployment is called with it."""
    with transaction.atomic():
        users = [*credential.deployments.values_list("name", flat=True)]
        if users:
            raise InUse(_("It is used by: %(names)s.") % {"names": ", ".join(users)})
        _delete(credential, "credential", _credential_facts(credential), actor)


def _put(row: Credential, secret: str) -> None:
    found = dict(checking.secret_complaints(secret))
    if found:
        raise InvalidSetting({field: [sentence] for field, sentence in found.items()})
    row.secret, row.hint, row.changed_at = secret, checking.hint_of(secret), timezone.now()


def _credential_facts(row: Credential) -> dict[str, Any]:
    """For the record: the host alone, and of the secret whether there is one."""
    return {
        "provider": row.provider, "host": egress.host_of(row.base_url), "rate_limits": row.rate_limits,
        "is_set": bool(row.changed_at),
    }  # fmt: skip


def create_deployment(*, name: str, actor: Actor, **fields: Any) -> Deployment:
    """A model at a provider; `fields` are DEPLOYMENT_FIELDS. Raises InvalidSetting."""
    return save_deployment(deployment=Deployment(name=name, **_only(fields, DEPLOYMENT_FIELDS)), actor=actor)


def change_deployment(*, deployment: Deployment, actor: Actor, changes: Mapping[str, Any]) -> Deployment:
    """Changes some of DEPLOYMENT_FIELDS. Calls that go on end as they began. Raises InvalidSetting."""
    with transaction.atomic():
        row = Deployment.objects.select_for_update(of=("self",)).get(pk=deployment.pk)
        _set(row, _only(changes, DEPLOYMENT_FIELDS))
        return save_deployment(deployment=row, actor=actor)


@transaction.atomic
def save_deployment(*, deployment: Deployment, actor: Actor) -> Deployment:
    """Writes a new or changed row; its model, parameters and credential are tried on first. Raises InvalidSetting."""
    before = _stored_facts(deployment, DEPLOYMENT_FIELDS)
    checking.check(deployment, checking.deployment_complaints)
    deployment.save()
    _record("deployment", deployment, before, _facts(deployment, DEPLOYMENT_FIELDS), actor)
    return deployment


def delete_deployment(*, deployment: Deployment, actor: Actor) -> None:
    """Raises InUse while a route leads to it."""
    with transaction.atomic():
        routes = [*deployment.routes.values_list("name", flat=True)]
        if routes:
            raise InUse(_("It is used by: %(names)s.") % {"names": ", ".join(routes)})
        _delete(deployment, "deployment", _facts(deployment, DEPLOYMENT_FIELDS), actor)


def create_route(*, name: str, steps: Sequence[Step], actor: Actor, **fields: Any) -> Route:
    """A name that agents can use; `fields` are ROUTE_FIELDS. Raises InvalidSetting."""
    return save_route(route=Route(name=name, **_only(fields, ROUTE_FIELDS)), steps=steps, actor=actor)


def change_route(
    *, route: Route, actor: Actor, changes: Mapping[str, Any], steps: Sequence[Step] | None = None
) -> Route:
    """Changes some of ROUTE_FIELDS, and with `steps` where it leads. Raises InvalidSetting."""
    with transaction.atomic():
        row = Route.objects.select_for_update(of=("self",)).get(pk=route.pk)
        _set(row, _only(changes, ROUTE_FIELDS))
        return save_route(route=row, steps=steps_of(row) if steps is None else steps, actor=actor)


@transaction.atomic
def save_route(*, route: Route, steps: Sequence[Step], actor: Actor) -> Route:
    """Writes a new or changed route with all its steps. Raises InvalidSetting."""
    before = _stored_facts(route, ROUTE_FIELDS)
    if before:
        before["steps"] = _told(steps_of(route))
    checking.check(route, checking.route_complaints)
    check_steps(steps)
    route.save()
    if before.get("steps") != _told(steps):
        route.steps.all().delete()
        RouteStep.objects.bulk_create(
            RouteStep(route=route, deployment=step.deployment, position=number, weight=step.weight)
            for number, step in enumerate(steps)
        )
    _record("route", route, before, {**_facts(route, ROUTE_FIELDS), "steps": _told(steps)}, actor)
    return route


def check_steps(steps: Sequence[Step]) -> None:
    """Raises InvalidSetting unless there is at least one, and each deployment once."""
    if not 1 <= len(steps) <= MOST_STEPS:
        raise InvalidSetting({"steps": [_("A route leads to 1 to %(most)d deployments.") % {"most": MOST_STEPS}]})
    if len({step.deployment.pk for step in steps}) != len(steps):
        raise InvalidSetting({"steps": [_("Every deployment only once.")]})
    if not all(0 <= step.weight <= 1000 for step in steps):
        raise InvalidSetting({"steps": [_("A weight is from 0 to 1000.")]})


def steps_of(route: Route) -> list[Step]:
    """Where it leads now, in their order."""
    return [Step(step.deployment, step.weight) for step in route.steps.select_related("deployment")]


def delete_route(*, route: Route, actor: Actor) -> None:
    """Raises InUse while an agent, or another route, leads to it."""
    with transaction.atomic():
        leading = Route.objects.filter(longer_route=route) | Route.objects.filter(refused_route=route)
        users = [*checking.agents_of(route), *leading.values_list("name", flat=True)]
        if users:
            raise InUse(_("It is used by: %(names)s.") % {"names": ", ".join(users)})
        facts = {**_facts(route, ROUTE_FIELDS), "steps": _told(steps_of(route))}
        _delete(route, "route", facts, actor)


def set_price(
    *,
    provider: str,
    model: str,
    input_price: Decimal,
    output_price: Decimal,
    cached_price: Decimal | None = None,
    reasoning_price: Decimal | None = None,
    valid_from: datetime | None = None,
    note: str = "",
    actor: Actor,
) -> Price:
    """What a million tokens cost from a moment on (now, when none is said). What was counted before stays as it is:
    it is a new row beside the old ones. Raises InvalidSetting.
    """
    row = Price(
        provider=provider, model=model, input_price=input_price, output_price=output_price, cached_price=cached_price,
        reasoning_price=reasoning_price, valid_from=valid_from or timezone.now(), note=note,
    )  # fmt: skip
    return save_price(price=row, actor=actor)


@transaction.atomic
def save_price(*, price: Price, actor: Actor) -> Price:
    """Writes a new row. Raises InvalidSetting."""
    checking.check(price, checking.price_complaints)
    price.save(force_insert=True)
    changes = audit.difference({}, _facts(price, ("provider", "model", *PRICE_FIELDS)))
    audit.record(verb="price.set", actor=actor, subject=price, changes=changes)
    _changed()
    return price


def _only(fields: Mapping[str, Any], known: Sequence[str]) -> dict[str, Any]:
    """Raises TypeError for a field that nobody may set: a mistake of the caller's."""
    for name in fields:
        if name not in known:
            raise TypeError(name)
    return dict(fields)


def _set(row: Model, changes: Mapping[str, Any]) -> None:
    for name, value in changes.items():
        setattr(row, name, value)


def _facts(row: Model, names: Sequence[str]) -> dict[str, Any]:
    return {name: _plain(getattr(row, name)) for name in names}


def _stored_facts(row: Model, names: Sequence[str]) -> dict[str, Any]:
    """As they were; empty for a new row."""
    if row._state.adding:
        return {}
    return _facts(type(row)._default_manager.get(pk=row.pk), names)  # noqa: SLF001 (public in all but name)


def _plain(value: Any) -> Any:
    """As JSON has it: rows by their names."""
    if isinstance(value, Model):
        return str(value)
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return value.isoformat() if isinstance(value, datetime) else value


def _told(steps: Sequence[Step]) -> list[Any]:
    return [[step.deployment.name, step.weight] for step in steps]


def _record(kind: str, row: Model, before: Mapping[str, Any], after: Mapping[str, Any], actor: Actor) -> None:
    """Nothing is written where nothing has changed."""
    changes = audit.difference(before, after)
    if changes:
        audit.record(verb=f"{kind}.{'change' if before else 'create'}", actor=actor, subject=row, changes=changes)
        _changed()


def _delete(row: Model, kind: str, facts: Mapping[str, Any], actor: Actor) -> None:
    audit.record(verb=f"{kind}.delete", actor=actor, subject=row, changes=audit.difference(facts, {}))
    row.delete()
    _changed()


def _changed() -> None:
    transaction.on_commit(prices.forget)
    transaction.on_commit(routing.forget)
