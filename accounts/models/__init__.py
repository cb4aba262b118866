"""People, what they show at the door, how much they may, and the record of what they did."""

from accounts.models.credentials import ApiKey, ApiSession
from accounts.models.limits import NOBODY, Quota, QuotaPeriod, RateLimit, Reservation
from accounts.models.people import PeopleManager, Role, ServiceAccount, User
from accounts.models.record import AuditEvent, AuditSeal
from accounts.models.sharing import Shared

__all__ = [
    "NOBODY",
    "ApiKey",
    "ApiSession",
    "AuditEvent",
    "AuditSeal",
    "PeopleManager",
    "Quota",
    "QuotaPeriod",
    "RateLimit",
    "Reservation",
    "Role",
    "ServiceAccount",
    "Shared",
    "User",
]
