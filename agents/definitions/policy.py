"""How an agent's tasks are executed: how often and how soon they are tried again, what happens to work that a deploy
found in the middle, and what a second request for the same serial key does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from django.utils.translation import gettext as _

OnChangedCode = Literal["restart", "review", "continue"]
IfBusy = Literal["queue", "reject", "interrupt", "rollback"]
OnExpiredApproval = Literal["tell", "fail"]

MOST_ATTEMPTS: Final = 20
LONGEST_PAUSE_SECONDS: Final = 86_400
LONGEST_WAIT_SECONDS: Final = 30 * 86_400
MOST_FACTOR: Final = 10


@dataclass(frozen=True, slots=True)
class Policy:
    """An agent's `policy`, read. All of it is optional:

    `max_attempts`: how often a task may fail before it has failed; empty: the installation's number.
    `first_pause`, `pause_factor`, `longest_pause`: seconds before the second attempt, what they are multiplied by each
    time, and where that ends. Half of every pause is chance.
    `retry_on`, `not_retry_on`: names of errors (classes, without their module). With `retry_on` only these are tried
    again; those of `not_retry_on` never are. Without either the error decides, see `agents.runtime.failures`.
    `on_changed_code`: what becomes of a task in the middle whose agent has been deployed anew: `restart` from its
    input, `continue` from its last step with the new code, or `review` by a person.
    `if_busy`: what a new task does when another one of its serial key has not ended: it waits (`queue`), is refused
    (`reject`), cancels the other one (`interrupt`), or cancels it and takes back what it has said (`rollback`).
    `queue_seconds`: how long a task may wait for its first attempt.
    `approve`: names of tools whose calls need a person's approval, besides those that say so themselves.
    `approval_seconds`: how long a task waits for a person.
    `on_expired_approval`: what happens when none came: the model is told (`tell`), or the task has failed (`fail`).
    """

    max_attempts: int | None = None
    first_pause: float = 1.0
    pause_factor: float = 2.0
    longest_pause: float = 300.0
    retry_on: tuple[str, ...] = ()
    not_retry_on: tuple[str, ...] = ()
    on_changed_code: OnChangedCode = "restart"
    if_busy: IfBusy = "queue"
    queue_seconds: int | None = None
    approve: tuple[str, ...] = ()
    approval_seconds: int = 86_400
    on_expired_approval: OnExpiredApproval = "tell"

    @classmethod
    def of(cls, policy: Mapping[str, Any]) -> Policy:
        """The policy of a version; what it does not say, or this version does not know, is the default."""
        known = {name: policy[name] for name in cls.__slots__ if policy.get(name) is not None}
        for name in NAMES:
            known[name] = tuple(known.get(name, ()))
        return cls(**known)

    def retries(self, error_type: str, *, retryable: bool) -> bool:
        """Whether an attempt that ended with this error is followed by another."""
        if error_type in self.not_retry_on:
            return False
        if self.retry_on:
            return error_type in self.retry_on
        return retryable


NUMBERS: Final = {
    "max_attempts": (1, MOST_ATTEMPTS, True),
    "first_pause": (0, LONGEST_PAUSE_SECONDS, False),
    "pause_factor": (1, MOST_FACTOR, False),
    "longest_pause": (0, LONGEST_PAUSE_SECONDS, False),
    "queue_seconds": (1, LONGEST_WAIT_SECONDS, True),
    "approval_seconds": (1, LONGEST_WAIT_SECONDS, True),
}
CHOICES: Final = {
    "on_changed_code": get_args(OnChangedCode),
    "if_busy": get_args(IfBusy),
    "on_expired_approval": get_args(OnExpiredApproval),
}
NAMES: Final = ("retry_on", "not_retry_on", "approve")


def policy_errors(policy: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with an agent's `policy`, in sentences."""
    for name, value in policy.items():
        if name in NUMBERS:
            least, most, whole = NUMBERS[name]
            if not _is_number(value, least, most, whole=whole):
                said = {"name": name, "least": least, "most": most}
                yield _("“%(name)s” has to be a number from %(least)d to %(most)d.") % said
        elif name in CHOICES:
            if value not in CHOICES[name]:
                yield _("“%(name)s” has to be one of: %(choices)s.") % {
                    "name": name, "choices": ", ".join(CHOICES[name]),
                }  # fmt: skip
        elif name in NAMES:
            if not isinstance(value, list | tuple) or not all(isinstance(each, str) and each for each in value):
                yield _("“%(name)s” has to be a list of names.") % {"name": name}
        else:
            known = ", ".join([*NUMBERS, *CHOICES, *NAMES])
            yield _("A policy has no “%(name)s”; there are %(known)s.") % {"name": name, "known": known}


def _is_number(value: object, least: float, most: float, *, whole: bool) -> bool:
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        return False
    return least <= value <= most
