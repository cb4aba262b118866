"""What all faces of how models are set up share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar, cast

from django.db.models import Model
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from accounts.caller_views import CallerView
from agents.gateway.refusals import InvalidSetting

LOCATION = OpenApiParameter("Location", OpenApiTypes.URI_REF, "header", response=[201])
Row = TypeVar("Row")
Named = TypeVar("Named", bound=Model)


class SettingView(CallerView):
    """What all of them share: they are for whoever may see how models are set up."""

    area = "models"
    ordering_fields: ClassVar = ["created_at"]
    # Of the model that they are about.
    model_name: str

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Raises PermissionDenied for whoever may not see them."""
        super().initial(request, *args, **kwargs)
        self.check_may("view")

    def check_may(self, verb: str) -> None:
        """Raises PermissionDenied for whoever may not view, add, change or delete them."""
        if not self.user.has_perm(f"agents_gateway.{verb}_{self.model_name}"):
            raise PermissionDenied

    def body(self, kind: type[Any]) -> dict[str, Any]:
        """What was sent. Raises ValidationError."""
        given = kind(data=self.request.data)
        given.is_valid(raise_exception=True)
        return cast("dict[str, Any]", given.validated_data)

    def shown(self, row: Any, **options: Any) -> Response:
        """The answer that shows it."""
        return Response(self.get_serializer(row).data, **options)

    def made(self, row: Model, name: str) -> Response:
        """The answer to who has made it."""
        return self.shown(row, status=201, headers={"Location": reverse(name, kwargs={"pk": row.pk})})


def by_field(act: Callable[..., Row], **given: Any) -> Row:
    """Carries it out; what is wrong is said by field."""
    try:
        return act(**given)
    except InvalidSetting as error:
        raise ValidationError({name: [*sentences] for name, sentences in error.errors.items()}) from error


def named(kind: type[Named], field: str, name: str | None) -> Named | None:
    """The row of this name; None for none. Raises ValidationError."""
    if name is None:
        return None
    row = kind._default_manager.filter(name=name).first()  # noqa: SLF001 (public in all but name)
    if row is None:
        raise ValidationError({field: [_("There is no “%(name)s”.") % {"name": name}]})
    return row
