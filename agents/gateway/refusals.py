"""What cannot be set up. The docstring of an exception is its message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class SettingRefused(Exception):
    """That cannot be set up like this."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


class InvalidSetting(SettingRefused):
    """A credential, deployment, route or price is not acceptable. `errors` says why, by field."""

    def __init__(self, errors: Mapping[str, Sequence[str]]) -> None:
        super().__init__(" ".join(sentence for sentences in errors.values() for sentence in sentences))
        self.errors = {field: [*sentences] for field, sentences in errors.items()}


class InUse(SettingRefused):
    """Something else still needs this; change that first."""
