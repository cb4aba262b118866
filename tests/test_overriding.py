"""Settings change in one step: whoever reads them meanwhile finds some, and nobody keeps old ones."""

from __future__ import annotations

import sys

import pytest
from django.conf import LazySettings, settings
from django.test import override_settings

from tests import overriding


def _read_at_every_step_of_a_change() -> tuple[int, int, int]:
    """How often settings were read, how often there were none, and what they say in the end."""
    reads = missed = 0

    def read(*_event: object) -> None:
        nonlocal reads, missed
        reads += 1
        try:
            _ = settings.EMAIL_TIMEOUT
        except AttributeError:
            missed += 1

    change = override_settings(EMAIL_TIMEOUT=77)
    sys.setprofile(read)
    try:
        change.enable()
    finally:
        sys.setprofile(None)
    try:
        return reads, missed, settings.EMAIL_TIMEOUT
    finally:
        change.disable()


def test_there_are_always_settings_and_in_the_end_the_new_ones() -> None:
    reads, missed, said = _read_at_every_step_of_a_change()
    assert reads > 10
    assert (missed, said) == (0, 77)


def test_as_django_does_it_there_are_none_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LazySettings, "__setattr__", overriding._changed)
    assert _read_at_every_step_of_a_change()[1] >= 1


def test_what_was_read_just_before_a_change_is_not_remembered_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The change comes after the old value was looked up, and before it is remembered."""
    change = override_settings(EMAIL_TIMEOUT=77)

    class Old:
        @property
        def EMAIL_TIMEOUT(self) -> int:  # noqa: N802 (a setting)
            change.enable()
            return 5

        def __getattr__(self, name: str) -> object:
            return getattr(before, name)

    before = vars(settings)["_wrapped"]
    monkeypatch.setattr(settings, "_wrapped", Old())
    assert settings.EMAIL_TIMEOUT == 5
    assert settings.EMAIL_TIMEOUT == 77
