"""Settings that a test overrides while threads of its own read them.

Django empties what it remembers of its settings before it puts in others. A thread that asks in between, such as one of
a web server that the test runs, finds no settings at all (`'NoneType' object has no attribute …`) and ends; one that
had read just before remembers the old value until the next change. No site changes settings while it runs; tests do.
"""

from __future__ import annotations

from typing import Any

from django.conf import LazySettings
from django.utils.functional import empty

# Django makes something of these before it gives them.
OF_A_KIND_OF_ITS_OWN = frozenset({"MEDIA_URL", "STATIC_URL", "SECRET_KEY"})

_changed, _looked_up = LazySettings.__setattr__, LazySettings.__getattr__


def install() -> None:
    """From now on, in this process."""
    setattr(LazySettings, "__setattr__", _change)  # noqa: B010 (the types of Django's stubs fit no function)
    setattr(LazySettings, "__getattr__", _look_up)  # noqa: B010


def _change(self: LazySettings, name: str, value: Any) -> None:
    """In one step, where Django takes two."""
    if name == "_wrapped":
        object.__setattr__(self, "__dict__", {"_wrapped": value})
    else:
        _changed(self, name, value)


def _look_up(self: LazySettings, name: str) -> Any:
    """Remembers the value beside the settings that it is from, not beside those that came meanwhile."""
    remembered = self.__dict__
    wrapped = remembered.get("_wrapped", empty)
    if wrapped is empty or name in OF_A_KIND_OF_ITS_OWN:
        return _looked_up(self, name)
    value = remembered[name] = getattr(wrapped, name)
    return value
