"""My webhook endpoints: register, change, rotate, test, turn off and on, delete."""

from __future__ import annotations

import uuid
from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.audit import Actor
from accounts.models import User
from agents.webhooks import services
from agents.webhooks.exceptions import InvalidEndpoint, WebhookError
from agents.webhooks.models import Delivery, Endpoint, TaskSecret
from agents.webhooks.services import IssuedSecret
from mutirao.pages.webhooks.forms import EndpointForm, RotateForm

MOST_SHOWN = 25


@login_required
@require_safe
def webhook_list(request: HttpRequest) -> HttpResponse:
    """One's endpoints, and what was delivered lately."""
    context = {
        "endpoints": [*_own(request)],
        "deliveries": [*_deliveries(request)[:MOST_SHOWN]],
        "has_task_secret": TaskSecret.objects.filter(owner=_user(request)).exists(),
    }
    return render(request, "webhooks/list.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def endpoint_new(request: HttpRequest) -> HttpResponse:
    """The form, then the secret."""
    form = EndpointForm(request.POST or None, user=_user(request))
    if request.method == "POST" and form.is_valid():
        try:
            issued = services.register_endpoint(owner=_user(request), wishes=form.wishes(), actor=Actor.of(request))
        except WebhookError as error:
            _blame(form, error)
        else:
            return _shown_once(request, issued)
    return render(request, "webhooks/new.html", {"form": form})


@login_required
@require_http_methods(["GET", "POST"])
def endpoint_page(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """What it is told of, in a form, and how that goes."""
    endpoint = _endpoint(request, pk)
    form = EndpointForm(request.POST or None, user=_user(request), endpoint=endpoint)
    if request.method == "POST" and form.is_valid():
        try:
            services.change_endpoint(endpoint=endpoint, wishes=form.wishes(), actor=Actor.of(request))
        except WebhookError as error:
            _blame(form, error)
        else:
            messages.success(request, _("Saved."))
            return redirect("pages:webhook", pk)
    deliveries = _deliveries(request).filter(endpoint=endpoint)[:MOST_SHOWN]
    context = {"endpoint": endpoint, "form": form, "deliveries": [*deliveries], "now": timezone.now()}
    return render(request, "webhooks/endpoint.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def endpoint_rotate(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """A new secret, shown once; the old one goes on signing for as long as was chosen."""
    endpoint = _endpoint(request, pk)
    form = RotateForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        return _shown_once(
            request,
            services.rotate_secret(endpoint=endpoint, actor=Actor.of(request), overlap=form.overlap_time()),
        )
    return render(request, "webhooks/rotate.html", {"form": form, "endpoint": endpoint})


@login_required
@require_http_methods(["GET", "POST"])
def task_secret(request: HttpRequest) -> HttpResponse:
    """The same for the webhooks of single tasks."""
    form = RotateForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        issued = services.rotate_task_secret(owner=_user(request), actor=Actor.of(request), overlap=form.overlap_time())
        return _shown_once(request, issued)
    return render(request, "webhooks/rotate.html", {"form": form, "endpoint": None})


@login_required
@require_http_methods(["GET", "POST"])
def endpoint_delete(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Asks, then forgets it."""
    endpoint = _endpoint(request, pk)
    if request.method != "POST":
        return render(request, "webhooks/delete.html", {"endpoint": endpoint})
    services.delete_endpoint(endpoint=endpoint, actor=Actor.of(request))
    messages.success(request, _("“%(name)s” is deleted.") % {"name": endpoint})
    return redirect("pages:webhooks")


@login_required
@require_POST
def endpoint_test(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Sends a test; the page that follows shows how it goes."""
    try:
        delivery = services.send_test(endpoint=_endpoint(request, pk), actor=Actor.of(request))
    except WebhookError as error:
        messages.warning(request, str(error))
        return redirect("pages:webhook", pk)
    return redirect("pages:webhook-delivery", delivery.pk)


@login_required
@require_POST
def endpoint_switch(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Off when it is on, on when it is off."""
    endpoint, actor = _endpoint(request, pk), Actor.of(request)
    if "on" in request.POST:
        services.enable_endpoint(endpoint=endpoint, actor=actor)
        messages.success(request, _("It is told of what ends from now on."))
    else:
        services.disable_endpoint(endpoint=endpoint, actor=actor)
        messages.success(request, _("It is told nothing more."))
    return redirect("pages:webhook", pk)


def _blame(form: EndpointForm, error: WebhookError) -> None:
    form.add_error("url" if isinstance(error, InvalidEndpoint) else None, str(error))


def _shown_once(request: HttpRequest, issued: IssuedSecret, **context: Any) -> HttpResponse:
    """The secret, in this answer alone: no cache and no session keeps it."""
    endpoint = issued.row if isinstance(issued.row, Endpoint) else None
    response = render(
        request, "webhooks/issued.html", {"secret": issued.secret, "row": issued.row, "endpoint": endpoint, **context}
    )
    response.headers["Cache-Control"] = "no-store"
    return response


def _own(request: HttpRequest) -> Any:
    return Endpoint.objects.without_secrets().filter(owner=_user(request)).select_related("agent")


def _endpoint(request: HttpRequest, pk: uuid.UUID) -> Endpoint:
    return cast("Endpoint", get_object_or_404(_own(request), pk=pk))


def _deliveries(request: HttpRequest) -> Any:
    own = Delivery.objects.filter(owner=_user(request)).order_by("-created_at", "-id")
    return own.select_related("endpoint").defer("body", "endpoint__secret", "endpoint__previous_secret")


def _user(request: HttpRequest) -> User:
    return cast("User", request.user)
