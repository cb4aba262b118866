"""One's API keys over HTTP."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar, cast

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import mixins
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.audit import Actor
from accounts.caller_views import CallerView
from accounts.exceptions import AgentNotUsable, InvalidAddress, KeyEnded, NameTaken, ScopeTooWide
from accounts.issuing import IssuedKey, issue_api_key, revoke_api_key, rotate_api_key
from accounts.models import ApiKey, User
from accounts.serializers import ApiKeySerializer, IssuedApiKeySerializer, NewApiKeySerializer, RotateSerializer
from foundation.exceptions import Problem


class KeyNameTaken(Problem):
    """There is a live key of this name already."""

    status_code = 409
    default_code = "name-taken"


class KeyHasEnded(Problem):
    """A key that has ended, or was rotated before, cannot be rotated."""

    status_code = 409
    default_code = "key-ended"


class ApiKeyView(CallerView):
    """What both views of keys share."""

    area = "keys"
    queryset = ApiKey.objects.none()
    serializer_class = ApiKeySerializer
    holds_narrowing = True

    @property
    def used_key(self) -> ApiKey | None:
        """The key that the caller used, if it was one."""
        return self.request.auth if isinstance(self.request.auth, ApiKey) else None

    def get_queryset(self) -> QuerySet[ApiKey]:
        """One's own keys; everyone's for whoever may view keys. With a key for some agents, those that came of it."""
        visible = ApiKey.objects.visible_to(self.user)
        return visible.reached_with(self.used_key).select_related("owner")

    def own_key(self) -> ApiKey:
        """The key of the address. Raises 404 for another's: only its owner changes anything about it here."""
        own = ApiKey.objects.filter(owner=self.user).reached_with(self.used_key)
        return get_object_or_404(own.select_related("owner"), pk=self.kwargs["pk"])


class ApiKeyList(mixins.ListModelMixin, ApiKeyView):
    """API keys."""

    search_fields: ClassVar = ["name", "prefix"]

    @extend_schema(operation_id="api_keys_list", summary="List API keys", tags=["api-keys"])
    def get(self, request: Request) -> Response:
        """Your API keys, newest first."""
        return self.list(request)

    @extend_schema(
        operation_id="api_keys_create", summary="Make an API key", tags=["api-keys"],
        request=NewApiKeySerializer, responses={201: IssuedApiKeySerializer},
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Makes a key for yourself. Its text is in this answer and nowhere else, ever."""
        given = NewApiKeySerializer(data=request.data)
        given.is_valid(raise_exception=True)
        try:
            issued = issue_api_key(
                owner=cast("User", request.user),
                actor=Actor.of(request),
                within=self.used_key,
                **given.validated_data,
            )
        except NameTaken as error:
            raise KeyNameTaken(str(error)) from error
        except ScopeTooWide as error:
            raise PermissionDenied(str(error)) from error
        except KeyEnded as error:
            raise KeyHasEnded(str(error)) from error
        except AgentNotUsable as error:
            raise ValidationError({"agents": [str(error)]}) from error
        except InvalidAddress as error:
            raise ValidationError({"addresses": [str(error)]}) from error
        return _shown_once(issued)


class ApiKeyDetail(ApiKeyView):
    """One API key."""

    @extend_schema(operation_id="api_keys_get", summary="Show an API key", tags=["api-keys"])
    def get(self, request: Request, **kwargs: Any) -> Response:
        """One key."""
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(
        operation_id="api_keys_revoke", summary="Revoke an API key", tags=["api-keys"], responses={204: None}
    )
    def delete(self, request: Request, **kwargs: Any) -> Response:
        """Ends one of your keys for good, and those that were made with it; no error when it had ended before."""
        revoke_api_key(api_key=self.own_key(), actor=Actor.of(request))
        return Response(status=204)


class ApiKeyRotation(ApiKeyView):
    """The successor of an API key."""

    @extend_schema(
        operation_id="api_keys_rotate", summary="Rotate an API key", tags=["api-keys"],
        request=RotateSerializer, responses={201: IssuedApiKeySerializer},
    )  # fmt: skip
    def post(self, request: Request, **kwargs: Any) -> Response:
        """Makes a key of the same name and with the same narrowing; the old one opens for `overlap_seconds` more.

        The text of the new key is in this answer and nowhere else, ever. 409 for a key that has ended, or was rotated
        before.
        """
        given = RotateSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        try:
            issued = rotate_api_key(
                api_key=self.own_key(),
                actor=Actor.of(request),
                overlap=timedelta(seconds=given.validated_data["overlap_seconds"]),
                within=self.used_key,
            )
        except KeyEnded as error:
            raise KeyHasEnded(str(error)) from error
        except ScopeTooWide as error:
            raise PermissionDenied(str(error)) from error
        return _shown_once(issued)


def _shown_once(issued: IssuedKey) -> Response:
    shown = ApiKeySerializer(issued.row).data
    return Response({**shown, "key": issued.key}, status=201, headers={"Cache-Control": "no-store"})
