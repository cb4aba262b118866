"""Grants over HTTP: one view for whatever can be shared. A room gives it an address and a kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django.db import models
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.audit import Actor
from accounts.caller_views import CallerView
from accounts.exceptions import NotYoursToShare, UnknownReceiver
from accounts.models import User
from accounts.refusals import record_refusal
from accounts.resources import Verb
from accounts.sharing import (
    PERSON,
    ROLE,
    find_receiver,
    grants_of,
    kind_named,
    share,
    unshare,
    verbs_to_share,
)
from foundation.exceptions import NotFoundProblem
from foundation.serializers import StrictSerializer

View = TypeVar("View", bound="type[GrantView]")


class GrantSerializer(serializers.Serializer[Any]):
    """Who may do what with it because it was shared."""

    id = serializers.CharField(read_only=True)
    verb = serializers.ChoiceField(choices=Verb.choices, read_only=True)
    kind = serializers.ChoiceField(choices=[PERSON, ROLE], read_only=True)
    receiver = serializers.CharField(read_only=True, help_text=_("The person's or role's name."))


class NewGrantSerializer(StrictSerializer):
    """With whom it is to be shared: exactly one of `user` and `role`, by the whole name."""

    verb = serializers.ChoiceField(choices=Verb.choices)
    user = serializers.CharField(max_length=150, required=False)
    role = serializers.CharField(max_length=150, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """One of the two."""
        if ("user" in attrs) == ("role" in attrs):
            raise serializers.ValidationError({"user": [_("Give either a user or a role.")]})
        return attrs


class GrantView(CallerView):
    """What both views of grants share. The area is also what the kind of things is called."""

    holds_narrowing = True
    serializer_class = GrantSerializer
    queryset = User.objects.none()
    pagination_class = None
    filter_backends = ()

    def handle_exception(self, exc: Exception) -> Response:
        """With a record of who tried to get beyond their rights."""
        record_refusal(exc, Actor.of(self.request))
        return super().handle_exception(exc)

    def get_thing(self) -> models.Model:
        """What the address names. Raises 404 if the caller may not know of it, NotYoursToShare if they only use it."""
        key = str(self.kwargs.get("slug") or self.kwargs["pk"])
        thing = kind_named(self.area).find(self.user, key)
        if thing is None:
            raise NotFoundProblem
        if not verbs_to_share(self.user, thing):
            raise NotYoursToShare
        return thing


class GrantList(GrantView):
    """With whom something is shared."""

    def get(self, request: Request, **kwargs: Any) -> Response:
        """Everything that is shared on it, roles first."""
        return Response(GrantSerializer(grants_of(self.get_thing()), many=True).data)

    def post(self, request: Request, **kwargs: Any) -> Response:
        """Shares it with a person or a role, named exactly; again is no error."""
        thing = self.get_thing()
        body = NewGrantSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        given = body.validated_data
        kind = PERSON if "user" in given else ROLE
        try:
            to = find_receiver(kind=kind, name=given[kind])
        except UnknownReceiver as error:
            raise serializers.ValidationError({kind: [str(error)]}) from error
        grant = share(thing=thing, verb=given["verb"], to=to, by=self.user, actor=Actor.of(request))
        return Response(GrantSerializer(grant).data, status=201)


class GrantDetail(GrantView):
    """One grant."""

    def delete(self, request: Request, **kwargs: Any) -> Response:
        """Stops sharing it. 404 for a grant that is not one of this very thing."""
        if not unshare(thing=self.get_thing(), grant_id=kwargs["grant"], by=self.user, actor=Actor.of(request)):
            raise NotFoundProblem
        return Response(status=204)


def described(kind: str) -> Callable[[View], View]:
    """How the schema calls the operations on grants of a kind."""
    listed = extend_schema(
        operation_id=f"{kind}_grants_list", summary="List grants", tags=[kind], responses=GrantSerializer(many=True)
    )
    given = extend_schema(
        operation_id=f"{kind}_grants_give", summary="Share", tags=[kind], request=NewGrantSerializer,
        responses={201: GrantSerializer},
    )  # fmt: skip
    taken = extend_schema(
        operation_id=f"{kind}_grants_take", summary="Stop sharing", tags=[kind], responses={204: None}
    )

    def describe(view: View) -> View:
        views = {"get": listed, "post": given, "delete": taken}
        return extend_schema_view(**{name: words for name, words in views.items() if hasattr(view, name)})(view)

    return describe
