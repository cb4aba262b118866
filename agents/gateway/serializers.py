"""How models are set up, and calls to them, as JSON. Money is decimal strings; secrets are only taken, never shown."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from agents.gateway.evidence import without_words
from agents.gateway.models import CacheWhy, Credential, Deployment, ModelCall, Price, Route, RouteStep, Tier
from agents.tasks.serializers import AnyField, ObjectField
from foundation.serializers import TakenSerializer

MONEY: dict[str, Any] = {"max_digits": 14, "decimal_places": 6, "min_value": Decimal(0)}
SECONDS: dict[str, Any] = {"min_value": 0.1, "max_value": 86_400, "required": False, "allow_null": True}
CAP: dict[str, Any] = {"min_value": 1, "max_value": 2_000_000_000, "required": False, "allow_null": True}


class ModelCredentialSerializer(serializers.ModelSerializer[Credential]):
    """What a provider is shown, without the secret."""

    is_set = serializers.SerializerMethodField(help_text=_("Whether it has a secret."))
    secret_set_at = serializers.DateTimeField(source="changed_at", read_only=True, allow_null=True)

    class Meta:
        model = Credential
        fields: ClassVar = [
            "id", "name", "provider", "base_url", "rate_limits", "is_set", "hint", "secret_set_at", "created_at",
        ]  # fmt: skip
        read_only_fields = fields

    def get_is_set(self, row: Credential) -> bool:
        """Without opening it."""
        return row.changed_at is not None


class ChangeModelCredentialSerializer(TakenSerializer):
    """What may be changed; another address clears the secret, unless one is sent with it."""

    base_url = serializers.CharField(max_length=2000, allow_blank=True, required=False)
    rate_limits = serializers.ChoiceField(
        choices=Credential.RateLimits.choices, required=False,
        help_text=_("What a 429 leaves alone: all of the credential (together), or one deployment."),
    )  # fmt: skip
    secret = serializers.CharField(max_length=10_000, required=False, write_only=True, trim_whitespace=False)


class NewModelCredentialSerializer(ChangeModelCredentialSerializer):
    """What a new one is made of."""

    name = serializers.CharField(max_length=63)
    provider = serializers.CharField(max_length=50, help_text=_("As in provider:model."))


class DeploymentSerializer(serializers.ModelSerializer[Deployment]):
    """One model at one provider."""

    credential = serializers.CharField(source="credential.name", default=None, read_only=True, allow_null=True)
    parameters = ObjectField(read_only=True)

    class Meta:
        model = Deployment
        fields: ClassVar = [
            "id", "name", "provider", "model", "credential", "parameters", "is_enabled", "most_concurrent",
            "most_requests", "most_tokens", "created_at",
        ]  # fmt: skip
        read_only_fields = fields


class ChangeDeploymentSerializer(TakenSerializer):
    """What may be changed of a deployment."""

    provider = serializers.CharField(max_length=50, required=False)
    model = serializers.CharField(max_length=200, required=False)
    credential = serializers.CharField(
        max_length=63, required=False, allow_null=True, help_text=_("Its name; null: the provider's own variables.")
    )
    parameters = ObjectField(required=False)
    is_enabled = serializers.BooleanField(required=False)
    most_concurrent = serializers.IntegerField(**CAP)
    most_requests = serializers.IntegerField(**CAP, help_text=_("A minute."))
    most_tokens = serializers.IntegerField(**CAP, help_text=_("A minute."))


class NewDeploymentSerializer(ChangeDeploymentSerializer):
    """What a new one is made of."""

    name = serializers.CharField(max_length=63)
    provider = serializers.CharField(max_length=50)
    model = serializers.CharField(max_length=200)


class TryResultSerializer(serializers.Serializer[Any]):
    """What came of trying a deployment."""

    is_ok = serializers.BooleanField()
    latency_ms = serializers.FloatField()
    text = serializers.CharField(allow_blank=True)
    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    cost = serializers.DecimalField(14, 6, allow_null=True)
    error_type = serializers.CharField(allow_blank=True)
    error = serializers.CharField(allow_blank=True)


class StepSerializer(serializers.ModelSerializer[RouteStep]):
    """A deployment's place in a route."""

    deployment = serializers.CharField(source="deployment.name", read_only=True)

    class Meta:
        model = RouteStep
        fields: ClassVar = ["deployment", "weight"]
        read_only_fields = fields


class NewStepSerializer(TakenSerializer):
    """A deployment by its name, and its weight."""

    deployment = serializers.CharField(max_length=63)
    weight = serializers.IntegerField(min_value=0, max_value=1000, default=1)


class RouteSerializer(serializers.ModelSerializer[Route]):
    """A name that agents can use as `route:<name>`, and where it leads."""

    longer_route = serializers.CharField(source="longer_route.name", default=None, read_only=True, allow_null=True)
    refused_route = serializers.CharField(source="refused_route.name", default=None, read_only=True, allow_null=True)
    steps = StepSerializer(many=True, read_only=True)

    class Meta:
        model = Route
        fields: ClassVar = [
            "id", "name", "description", "strategy", "is_enabled", "deadline_seconds", "first_token_seconds",
            "stall_seconds", "most_tries", "longer_route", "refused_route", "steps", "created_at",
        ]  # fmt: skip
        read_only_fields = fields


class ChangeRouteSerializer(TakenSerializer):
    """What may be changed of a route. Steps replace all that there were."""

    description = serializers.CharField(max_length=2000, allow_blank=True, required=False)
    strategy = serializers.ChoiceField(choices=Route.Strategy.choices, required=False)
    is_enabled = serializers.BooleanField(required=False)
    deadline_seconds = serializers.FloatField(**SECONDS)
    first_token_seconds = serializers.FloatField(**SECONDS)
    stall_seconds = serializers.FloatField(**SECONDS)
    most_tries = serializers.IntegerField(min_value=1, max_value=10, required=False, allow_null=True)
    longer_route = serializers.CharField(max_length=63, required=False, allow_null=True, help_text=_("Its name."))
    refused_route = serializers.CharField(max_length=63, required=False, allow_null=True, help_text=_("Its name."))
    steps = NewStepSerializer(many=True, required=False)


class NewRouteSerializer(ChangeRouteSerializer):
    """What a new one is made of."""

    name = serializers.CharField(max_length=63)
    steps = NewStepSerializer(many=True)


class PriceSerializer(serializers.ModelSerializer[Price]):
    """What a million tokens of a model cost from a moment on."""

    class Meta:
        model = Price
        fields: ClassVar = [
            "id", "provider", "model", "valid_from", "input_price", "output_price", "cached_price", "reasoning_price",
            "source", "note", "created_at",
        ]  # fmt: skip
        read_only_fields = fields


class NewPriceSerializer(TakenSerializer):
    """A new price; those that were valid before stay in the history."""

    provider = serializers.CharField(max_length=50)
    model = serializers.CharField(max_length=200)
    valid_from = serializers.DateTimeField(required=False, help_text=_("Now, when not said."))
    input_price = serializers.DecimalField(**MONEY)
    output_price = serializers.DecimalField(**MONEY)
    cached_price = serializers.DecimalField(**MONEY, required=False, allow_null=True)
    reasoning_price = serializers.DecimalField(**MONEY, required=False, allow_null=True)
    note = serializers.CharField(max_length=200, required=False, allow_blank=True)


class TrySerializer(serializers.Serializer[Any]):
    """One try of a deployment."""

    deployment = serializers.CharField(allow_blank=True)
    provider = serializers.CharField()
    model = serializers.CharField()
    outcome = serializers.CharField()
    error = serializers.CharField(allow_blank=True)
    ms = serializers.FloatField()


class ModelCallSerializer(serializers.ModelSerializer[ModelCall]):
    """One call to a language model."""

    task = serializers.UUIDField(source="task_id", read_only=True, allow_null=True)
    attempt = serializers.IntegerField(source="fence", read_only=True)
    agent = serializers.UUIDField(source="agent_id", read_only=True, allow_null=True, help_text=_("Its id."))
    owner = serializers.UUIDField(source="owner_id", read_only=True, allow_null=True)
    tries = TrySerializer(many=True, read_only=True)
    cost = serializers.DecimalField(
        14, 6, read_only=True, allow_null=True, help_text=_("null: the price is not known, which is not zero.")
    )
    # Said here, as the schema takes a model's choices for all that there may be, and most calls have no tier.
    tier = serializers.ChoiceField(
        Tier.choices, read_only=True, allow_blank=True, help_text=_("Who answered; empty: a provider.")
    )
    cache_why = serializers.ChoiceField(
        CacheWhy.choices, read_only=True, allow_blank=True, help_text=_("Why the cache answered, or did not.")
    )
    cache_entry = serializers.UUIDField(source="cache_entry_id", read_only=True, allow_null=True)
    cache_evidence = AnyField(
        read_only=True, allow_null=True,
        help_text=_("Its words, which may be of another's question, only for whoever may view everyone's calls."),
    )  # fmt: skip

    class Meta:
        model = ModelCall
        fields: ClassVar = [
            "id", "task", "attempt", "agent", "owner", "route", "provider", "model", "tries", "started_at",
            "latency_ms", "first_token_ms", "input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens",
            "is_estimate", "cost", "tier", "cache_why", "cache_entry", "similarity", "age_seconds",
            "cache_evidence", "saved_input_tokens", "saved_output_tokens", "saved_cost", "saved_ms", "outcome",
            "error_type", "error_message", "trace_id",
        ]  # fmt: skip
        read_only_fields = fields

    def to_representation(self, instance: ModelCall) -> dict[str, Any]:
        """Without other people's words."""
        shown = super().to_representation(instance)
        if not self.context["request"].user.has_perm("agents_gateway.view_modelcall"):
            shown["cache_evidence"] = without_words(instance.cache_evidence)
        return shown
