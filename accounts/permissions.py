"""What a credential lets its holder do, beyond what the holder may."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts.models import ApiKey

if TYPE_CHECKING:
    # rest_framework.views imports this module, by name, while it is being imported itself.
    from rest_framework.views import APIView


class HasScope(BasePermission):
    """An API key with scopes needs the one that the view names in `required_scope`.

    A signed-in person, and a key without scopes, have them all. A view that names none is open to every credential.
    """

    message = _("The API key does not have the scope for this.")

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Whether the credential reaches this far."""
        credential = request.auth
        required = getattr(view, "required_scope", "")
        if not required or not isinstance(credential, ApiKey):
            return True
        return not credential.scopes or required in credential.scopes


class WithinAgents(BasePermission):
    """A key that is narrowed to agents is kept out of every view that does not say `holds_narrowing = True`.

    Such a view shows and changes nothing but what belongs to one agent, and asks the rows for it with the person of the
    request (see accounts.narrowing).
    """

    message = _("The API key is narrowed to agents, and this is not about one.")

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Whether the view is made for it."""
        credential = request.auth
        return not isinstance(credential, ApiKey) or not credential.agents or getattr(view, "holds_narrowing", False)
