"""Signing in and out, and who one is. API keys are in `key_views`."""

from __future__ import annotations

from typing import Any, cast

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import limiting, tokens
from accounts.models import ApiKey, User
from accounts.serializers import (
    MeSerializer,
    RefreshSerializer,
    SignInSerializer,
    TokenPairSerializer,
)
from foundation.async_views import AsyncAPIView
from foundation.exceptions import Problem


class SignInLimited(Problem):
    """Too many failed attempts; try again later."""

    status_code = 429
    default_code = "too-many-attempts"
    wait = 60  # DRF's name for Retry-After


class SetupRequired(Problem):
    """This account needs a second factor and has none."""

    status_code = 403
    default_code = "second-factor-setup-required"


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
        except tokens.SecondFactorSetupRequired as error:
            raise SetupRequired(str(error)) from error
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
            pair = tokens.refresh_tokens(refresh=given.validated_data["refresh"], request=request._request)
        except tokens.InvalidRefreshToken as error:
            raise AuthenticationFailed(str(error), "invalid-token") from error
        except tokens.SecondFactorSetupRequired as error:
            raise SetupRequired(str(error)) from error
        return Response({"access": pair.access, "refresh": pair.refresh})


class RevokeToken(_Open):
    """Signing out."""

    @extend_schema(
        operation_id="auth_token_revoke", summary="Sign out", tags=["auth"], auth=[],
        request=RefreshSerializer, responses={204: OpenApiResponse(description="It opens nothing any more.")},
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Ends the session of a refresh token: none of its tokens opens anything from the next request on."""
        given = RefreshSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        try:
            tokens.revoke_tokens(refresh=given.validated_data["refresh"], request=request._request)
        except tokens.InvalidRefreshToken as error:
            raise AuthenticationFailed(str(error), "invalid-token") from error
        return Response(status=204)


class Me(AsyncAPIView):
    """The caller."""

    holds_narrowing = True

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
        key = request.auth
        return {"kind": "api_key", "name": key.name, "scopes": key.scopes, "agents": key.agents}
    return {"kind": "token", "name": "", "scopes": [], "agents": []}
