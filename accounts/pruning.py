"""Sessions and refresh tokens past their end."""

from __future__ import annotations

from datetime import datetime

from django.contrib.sessions.models import Session
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken

from accounts.models import ApiSession
from foundation.pruning import Rule, register_rule


def ended_sessions(moment: datetime) -> QuerySet[Session]:
    """Sessions nobody can use any more."""
    return Session.objects.filter(expire_date__lt=moment).order_by("expire_date")


def ended_tokens(moment: datetime) -> QuerySet[OutstandingToken]:
    """Refresh tokens past their expiry, and with them the note that they were used."""
    return OutstandingToken.objects.filter(expires_at__lt=moment).order_by("pk")


def ended_api_sessions(moment: datetime) -> QuerySet[ApiSession]:
    """Sessions of the API that ended, or whose last token is past its expiry."""
    return ApiSession.objects.over(moment)


def register_rules() -> None:
    """Called when the application starts."""
    register_rule(Rule("sessions", _("expired sessions"), ended_sessions))
    register_rule(Rule("refresh-tokens", _("expired refresh tokens"), ended_tokens))
    register_rule(Rule("api-sessions", _("ended API sessions"), ended_api_sessions))
