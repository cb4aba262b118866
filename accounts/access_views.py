"""Accounts and roles over HTTP."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

import django_filters
from django.contrib.auth.models import Group
from django.db.models import Count, QuerySet
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from accounts.access_serializers import (
    AccessSerializer,
    NewRoleSerializer,
    NewUserSerializer,
    RoleChangeSerializer,
    RoleSerializer,
    UserChangeSerializer,
    UserSerializer,
)
from accounts.audit import Actor
from accounts.caller_views import CallerView
from accounts.exceptions import InvalidPerson
from accounts.guard import keeping_an_administrator
from accounts.models import Role, User
from accounts.people import change_person, create_person, invite
from accounts.reasons import access_of
from accounts.refusals import record_refusal
from accounts.resources import summarise
from accounts.rights import names_of
from accounts.roles import change_role, create_role, delete_role, find_roles, set_roles


class _AccessView(CallerView):
    """What these views share. `needed` says which permission a method takes."""

    needed: ClassVar[dict[str, str]] = {}

    def check_permissions(self, request: Request) -> None:
        """Raises 401 and 403."""
        super().check_permissions(request)
        needed = self.needed.get(str(request.method))
        if needed is not None and not self.user.has_perm(needed):
            raise PermissionDenied

    def handle_exception(self, exc: Exception) -> Response:
        """With a record of who tried to get beyond their rights."""
        record_refusal(exc, Actor.of(self.request))
        return super().handle_exception(exc)


class UserFilter(django_filters.FilterSet):  # type: ignore[misc]  # django-filter has no types
    """`?is_active=true&is_service=false&role=operator`"""

    is_active = django_filters.BooleanFilter()
    is_service = django_filters.BooleanFilter()
    role = django_filters.CharFilter(field_name="groups__name", label=_("The role's name."))

    class Meta:
        model = User
        fields: tuple[str, ...] = ()


class _UserView(_AccessView):
    area = "users"
    ordering = ("username", "id")
    queryset = User.objects.none()
    serializer_class = UserSerializer

    def get_queryset(self) -> QuerySet[User]:
        """Everybody for whoever may view users, else oneself."""
        return User.objects.visible_to(self.user).prefetch_related("groups")


class UserList(mixins.ListModelMixin, _UserView):
    """Accounts."""

    needed: ClassVar[dict[str, str]] = {"GET": "accounts.view_user", "POST": "accounts.add_user"}
    filterset_class = UserFilter
    search_fields: ClassVar = ["username", "email"]
    ordering_fields: ClassVar = ["username", "date_joined"]

    @extend_schema(operation_id="users_list", summary="List accounts", tags=["users"])
    def get(self, request: Request) -> Response:
        """Every account, by name. For whoever may view users."""
        return self.list(request)

    @extend_schema(
        operation_id="users_create", summary="Make an account", tags=["users"],
        request=NewUserSerializer, responses={201: UserSerializer},
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Makes a person, who is sent a link to choose a password, or a service account, which has none."""
        body = NewUserSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        given = dict(body.validated_data)
        given["roles"] = find_roles(given.get("roles", ()))
        try:
            made = create_person(**given, by=self.user, actor=Actor.of(request))
        except InvalidPerson as error:
            raise serializers.ValidationError(error.errors) from error
        if not made.is_service:
            invite(user=made, request=request._request)
        address = reverse("user", kwargs={"pk": made.pk})
        return Response(UserSerializer(made).data, status=201, headers={"Location": address})


class UserDetail(_UserView):
    """One account."""

    @extend_schema(operation_id="users_get", summary="Show an account", tags=["users"])
    def get(self, request: Request, **kwargs: Any) -> Response:
        """One account; without the right to view users only your own."""
        return Response(UserSerializer(self.get_object()).data)

    @extend_schema(
        operation_id="users_change", summary="Change an account", tags=["users"],
        request=UserChangeSerializer, responses={200: UserSerializer},
    )  # fmt: skip
    def patch(self, request: Request, **kwargs: Any) -> Response:
        """Changes an account with no more rights than yours. Who is deactivated is refused from the next request on."""
        user: User = self.get_object()
        if not self.user.has_perm("accounts.change_user"):
            raise PermissionDenied
        body = UserChangeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        given = dict(body.validated_data)
        roles = find_roles(given.pop("roles")) if "roles" in given else None
        by, actor = self.user, Actor.of(request)
        try:
            with keeping_an_administrator():
                change_person(user=user, **given, by=by, actor=actor)
                if roles is not None:
                    set_roles(user=user, roles=roles, by=by, actor=actor)
        except InvalidPerson as error:
            raise serializers.ValidationError(error.errors) from error
        return Response(UserSerializer(self.get_object()).data)


class AskedSerializer(serializers.Serializer[Any]):
    """What is to be explained; without either, everything."""

    permission = serializers.CharField(max_length=200, required=False, default="")
    object = serializers.UUIDField(required=False, default=None)


class UserAccess(_UserView):
    """What an account may do."""

    serializer_class = AccessSerializer  # type: ignore[assignment]  # no list is shown
    pagination_class = None
    filter_backends = ()

    @extend_schema(
        operation_id="users_access", summary="Why can this person do this?", tags=["users"],
        responses={200: AccessSerializer},
        parameters=[
            OpenApiParameter("permission", str, description=_("Only what has to do with this permission.")),
            OpenApiParameter("object", uuid.UUID, description=_("Only what was shared on the thing of this id.")),
        ],
    )  # fmt: skip
    def get(self, request: Request, **kwargs: Any) -> Response:
        """Every right of an account, and its sources: roles, direct permissions, what was shared."""
        asked = AskedSerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        given = asked.validated_data
        access = access_of(
            user=self.get_object(), viewer=self.user, permission=given["permission"], thing_id=given["object"]
        )
        return Response(AccessSerializer(access).data)


class _RoleView(_AccessView):
    area = "roles"
    ordering = ("name", "id")
    lookup_field = "name"
    queryset = Role.objects.none()
    serializer_class = RoleSerializer
    needed: ClassVar[dict[str, str]] = {
        "GET": "accounts.view_role",
        "POST": "accounts.add_role",
        "PATCH": "accounts.change_role",
        "DELETE": "accounts.delete_role",
    }

    def get_queryset(self) -> QuerySet[Group]:
        """All of them: who gets here may see roles."""
        return Role.objects.prefetch_related("permissions__content_type").annotate(members=Count("user"))

    def shown(self, name: str) -> dict[str, Any]:
        """As it stands now."""
        return dict(RoleSerializer(self.get_queryset().get(name=name)).data)


class RoleList(mixins.ListModelMixin, _RoleView):
    """Roles."""

    search_fields: ClassVar = ["name"]
    ordering_fields: ClassVar = ["name"]

    @extend_schema(operation_id="roles_list", summary="List roles", tags=["roles"])
    def get(self, request: Request) -> Response:
        """Every role and what it gives, by name. For whoever may view roles."""
        return self.list(request)

    @extend_schema(
        operation_id="roles_create", summary="Make a role", tags=["roles"],
        request=NewRoleSerializer, responses={201: RoleSerializer},
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Makes a role of rights that you have yourself."""
        body = NewRoleSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        given = body.validated_data
        role = create_role(
            name=given["name"], permissions=given.get("permissions", ()), by=self.user, actor=Actor.of(request)
        )
        address = reverse("role", kwargs={"name": role.name})
        return Response(self.shown(role.name), status=201, headers={"Location": address})


class RoleDetail(_RoleView):
    """One role."""

    @extend_schema(operation_id="roles_get", summary="Show a role", tags=["roles"])
    def get(self, request: Request, **kwargs: Any) -> Response:
        """One role and what it gives."""
        return Response(RoleSerializer(self.get_object()).data)

    @extend_schema(
        operation_id="roles_change", summary="Change a role", tags=["roles"],
        request=RoleChangeSerializer, responses={200: RoleSerializer},
    )  # fmt: skip
    def patch(self, request: Request, **kwargs: Any) -> Response:
        """Gives a role another name, or exactly these rights; you need every right that you add or take away."""
        role: Group = self.get_object()
        body = RoleChangeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        given = dict(body.validated_data)
        if "permissions" in given:
            given["permissions"] |= set(summarise(names_of(role.permissions.all())).other)
        change_role(role=role, **given, by=self.user, actor=Actor.of(request))
        return Response(self.shown(role.name))

    @extend_schema(operation_id="roles_delete", summary="Delete a role", tags=["roles"], responses={204: None})
    def delete(self, request: Request, **kwargs: Any) -> Response:
        """Takes a role, and what was shared with it, from everybody who has it."""
        delete_role(role=self.get_object(), by=self.user, actor=Actor.of(request))
        return Response(status=204)
