"""What a model call can end with. The docstring is the message; `retryable` says whether a later attempt may help."""

from __future__ import annotations


class GatewayError(Exception):
    """The model call failed."""

    retryable = False

    def __init__(self, message: str | None = None, *, retry_after: float | None = None) -> None:
        super().__init__(message or self.__doc__)
        self.retry_after = retry_after


class InvalidModelName(GatewayError):
    """The model is not of the form provider:model."""


class UnknownRoute(GatewayError):
    """There is no such route of models, or it is switched off."""


class UnknownProvider(GatewayError):
    """No such model provider."""


class MissingProviderPackage(GatewayError):
    """The package for this provider is not installed."""


class ModelRejected(GatewayError):
    """The provider refused the request."""


class ModelMissing(ModelRejected):
    """The provider has no such model."""


class ContextWindowExceeded(ModelRejected):
    """The messages are longer than the model can take in."""


class ContentRefused(ModelRejected):
    """The provider's content policy does not let this request be answered."""


class ModelUnauthorized(GatewayError):
    """The provider refused the credentials."""


class LimitReached(GatewayError):
    """The task has used all that it may use."""


class TokenLimitReached(LimitReached):
    """The task has used all the tokens it may use."""


class CostLimitReached(LimitReached):
    """The task has used all the money it may use."""


class PriceUnknown(LimitReached):
    """The price of this model is not known, so a task with a cost limit cannot use it."""


class ModelUnavailable(GatewayError):
    """The provider cannot be reached or failed."""

    retryable = True


class BrokenAnswer(ModelUnavailable):
    """What the provider sent is no whole answer."""


class AllDeploymentsOpen(ModelUnavailable):
    """Everything that could answer has failed lately and is left alone for a moment; the circuit breakers say why."""


class ModelTimeout(GatewayError):
    """The model did not answer in time."""

    retryable = True


class FirstTokenLate(ModelTimeout):
    """The model did not begin to answer in time."""


class StreamStalled(ModelTimeout):
    """The model stopped in the middle of its answer."""


class ModelRateLimited(GatewayError):
    """The provider asks for fewer requests."""

    retryable = True


class OutOfQuota(ModelRateLimited):
    """The provider's account has nothing left to pay with."""
