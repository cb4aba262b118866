"""One call: deployments are tried until one has answered, within one deadline."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Final

from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration

from agents.gateway import restarts, routing
from agents.gateway.answers import CallNotes, ModelRequest
from agents.gateway.binding import options_for
from agents.gateway.building import model_of
from agents.gateway.errors import translated
from agents.gateway.exceptions import (
    BrokenAnswer,
    ContentRefused,
    ContextWindowExceeded,
    GatewayError,
    ModelMissing,
    ModelRateLimited,
    ModelRejected,
    ModelTimeout,
    ModelUnauthorized,
    ModelUnavailable,
    OutOfQuota,
    UnknownRoute,
)
from agents.gateway.guarding import Guard, Leaving, Overdue
from agents.gateway.picking import Picked, Picker
from agents.gateway.recording import Recording
from agents.gateway.routing import RouteData
from agents.gateway.streams import has_content, pieces_of
from foundation.threads import release_connections

# For how long a deployment is left alone that is told to slow down, and a credential that has nothing left to pay with,
# where the provider does not say; and at most, whatever it says: dates are mistaken for seconds.
THROTTLED_SECONDS: Final = 1.0
OUT_OF_QUOTA_SECONDS: Final = 60.0
LONGEST_THROTTLED_SECONDS: Final = 86_400.0
# A wait for the end of a call may be over so much before it.
EARLY_SECONDS: Final = 0.02
# Who had less than that, because the caller has little, might still have answered.
FAIR_SECONDS: Final = 10.0
FILTERED: Final = frozenset({"content_filter", "SAFETY", "PROHIBITED_CONTENT", "guardrail_intervened", "refusal"})

# What a try is called that ended with this.
_OUTCOMES: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (ModelTimeout, "timeout"), (ModelRateLimited, "rate_limited"), (ModelUnauthorized, "unauthorized"),
    (ContextWindowExceeded, "too_long"), (ContentRefused, "refused"), (ModelRejected, "rejected"),
    (BrokenAnswer, "broken"), (Exception, "failed"), (BaseException, "cancelled"),
)  # fmt: skip
# What another deployment may do better.
_PASSED_ON: Final = (ModelUnavailable, ModelTimeout, ModelRateLimited, ModelUnauthorized, ModelMissing)
# What an answer raises that is none, though the provider has sent one.
_SPOILT: Final = (KeyError, TypeError, IndexError, AttributeError, ValueError)


@dataclass(slots=True)
class Call:
    """`ends` is a moment of `time.monotonic()`; `parameters` are the model's, as JSON. Without `may_restart` what has
    begun is not begun anew.
    """

    request: ModelRequest
    route: RouteData
    parameters: str
    recording: Recording
    notes: CallNotes
    ends: float
    leaving: Leaving
    may_restart: bool = True
    _has_begun: bool = False
    # What a reader has to be told before the next piece.
    _void: tuple[str, str] | None = field(default=None)

    def pieces(self) -> Iterator[ChatGeneration]:
        """The answer. Raises GatewayError, and what the provider's client raises that is no error of a provider."""
        route, seen = self.route, set[str]()
        while True:
            seen.add(route.name)
            try:
                yield from self._along(route)
            except (ContextWindowExceeded, ContentRefused) as error:
                following = _following(route, error, seen)
                if following is None or not self._may_go_on():
                    raise
                route = following
            else:
                return

    def _along(self, route: RouteData) -> Iterator[ChatGeneration]:
        limited = self.request.context.cost_limit is not None
        picker = Picker(route, ends=self.ends, leaving=self.leaving, has_cost_limit=limited)
        while True:
            picked = self._picked(picker)
            try:
                yield from self._tried(picked, route)
            except _PASSED_ON as error:
                picker.failed(picked.deployment, error)
                if not self._may_go_on() or time.monotonic() >= self.ends:
                    raise
            else:
                return

    def _picked(self, picker: Picker) -> Picked:
        """The next one. No database connection is held while it answers."""
        picked = picker.next()
        release_connections()
        return picked

    def _may_go_on(self) -> bool:
        return self.may_restart or not self._has_begun

    def _tried(self, picked: Picked, route: RouteData) -> Iterator[ChatGeneration]:
        guard, began = self._guard(picked, route), time.perf_counter()
        trial = _Trial(picked, self.recording, began)
        try:
            with closing(self._told(picked, route, guard, trial)) as pieces:
                yield from pieces
        except BaseException as error:
            known = _known(error, guard)
            if self._has_begun:
                self._void = (picked.label, type(known).__name__)
            trial.failed(known, is_cut=self._is_cut(known, guard, trial))
            if known is error:
                raise
            # The provider's own error may quote what it was sent.
            raise known from None
        self.notes.answered = trial.succeeded()

    def _is_cut(self, error: BaseException, guard: Guard, trial: _Trial) -> bool:
        """Whether the time was over that the caller had, who has less than the route: that speaks against nobody. Who
        was given up before, so that another deployment has some of it, has had a share like any other, if it was long.
        """
        callers = self.request.context.deadline
        if callers is None or callers > self.ends or type(error) is not ModelTimeout or not guard.is_over:
            return False
        return time.monotonic() >= self.ends - EARLY_SECONDS or trial.seconds < FAIR_SECONDS

    def _told(
        self, picked: Picked, route: RouteData, guard: Guard, trial: _Trial
    ) -> Generator[ChatGeneration, None, None]:
        """The pieces of this try. Those in which nothing is said wait for the first in which something is."""
        request, held = self.request, list[ChatGeneration]()
        model = model_of(picked.deployment, self.parameters)
        options = options_for(model, request.options)
        for piece in pieces_of(model, request.messages, options, guard, streamed=request.streamed):
            message = piece.message
            if isinstance(message, AIMessage):
                self.recording.see(message)
            if route.refused and _is_filtered(piece):
                raise ContentRefused
            if not trial.first_seconds and not has_content(piece):
                held.append(piece)
                continue
            trial.begun()
            yield from self._given(held, piece)
            held.clear()
        yield from self._given(held)

    def _given(self, held: list[ChatGeneration], *more: ChatGeneration) -> Iterator[ChatGeneration]:
        pieces = [*held, *more]
        if pieces and self._void is not None:
            deployment, why = self._void
            self._void = None
            if self.request.streamed:
                yield restarts.restart(deployment=deployment, why=why)
        for piece in pieces:
            self._has_begun = self.request.streamed
            yield piece

    def _guard(self, picked: Picked, route: RouteData) -> Guard:
        if self.request.streamed:
            return Guard(ends=self.ends, leaving=self.leaving, first_token=route.first_token, stall=route.stall)
        # An answer that comes as a whole shows no sign of life before: another deployment needs some of the time.
        left = self.ends - time.monotonic()
        return Guard(ends=self.ends, leaving=self.leaving, until=self.ends - (0 if picked.is_last else left / 2))


@dataclass(slots=True)
class _Trial:
    """One try, and to whom its end is told."""

    picked: Picked
    recording: Recording
    began: float
    first_seconds: float = 0.0

    def begun(self) -> None:
        """The first token is there."""
        if not self.first_seconds:
            self.first_seconds = time.perf_counter() - self.began
            self.picked.permission.begun()
            # That of a probe has been written down, and its stream may take long.
            release_connections()

    def succeeded(self) -> Any:
        """It came to its good end; gives what it has cost."""
        self.picked.permission.succeeded()
        routing.note_latency(self.picked.deployment, self.first_seconds)
        return self._told("succeeded", "")

    def failed(self, error: BaseException, *, is_cut: bool) -> None:
        """It did not. `is_cut`: it was the caller who had no more time."""
        self._judge(error, is_cut=is_cut)
        outcome = next(name for kind, name in _OUTCOMES if isinstance(error, kind))
        self._told(outcome, type(error).__name__)

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.perf_counter() - self.began

    def _judge(self, error: BaseException, *, is_cut: bool) -> None:
        """What it says about the deployment."""
        permission = self.picked.permission
        if isinstance(error, ModelRateLimited | ModelUnauthorized) and self._is_of_old_secret():
            permission.ignored()
        elif isinstance(error, ModelRateLimited):
            self._throttle(error)
        elif isinstance(error, ModelUnavailable | ModelTimeout | ModelUnauthorized) and not is_cut:
            permission.failed(f"{type(error).__name__}: {error}")
        elif self.first_seconds or isinstance(error, ContextWindowExceeded | ContentRefused):
            # It answers: that it refused this, or that its reader left, is not its fault.
            permission.succeeded()
        else:
            permission.ignored()

    def _is_of_old_secret(self) -> bool:
        credential = self.picked.deployment.credential
        return credential is not None and not routing.is_current(credential)

    def _throttle(self, error: ModelRateLimited) -> None:
        """The whole credential is left alone, unless its provider limits the rate of each model: then others under it
        may still answer. An account with nothing left to pay with is the same for all of them.
        """
        credential, is_empty = self.picked.deployment.credential, isinstance(error, OutOfQuota)
        is_of_one = not is_empty and credential is not None and credential.limits_each_model
        permission = self.picked.permission if is_of_one else self.picked.account or self.picked.permission
        usual = OUT_OF_QUOTA_SECONDS if is_empty else THROTTLED_SECONDS
        seconds = usual if error.retry_after is None else error.retry_after
        permission.throttled(min(seconds, LONGEST_THROTTLED_SECONDS), type(error).__name__)
        # Not heard where it is the one that has just been told.
        self.picked.permission.ignored()

    def _told(self, outcome: str, error_type: str) -> Any:
        deployment, slot = self.picked.deployment, self.picked.slot
        try:
            answered = self.recording.tried(
                deployment.id, deployment.name, deployment.provider, deployment.model, outcome, error_type,
                self.seconds * 1000,
            )  # fmt: skip
            if slot is not None:
                slot.used(answered.input_tokens + answered.output_tokens)
            return answered
        finally:
            if slot is not None:
                slot.leave()


def _known(error: BaseException, guard: Guard) -> BaseException:
    """The gateway's error for what a try has raised."""
    if isinstance(error, Overdue):
        return guard.error()
    if not isinstance(error, Exception):
        return error
    known = translated(error)
    if type(known) is ModelTimeout and known.retry_after is None and guard.is_over:
        return guard.error()
    if known is error and guard.has_answered and isinstance(error, _SPOILT):
        return BrokenAnswer()
    return known


def _following(route: RouteData, error: GatewayError, seen: set[str]) -> RouteData | None:
    """Where a call goes that was too long, or refused. Each route once a call, so that there is no circle."""
    name = route.longer if isinstance(error, ContextWindowExceeded) else route.refused
    if not name or name in seen:
        return None
    try:
        return routing.find(f"route:{name}")
    except UnknownRoute:
        return None


def _is_filtered(piece: ChatGeneration) -> bool:
    said: Mapping[str, Any] = {**piece.message.response_metadata, **(piece.generation_info or {})}
    return (said.get("finish_reason") or said.get("stop_reason")) in FILTERED
