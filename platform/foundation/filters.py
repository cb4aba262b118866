"""Filters that lists of all rooms share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import django_filters
from django import forms
from django.utils.translation import gettext as _

# Within a day of the ends of the calendar another time zone is beyond them, which databases take for an error.
MARGIN = timedelta(days=2)
FIRST = datetime.min.replace(tzinfo=UTC) + MARGIN
LAST = datetime.max.replace(tzinfo=UTC) - MARGIN


class _MomentField(django_filters.IsoDateTimeFilter.field_class):  # type: ignore[misc]
    """A moment that every database can compare with."""

    def clean(self, value: Any) -> Any:
        """Raises ValidationError for one at the ends of the calendar."""
        try:
            moment = super().clean(value)
            if moment is None:
                return None
            # PostgreSQL knows no zone that is 16 hours away or more.
            moment = moment.astimezone(UTC)
            if FIRST < moment < LAST:
                return moment
        except OverflowError:
            pass
        raise forms.ValidationError(_("This moment is too far away."))


class MomentFilter(django_filters.IsoDateTimeFilter):  # type: ignore[misc]  # django-filter has no types
    """A moment in ISO 8601."""

    field_class = _MomentField
