"""What the API refuses. Apart from `problems`, because parsers and permissions are imported by DRF's own views."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy
from rest_framework import exceptions


class Problem(exceptions.APIException):
    """The request could not be carried out.

    A subclass says its `status_code`, `default_code` (the end of `type`) and `default_detail`; `extra` goes into the
    document as it is.
    """

    status_code = 400
    default_code = "problem"
    default_detail = gettext_lazy("The request could not be carried out.")
    wait: int | None = None  # DRF's name for Retry-After

    def __init__(self, detail: str | None = None, **extra: Any) -> None:
        super().__init__(detail, self.default_code)
        self.extra = extra


class NotFoundProblem(Problem):
    """There is nothing of this name that the caller may see."""

    status_code = 404
    default_code = "not-found"
    default_detail = gettext_lazy("There is no such thing, or it is not yours.")
