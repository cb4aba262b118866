"""What the API's views of all rooms begin with: who calls, and what an API key needs for it."""

from __future__ import annotations

from typing import ClassVar, cast

from rest_framework.permissions import SAFE_METHODS

from accounts.models import User
from foundation.async_views import AsyncGenericAPIView


class CallerView(AsyncGenericAPIView):
    """A view of things of one area: reading and writing them are separate rights of a key."""

    # What stands before the colon of its scopes (accounts.scopes).
    area: ClassVar[str]

    @property
    def required_scope(self) -> str:
        """`tasks:read`, `tasks:write`."""
        return f"{self.area}:{'read' if self.request.method in SAFE_METHODS else 'write'}"

    @property
    def user(self) -> User:
        """The caller."""
        return cast("User", self.request.user)
