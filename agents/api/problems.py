"""What the rooms refuse, and how HTTP says it. A name in a body that stands for nothing is a 400, one in the address
a 404."""

from __future__ import annotations

from agents.circuits.exceptions import NotForced, UnknownCircuit
from agents.definitions.exceptions import InvalidAgent, UnknownAgent
from agents.gateway.refusals import InUse
from agents.memory.exceptions import ConversationBusy, InvalidTitle, UnknownConversation, UnknownMessage
from agents.schedules.exceptions import InvalidSchedule, Refused, ScheduleBusy, UnknownSchedule
from agents.tasks.exceptions import (
    IdempotencyConflict,
    IllegalTransition,
    InvalidInput,
    NoQuotaLeft,
    QueueFull,
    SerialKeyBusy,
)
from agents.tools.exceptions import AlreadyDecided, InvalidArguments, UnknownToolCall
from agents.webhooks.exceptions import EndpointDisabled, InvalidEndpoint, NotReplayable, TooManyEndpoints
from foundation import problems

PROBLEMS = (
    (UnknownAgent, 400, "unknown-agent"),
    (InvalidAgent, 400, "invalid-agent"),
    (UnknownConversation, 400, "unknown-conversation"),
    (UnknownMessage, 404, "unknown-message"),
    (InvalidTitle, 400, "invalid-title"),
    (ConversationBusy, 409, "conversation-busy"),
    (UnknownSchedule, 404, "unknown-schedule"),
    (InvalidSchedule, 400, "invalid-schedule"),
    (ScheduleBusy, 409, "schedule-busy"),
    (Refused, 409, "refused"),
    (InvalidInput, 400, "invalid-input"),
    (IdempotencyConflict, 409, "idempotency-conflict"),
    (IllegalTransition, 409, "illegal-transition"),
    (SerialKeyBusy, 409, "serial-key-busy"),
    (NoQuotaLeft, 429, "quota-exceeded"),
    (AlreadyDecided, 409, "already-decided"),
    (InvalidArguments, 400, "invalid-arguments"),
    (UnknownToolCall, 400, "unknown-tool-call"),
    (UnknownCircuit, 404, "unknown-circuit"),
    (NotForced, 409, "not-forced"),
    (InUse, 409, "in-use"),
    (InvalidEndpoint, 400, "invalid-endpoint"),
    (TooManyEndpoints, 409, "too-many-endpoints"),
    (EndpointDisabled, 409, "endpoint-disabled"),
    (NotReplayable, 409, "not-replayable"),
)


def register() -> None:
    """Tells the exception handler."""
    for error, status, code in PROBLEMS:
        problems.register(error, status=status, code=code)
    problems.register(QueueFull, status=503, code="queue-full", retry_after=QueueFull.retry_after)
