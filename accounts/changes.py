"""What a form of the admin has changed, before and after."""

from __future__ import annotations

from typing import Any

from django.db.models import Model, QuerySet
from django.forms import BaseForm

from accounts import audit


def form_changes(form: BaseForm) -> dict[str, Any]:
    """The fields that somebody has changed, as `audit.difference` tells them; never passwords."""
    names = [name for name in form.changed_data if "password" not in name]
    before = {name: _told(form.get_initial_for_field(form.fields[name], name)) for name in names}
    after = {name: _told(form.cleaned_data.get(name)) for name in names}
    return audit.difference(before, after)


def _told(value: Any) -> Any:
    """Rows by their names, in alphabetical order."""
    if isinstance(value, Model):
        return str(value)
    if isinstance(value, QuerySet | list | tuple | set):
        return sorted(str(_told(each)) for each in value)
    return value
