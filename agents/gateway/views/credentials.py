"""Model credentials over HTTP."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.audit import Actor
from agents.gateway import services
from agents.gateway.models import Credential
from agents.gateway.serializers import (
    ChangeModelCredentialSerializer,
    ModelCredentialSerializer,
    NewModelCredentialSerializer,
)
from agents.gateway.views.settings import LOCATION, SettingView, by_field


class CredentialView(SettingView):
    """Model credentials. Their secrets are not even read."""

    queryset: QuerySet[Any] = Credential.objects.defer("secret")
    serializer_class: Any = ModelCredentialSerializer
    model_name = "credential"


class CredentialList(mixins.ListModelMixin, CredentialView):
    """Model credentials."""

    @extend_schema(operation_id="credentials_list", summary="List model credentials", tags=["models"])
    def get(self, request: Request) -> Response:
        """What providers are shown, without the secrets."""
        return self.list(request)

    @extend_schema(
        operation_id="credentials_create", summary="Make a model credential", tags=["models"], parameters=[LOCATION],
        request=NewModelCredentialSerializer, responses={201: ModelCredentialSerializer},
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Makes one. The secret is taken and never shown again."""
        self.check_may("add")
        given = self.body(NewModelCredentialSerializer)
        return self.made(by_field(services.create_credential, actor=Actor.of(request), **given), "model-credential")


class CredentialDetail(CredentialView):
    """One model credential."""

    pagination_class = None

    @extend_schema(operation_id="credentials_get", summary="Show a model credential", tags=["models"])
    def get(self, request: Request, **kwargs: Any) -> Response:
        """Without its secret."""
        return self.shown(self.get_object())

    @extend_schema(
        operation_id="credentials_change", summary="Change a model credential", tags=["models"],
        request=ChangeModelCredentialSerializer, responses={200: ModelCredentialSerializer},
    )  # fmt: skip
    def patch(self, request: Request, **kwargs: Any) -> Response:
        """Gives it another address, which clears its secret, or a new secret."""
        self.check_may("change")
        row, given, actor = self.get_object(), self.body(ChangeModelCredentialSerializer), Actor.of(request)
        secret = given.pop("secret", None)
        # Both or nothing: a refused secret must not cost the one that is there.
        with transaction.atomic():
            row = by_field(services.change_credential, credential=row, actor=actor, changes=given)
            if secret is not None:
                row = by_field(services.set_secret, credential=row, secret=secret, actor=actor)
        return self.shown(row)

    @extend_schema(
        operation_id="credentials_delete", summary="Delete a model credential", tags=["models"], responses={204: None}
    )
    def delete(self, request: Request, **kwargs: Any) -> Response:
        """409 while a deployment is called with it."""
        self.check_may("delete")
        services.delete_credential(credential=self.get_object(), actor=Actor.of(request))
        return Response(status=204)
