"""Signing in, who one is, and one's API keys."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar, cast

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import mixins
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.permissions import SAFE_METHODS, AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import limiting, tokens
from accounts.audit import Actor
from accounts.exceptions import KeyEnded, NameTaken, ScopeTooWide
from accounts.models import ApiKey, User
from accounts.serializers import (
    ApiKeySerializer,
    IssuedApiKeySerializer,
    MeSerializer,
    NewApiKeySerializer,
    RefreshSerializer,
    RotateSerializer,
    SignInSerializer,
    TokenPairSerializer,
)
from accounts.services import IssuedKey, issue_api_key, revoke_api_key, rotate_api_key
from foundation.async_views import AsyncAPIView, AsyncGenericAPIView
from foundation.exceptions import Problem


class KeyNameTaken(Problem):
    """There is a live key of this name already."""

    status_code = 409
    default_code = "name-taken"


class KeyHasEnded(Problem):
    """A key that has ended, or was rotated before, cannot be rotated."""

    status_code = 409
    default_code = "key-ended"


class SignInLimited(Problem):
    """Too many failed attempts; try again later."""

    status_code = 429
    default_code = "too-many-attempts"
    wait = 60  # DRF's name for Retry-After


class SignInUnavailable(Problem):
    """Nobody can sign in at the moment; try again soon."""

    status_code = 503
    default_code = "unavailable"
    wait = 5


class _Open(AsyncAPIView):
    """Whoever comes here has no credential yet."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    limit_scope = limiting.SIGN_IN

    def get_authenticate_header(self, request: Request) -> str:
        """A 401 of these views is about what was sent, but still a 401."""
        return 'Bearer realm="mutirao"'


class ObtainToken(_Open):
    """Signing in."""

    @extend_schema(
        operation_id="auth_token", summary="Sign in", tags=["auth"], auth=[],
        request=SignInSerializer, responses={200: TokenPairSerializer},
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Trades name and password for tokens; with a second factor, also its `code`."""
        given = SignInSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        try:
            pair = tokens.obtain_tokens(request=request._request, **given.validated_data)
        except tokens.WrongCredentials as error:
            raise AuthenticationFailed(str(error), "wrong-credentials") from error
        except tokens.SecondFactorRequired as error:
            raise AuthenticationFailed(str(error), "second-factor-required") from error
        except tokens.TooManyAttempts as error:
            raise SignInLimited(str(error)) from error
        except tokens.SignInAway as error:
            raise SignInUnavailable(str(error)) from error
        return Response({"access": pair.access, "refresh": pair.refresh})


class RefreshToken(_Open):
    """Staying signed in."""

    @extend_schema(
        operation_id="auth_token_refresh", summary="Refresh", tags=["auth"], auth=[],
        request=RefreshSerializer, responses={200: TokenPairSerializer},
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Trades a refresh token for a new pair, once."""
        given = RefreshSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        try:
            pair = tokens.refresh_tokens(refresh=given.validated_data["refresh"])
        except tokens.InvalidRefreshToken as error:
            raise AuthenticationFailed(str(error), "invalid-token") from error
        return Response({"access": pair.access, "refresh": pair.refresh})


class RevokeToken(_Open):
    """Signing out."""

    @extend_schema(
        operation_id="auth_token_revoke", summary="Sign out", tags=["auth"], auth=[],
        request=RefreshSerializer, responses={204: OpenApiResponse(description="It opens nothing any more.")},
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Makes a refresh token useless. Access tokens made with it end within minutes."""
        given = RefreshSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        try:
            tokens.revoke_tokens(refresh=given.validated_data["refresh"], request=request._request)
        except tokens.InvalidRefreshToken as error:
            raise AuthenticationFailed(str(error), "invalid-token") from error
        return Response(status=204)


class Me(AsyncAPIView):
    """The caller."""

    @extend_schema(operation_id="me", summary="Who am I", tags=["auth"], responses=MeSerializer)
    def get(self, request: Request) -> Response:
        """Who you are, by which credential, and what you may do."""
        user = cast("User", request.user)
        return Response(
            {
                "id": str(user.pk),
                "username": user.username,
                "email": user.email,
                "roles": sorted(user.groups.values_list("name", flat=True)),
                "permissions": sorted(user.get_all_permissions()),
                "credential": _credential(request),
            }
        )


def _credential(request: Request) -> dict[str, Any]:
    if isinstance(request.auth, ApiKey):
        return {"kind": "api_key", "name": request.auth.name, "scopes": request.auth.scopes}
    return {"kind": "token", "name": "", "scopes": []}


class ApiKeyView(AsyncGenericAPIView):
    """What both views of keys share."""

    queryset = ApiKey.objects.none()
    serializer_class = ApiKeySerializer

    @property
    def required_scope(self) -> str:
        """Reading and writing are separate rights of a key."""
        return "keys:read" if self.request.method in SAFE_METHODS else "keys:write"

    def get_queryset(self) -> QuerySet[ApiKey]:
        """One's own keys; everyone's for whoever may view keys."""
        return ApiKey.objects.visible_to(cast("User", self.request.user)).select_related("owner")


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
                within=request.auth if isinstance(request.auth, ApiKey) else None,
                **given.validated_data,
            )
        except NameTaken as error:
            raise KeyNameTaken(str(error)) from error
        except ScopeTooWide as error:
            raise PermissionDenied(str(error)) from error
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
        """Ends one of your keys for good; no error when it had ended before."""
        own = ApiKey.objects.filter(owner=cast("User", request.user))
        revoke_api_key(api_key=get_object_or_404(own, pk=kwargs["pk"]), actor=Actor.of(request))
        return Response(status=204)


class ApiKeyRotation(ApiKeyView):
    """The successor of an API key."""

    @extend_schema(
        operation_id="api_keys_rotate", summary="Rotate an API key", tags=["api-keys"],
        request=RotateSerializer, responses={201: IssuedApiKeySerializer},
    )  # fmt: skip
    def post(self, request: Request, **kwargs: Any) -> Response:
        """Makes a key of the same name and scopes; the old one opens for `overlap_seconds` more.

        The text of the new key is in this answer and nowhere else, ever. 409 for a key that has ended, or was rotated
        before.
        """
        given = RotateSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        own = ApiKey.objects.filter(owner=cast("User", request.user)).select_related("owner")
        try:
            issued = rotate_api_key(
                api_key=get_object_or_404(own, pk=kwargs["pk"]),
                actor=Actor.of(request),
                overlap=timedelta(seconds=given.validated_data["overlap_seconds"]),
                within=request.auth if isinstance(request.auth, ApiKey) else None,
            )
        except KeyEnded as error:
            raise KeyHasEnded(str(error)) from error
        except ScopeTooWide as error:
            raise PermissionDenied(str(error)) from error
        return _shown_once(issued)


def _shown_once(issued: IssuedKey) -> Response:
    shown = ApiKeySerializer(issued.row).data
    return Response({**shown, "key": issued.key}, status=201, headers={"Cache-Control": "no-store"})
