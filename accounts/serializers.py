"""People, keys and tokens as the API shows and takes them."""

from __future__ import annotations

from typing import Any, ClassVar

from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from accounts.models import ApiKey
from accounts.networks import MOST as MOST_NETWORKS
from accounts.scopes import SCOPES

MOST_AGENTS = 100
MOST_OVERLAP_SECONDS = 7 * 24 * 3600

Plain = serializers.Serializer[Any]


class SignInSerializer(Plain):
    """Name (or mail) and password, and the code of the second factor where there is one."""

    username = serializers.CharField(max_length=254)
    password = serializers.CharField(max_length=1000, trim_whitespace=False, write_only=True)
    code = serializers.CharField(
        max_length=20,
        required=False,
        write_only=True,
        help_text=_("The current code of the authenticator app, or a recovery code."),
    )


class RefreshSerializer(Plain):
    """A refresh token."""

    refresh = serializers.CharField(max_length=4000)


class TokenPairSerializer(Plain):
    """An access token for a few minutes, and a refresh token that can be used once."""

    access = serializers.CharField(read_only=True)
    refresh = serializers.CharField(read_only=True)


class CredentialSerializer(Plain):
    """What the caller signed in with."""

    kind = serializers.ChoiceField(choices=["token", "api_key"], read_only=True)
    name = serializers.CharField(read_only=True)
    scopes = serializers.ListField(child=serializers.CharField(), read_only=True)
    agents = serializers.ListField(
        child=serializers.CharField(), read_only=True, help_text=_("What it is narrowed to; empty: to none.")
    )


class MeSerializer(Plain):
    """Who the caller is and what they may do."""

    id = serializers.UUIDField(read_only=True)
    username = serializers.CharField(read_only=True)
    email = serializers.CharField(read_only=True, help_text=_("Empty when none is known."))
    roles = serializers.ListField(child=serializers.CharField(), read_only=True)
    permissions = serializers.ListField(child=serializers.CharField(), read_only=True)
    credential = CredentialSerializer(read_only=True)


class ApiKeySerializer(serializers.ModelSerializer[ApiKey]):
    """A key, without what opens anything."""

    owner = serializers.CharField(source="owner.username", read_only=True)
    is_live = serializers.BooleanField(read_only=True)
    scopes = serializers.ListField(child=serializers.CharField(), read_only=True)
    agents = serializers.ListField(child=serializers.CharField(), read_only=True)
    addresses = serializers.ListField(child=serializers.CharField(), read_only=True)

    class Meta:
        model = ApiKey
        fields: ClassVar[tuple[str, ...]] = (
            "id", "name", "prefix", "owner", "scopes", "agents", "addresses", "is_live", "created_at", "expires_at",
            "revoked_at", "last_used_at", "last_used_from",
        )  # fmt: skip


class NewApiKeySerializer(Plain):
    """What a new key is made of."""

    name = serializers.CharField(max_length=100)
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=list(SCOPES)), required=False, help_text=_("Empty: all that you may do.")
    )
    agents = serializers.ListField(
        child=serializers.CharField(max_length=63), required=False, max_length=MOST_AGENTS,
        help_text=_("Slugs of the agents that it may use; it sees nothing of others. Empty: all that you may use."),
    )  # fmt: skip
    addresses = serializers.ListField(
        child=serializers.CharField(max_length=60), required=False, max_length=MOST_NETWORKS,
        help_text=_("Networks that it may be used from, such as 203.0.113.0/24. Empty: from everywhere."),
    )  # fmt: skip
    expires_at = serializers.DateTimeField(required=False, allow_null=True)

    def validate_expires_at(self, value: Any) -> Any:
        """Only the future makes sense."""
        if value is not None and value <= timezone.now():
            raise serializers.ValidationError(_("This is in the past."))
        return value


class RotateSerializer(Plain):
    """How long the old key goes on opening."""

    overlap_seconds = serializers.IntegerField(
        min_value=0,
        max_value=MOST_OVERLAP_SECONDS,
        default=0,
        help_text=_("0: the old key ends at once. At most seven days."),
    )


class IssuedApiKeySerializer(ApiKeySerializer):
    """A new key, with its text: it is shown this once."""

    key = serializers.CharField(read_only=True)

    class Meta(ApiKeySerializer.Meta):
        fields: ClassVar[tuple[str, ...]] = (*ApiKeySerializer.Meta.fields, "key")
