"""A key may be narrowed to some agents. It is held by the rows, wherever somebody asks which of them a person may see.

Authentication notes on the person of the request what their credential reaches (`User.narrowed_to`), and everything
that asks "which are theirs" (`visible_to`, `usable_by`, `get_usable_agent`) looks at it. What is not about one agent is
closed to such a key, unless its view says `holds_narrowing` (accounts.permissions.WithinAgents). A person who is read
from the database anew has no narrowing: pass on the one of the request.

Agents are a room above, which registers how to list them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from accounts.exceptions import AgentNotUsable
from accounts.models import ApiKey, User


@dataclass(frozen=True, slots=True)
class AgentChoice:
    """An agent that a key can be narrowed to."""

    slug: str
    name: str


Directory = Callable[[User | None], Sequence[AgentChoice]]
_directories: list[Directory] = []


def register_directory(directory: Directory) -> None:
    """Says how to list the agents that a person may use (all that can be used, for None). In AppConfig.ready."""
    _directories[:] = [directory]


def choices_for(user: User | None) -> list[AgentChoice]:
    """The agents that this person may use, by name; everybody's for None."""
    return [choice for directory in _directories for choice in directory(user)]


def check_agents(slugs: Iterable[str], owner: User) -> list[str]:
    """The same, sorted and without repetition. Raises AgentNotUsable naming the first that the owner may not use."""
    wanted = sorted(set(slugs))
    known = {choice.slug for choice in choices_for(owner)} if wanted else set()
    for slug in wanted:
        if slug not in known:
            raise AgentNotUsable(
                _("There is no agent “%(slug)s” that “%(owner)s” may use.") % {"slug": slug[:63], "owner": owner}
            )
    return wanted


def narrow(user: User, key: ApiKey) -> None:
    """Notes on the person of a request what the key that they came with reaches."""
    user.narrowed_to = frozenset(key.agents) if key.agents else None


def reaches(user: User, slug: str) -> bool:
    """Whether the person's credential reaches this agent. Says nothing about their rights."""
    return user.narrowed_to is None or slug in user.narrowed_to
