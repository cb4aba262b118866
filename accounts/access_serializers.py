"""Accounts, roles and reasons as the API shows and takes them."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.models import Group
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.models import User
from accounts.reasons import Access, Reason, Source
from accounts.resources import Verb, permissions_of, summarise
from accounts.rights import names_of
from foundation.serializers import StrictSerializer

Plain = serializers.Serializer[Any]
CELLS = {
    "type": "object",
    "additionalProperties": {"type": "array", "items": {"type": "string", "enum": Verb.values}},
    "example": {"agents": ["view", "use"], "tasks": ["view"]},
}


@extend_schema_field(CELLS)
class CellsField(serializers.DictField):
    """Resource → verbs."""

    child = serializers.ListField(child=serializers.ChoiceField(choices=Verb.choices))


class UserSerializer(serializers.ModelSerializer[User]):
    """An account of a person or a program."""

    email = serializers.CharField(read_only=True, help_text=_("Empty when none is known."))
    roles = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField(source="date_joined", read_only=True)

    class Meta:
        model = User
        fields: ClassVar = [
            "id", "username", "email", "is_active", "is_service", "is_superuser", "roles", "created_at", "last_login",
        ]  # fmt: skip
        read_only_fields = fields

    def get_roles(self, user: User) -> list[str]:
        """By name."""
        return sorted(role.name for role in user.groups.all())


class UserChangeSerializer(StrictSerializer):
    """What of an account can be changed; what is not given stays."""

    username = serializers.CharField(max_length=150, required=False)
    email = serializers.EmailField(max_length=254, required=False, allow_blank=True)
    is_active = serializers.BooleanField(required=False)
    roles = serializers.ListField(
        child=serializers.CharField(max_length=150), required=False, max_length=100,
        help_text=_("Exactly these, by name. You need every right that you give or take."),
    )  # fmt: skip


class NewUserSerializer(StrictSerializer):
    """What a new account is made of."""

    username = serializers.CharField(max_length=150)
    email = serializers.EmailField(
        max_length=254, required=False, help_text=_("Needed for a person: the link to choose a password goes there.")
    )
    is_service = serializers.BooleanField(
        default=False, help_text=_("For a program: it has API keys, and nobody signs in as it.")
    )
    roles = serializers.ListField(child=serializers.CharField(max_length=150), required=False, max_length=100)


class RoleSerializer(Plain):
    """A role in the words of the matrix."""

    name = serializers.CharField(read_only=True)
    permissions = CellsField(read_only=True, help_text=_("What it gives: resource → verbs."))
    partly = CellsField(read_only=True, help_text=_("Where it gives only a part of what the verb means."))
    other = serializers.ListField(
        child=serializers.CharField(), read_only=True, help_text=_("Permissions that are not in the matrix.")
    )
    members = serializers.IntegerField(read_only=True, help_text=_("How many accounts have it."))

    def to_representation(self, instance: Group) -> dict[str, Any]:
        """With its permissions summed up; they and `members` are to be there already."""
        given = summarise(names_of(instance.permissions.all()))
        return {
            "name": instance.name,
            "permissions": given.whole,
            "partly": given.partial,
            "other": given.other,
            "members": getattr(instance, "members", 0),
        }


class RoleChangeSerializer(StrictSerializer):
    """What of a role can be changed; what is not given stays."""

    name = serializers.CharField(max_length=150, required=False)
    permissions = CellsField(
        required=False,
        help_text=_("It becomes exactly these: resource → verbs. What is not in the matrix stays as it is."),
    )

    def validate_permissions(self, value: dict[str, list[str]]) -> set[str]:
        """As permissions. Raises UnknownCell."""
        return permissions_of(value)


class NewRoleSerializer(RoleChangeSerializer):
    """What a new role is made of."""

    name = serializers.CharField(max_length=150)


class SourceSerializer(Plain):
    """Where a right comes from."""

    kind = serializers.ChoiceField(choices=["superuser", "role", "direct"], read_only=True)
    role = serializers.CharField(read_only=True)
    is_whole = serializers.BooleanField(read_only=True, help_text=_("Whether it gives all that the verb means."))


class ReasonSerializer(Plain):
    """A right that the person has, and why."""

    resource = serializers.CharField(read_only=True)
    verb = serializers.ChoiceField(choices=Verb.choices, read_only=True)
    sources = SourceSerializer(many=True, read_only=True)


class OtherReasonSerializer(Plain):
    """A permission that is not in the matrix, and why they have it."""

    permission = serializers.CharField(read_only=True)
    sources = SourceSerializer(many=True, read_only=True)


class SharedReasonSerializer(Plain):
    """A single thing that was shared with them."""

    kind = serializers.CharField(read_only=True)
    id = serializers.CharField(read_only=True)
    name = serializers.CharField(read_only=True, help_text=_("Empty when it is not yours to see."))
    verb = serializers.ChoiceField(choices=Verb.choices, read_only=True)
    through = serializers.CharField(read_only=True, help_text=_("The role that it was shared with; else empty."))
    by = serializers.CharField(read_only=True, help_text=_("Who shared it, where that is known."))


class AccessSerializer(Plain):
    """What somebody may do, and why."""

    user = serializers.CharField(read_only=True)
    is_active = serializers.BooleanField(read_only=True, help_text=_("If not, all this is what they would have."))
    rights = ReasonSerializer(many=True, read_only=True)
    other = OtherReasonSerializer(many=True, read_only=True)
    shared = SharedReasonSerializer(many=True, read_only=True)
    owned = serializers.CharField(read_only=True, help_text=_("What owning the thing that was asked for gives."))
    own = serializers.DictField(
        child=serializers.CharField(), read_only=True, help_text=_("What everybody may do with their own, in words.")
    )

    def to_representation(self, instance: Access) -> dict[str, Any]:
        """Only the rights that they have."""
        rows = instance.rows()
        return {
            "user": str(instance.user.pk),
            "is_active": instance.is_active,
            "rights": [_reason(reason) for reason in instance.reasons if reason.sources],
            "other": [
                {"permission": other.permission, "sources": [_source(each) for each in other.sources]}
                for other in instance.other
            ],
            "shared": SharedReasonSerializer(instance.shared, many=True).data,
            "owned": instance.owned,
            "own": {resource.name: str(resource.own) for resource, _reasons in rows if resource.own},
        }


def _reason(reason: Reason) -> dict[str, Any]:
    sources = [_source(source) for source in reason.sources]
    return {"resource": reason.cell.resource.name, "verb": reason.cell.verb.value, "sources": sources}


def _source(source: Source) -> dict[str, Any]:
    return {"kind": source.kind, "role": source.role, "is_whole": source.is_whole}
