"""Endpoints and deliveries as the API shows and takes them. No secret is in any of them, but where one is issued."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from agents.webhooks.models import STATUSES, Delivery, DeliveryAttempt, Endpoint, without_path
from agents.webhooks.services import LONGEST_OVERLAP
from foundation.serializers import TakenSerializer

Plain = serializers.Serializer[Any]


def shown_url(context: Mapping[str, Any], row: Endpoint | Delivery) -> str:
    """The whole address for its owner; for others without what may be secret in it."""
    request = context.get("request")
    is_own = request is not None and request.user.pk == row.owner_id
    return row.url if is_own else without_path(row.url)


class EndpointSerializer(serializers.ModelSerializer[Endpoint]):
    """A receiver, without its secret."""

    owner = serializers.UUIDField(source="owner_id", read_only=True)
    agent = serializers.CharField(source="agent.slug", default=None, read_only=True, allow_null=True)
    url = serializers.SerializerMethodField(help_text=_("For others than its owner only the host."))

    class Meta:
        model = Endpoint
        fields: ClassVar = [
            "id", "owner", "url", "description", "statuses", "agent", "includes_result", "disabled_at",
            "disabled_because", "failing_since", "previous_until", "created_at",
        ]  # fmt: skip
        read_only_fields = fields

    def get_url(self, endpoint: Endpoint) -> str:
        """See shown_url."""
        return shown_url(self.context, endpoint)


class IssuedSecretSerializer(Plain):
    """A new secret: it is shown this once."""

    secret = serializers.CharField(read_only=True)


class IssuedEndpointSerializer(EndpointSerializer):
    """A receiver with its new secret, which is shown this once."""

    secret = serializers.CharField(read_only=True)

    class Meta(EndpointSerializer.Meta):
        fields: ClassVar = [*EndpointSerializer.Meta.fields, "secret"]


class ChangeEndpointSerializer(TakenSerializer):
    """What may be changed of a receiver."""

    url = serializers.CharField(max_length=2000, required=False, help_text=_("https://…, public."))
    description = serializers.CharField(max_length=200, required=False, allow_blank=True)
    statuses = serializers.ListField(
        child=serializers.ChoiceField(choices=STATUSES), required=False, allow_empty=False,
        help_text=_("Which ends it is told of."),
    )  # fmt: skip
    agent = serializers.CharField(
        max_length=63, required=False, allow_null=True, help_text=_("Only tasks of this agent (its slug).")
    )
    includes_result = serializers.BooleanField(
        required=False, help_text=_("false: only the address of the task, from where the receiver fetches it.")
    )
    enabled = serializers.BooleanField(required=False)


class NewEndpointSerializer(ChangeEndpointSerializer):
    """What a new receiver is made of."""

    url = serializers.CharField(max_length=2000, help_text=_("https://…, public."))
    enabled = None  # type: ignore[assignment]  # a new one always is


class RotateSecretSerializer(TakenSerializer):
    """How long the old secret goes on signing."""

    overlap_seconds = serializers.IntegerField(
        min_value=0, max_value=int(LONGEST_OVERLAP.total_seconds()), default=0,
        help_text=_("0: the old secret signs no more. At most seven days."),
    )  # fmt: skip


class AttemptSerializer(serializers.ModelSerializer[DeliveryAttempt]):
    """One try."""

    class Meta:
        model = DeliveryAttempt
        fields: ClassVar = ["number", "started_at", "duration_ms", "status_code", "error", "excerpt"]
        read_only_fields = fields


class DeliverySerializer(serializers.ModelSerializer[Delivery]):
    """One message to one receiver. Its id is the `webhook-id`."""

    owner = serializers.UUIDField(source="owner_id", read_only=True)
    endpoint = serializers.UUIDField(
        source="endpoint_id", read_only=True, allow_null=True, help_text=_("null: the task's own webhook_url.")
    )
    task = serializers.UUIDField(source="task_id", read_only=True, allow_null=True)
    url = serializers.SerializerMethodField(help_text=_("For others than its owner only the host."))
    tries = serializers.IntegerField(source="fence", read_only=True)

    class Meta:
        model = Delivery
        fields: ClassVar = [
            "id", "owner", "event", "endpoint", "task", "url", "state", "tries", "last_status_code", "last_error",
            "next_try_at", "created_at", "ended_at",
        ]  # fmt: skip
        read_only_fields = fields

    def get_url(self, delivery: Delivery) -> str:
        """See shown_url."""
        return shown_url(self.context, delivery)


class DeliveryDetailSerializer(DeliverySerializer):
    """The same with its body and the log of its tries."""

    attempts = AttemptSerializer(many=True, read_only=True)

    class Meta(DeliverySerializer.Meta):
        fields: ClassVar = [*DeliverySerializer.Meta.fields, "body", "attempts"]
