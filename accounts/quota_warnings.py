"""Half, most or all of a quota is spent: who is told, and how.

The audit event and what rooms above write (webhooks) are part of the transaction that spends; mail is sent after it, by
a thread of its own, so that a mail server that is slow or away costs nobody anything but the mail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from smtplib import SMTPException

import structlog
from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.db import transaction
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.translation import gettext as _

from accounts import audit, subjects
from accounts.models import NOBODY, Quota, QuotaPeriod, User
from accounts.periods import end_of
from accounts.quotas import plain

logger = structlog.get_logger(__name__)

MAY_CHANGE = "accounts.change_quota"
BACKEND = "django.contrib.auth.backends.ModelBackend"
MOST_RECIPIENTS = 50


@dataclass(frozen=True, slots=True)
class Warned:
    """So much of a quota is spent. `person` is whose it alone is; None for what people share."""

    quota: Quota
    name: str
    mark: int
    spent: Decimal
    starts_at: datetime
    ends_at: datetime | None
    person: User | None


Hook = Callable[[Warned], None]
_hooks: list[Hook] = []


def on_warned(hook: Hook) -> None:
    """`hook` runs in the transaction that has spent; what it raises undoes that. In AppConfig.ready."""
    if hook not in _hooks:
        _hooks.append(hook)


def warn(row: QuotaPeriod, mark: int) -> None:
    """Tells of a mark that the row's spending has passed. The caller holds the row and writes the mark into it."""
    quota = row.quota
    name = f"{subjects.name_of(quota)} {quota.kind}"
    warned = Warned(
        quota, name, mark, row.spent, row.starts_at, end_of(quota.period, row.starts_at), _person(quota, row)
    )
    changes = {"mark": mark, "spent": plain(row.spent), "amount": plain(quota.amount)}
    audit.record(verb="quota.warned", actor=audit.SYSTEM, subject=quota, changes=changes)
    for hook in _hooks:
        hook(warned)
    transaction.on_commit(lambda: _mail(warned), robust=True)


def _person(quota: Quota, row: QuotaPeriod) -> User | None:
    if quota.user is not None:
        return quota.user
    if quota.api_key is not None:
        return quota.api_key.owner
    return User.objects.filter(pk=row.holder_id).first() if row.holder_id != NOBODY else None


def recipients(warned: Warned) -> list[User]:
    """The person; of what is shared, whoever may change quotas. Only those who have an address."""
    if warned.person is not None:
        return [warned.person] if warned.person.email else []
    found = User.objects.with_perm(MAY_CHANGE, backend=BACKEND).exclude(email="")
    return [*found.order_by("pk")[:MOST_RECIPIENTS]]


def _mail(warned: Warned) -> None:
    messages = [_message(warned, user) for user in recipients(warned)]
    if messages:
        later(lambda: send(messages))


def _message(warned: Warned, user: User) -> EmailMessage:
    with translation.override(user.language or settings.LANGUAGE_CODE):
        said = _("%(mark)d %% of the quota “%(quota)s” is spent") % {"mark": warned.mark, "quota": warned.name}
        body = render_to_string(
            "accounts/mail/quota_warning.txt",
            {
                "warned": warned,
                "user": user,
                "address": f"{settings.PUBLIC_URL}/usage/",
                "spent": plain(warned.spent),
                "amount": plain(warned.quota.amount),
            },
        )
    return EmailMessage(f"{settings.ACCOUNT_EMAIL_SUBJECT_PREFIX}{said}", body, to=[user.email])


_sender = ThreadPoolExecutor(max_workers=1, thread_name_prefix="quota-mail")


def later(work: Callable[[], None]) -> None:
    """Does it in a thread of its own, one after the other."""
    _sender.submit(work)


def send(messages: Iterable[EmailMessage]) -> None:
    """Sends what it can; a failure is logged."""
    try:
        get_connection().send_messages([*messages])
    except (OSError, SMTPException) as error:
        logger.error("mail_not_sent", template="quota_warning", error=type(error).__name__)  # noqa: TRY400
