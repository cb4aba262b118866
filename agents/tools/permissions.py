"""Who may decide about what agents want to do."""

from __future__ import annotations

from typing import Final

from accounts.models import User

DECIDE: Final = "agents_tools.decide_approval"
VIEW: Final = "agents_tools.view_approval"


def may_decide(user: User) -> bool:
    """Approve, change and refuse: whoever has the permission, for any task, also one's own. To own a task is not
    enough: whoever asked an agent for something dangerous is not the one to say that it may.
    """
    return user.has_perm(DECIDE)
