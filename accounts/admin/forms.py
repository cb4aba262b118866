"""Forms of people and roles, which know who fills them in: nobody can tick what they may not give."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from django import forms
from django.contrib.auth.models import Group
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.forms import UserChangeForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminTextInputWidget

from accounts.exceptions import AccountError
from accounts.models import Role, ServiceAccount, User
from accounts.resources import Cell, Resource, Verb, known_permissions, resources, summarise
from accounts.rights import beyond, check_can_give, lacking, names_of
from accounts.roles import LONGEST_NAME, check_name


class RoleBoxes(UnfoldAdminCheckboxSelectMultipleWidget):  # type: ignore[misc]  # unfold has no types
    """One box for each role; those of `locked` cannot be changed."""

    locked: frozenset[int] = frozenset()

    def create_option(self, name: str, value: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """With `disabled` where it is locked."""
        option: dict[str, Any] = super().create_option(name, value, *args, **kwargs)
        if getattr(value, "value", value) in self.locked:
            option["attrs"]["disabled"] = True
        return option


class RolesField(forms.ModelMultipleChoiceField):  # type: ignore[type-arg]  # not generic at run time
    """Roles, each with what it gives."""

    locked: frozenset[int] = frozenset()

    def label_from_instance(self, obj: Any) -> str:
        """Its name, and the cells of the matrix that it fills."""
        given = summarise(names_of(obj.permissions.all())).sentence or _("nothing")
        label = f"{obj.name} — {given}"
        # Outside of the f-string: xgettext does not look into one.
        too_much = _("more than you may give")
        return f"{label} ({too_much})" if obj.pk in self.locked else label


class RolesForm(forms.ModelForm):  # type: ignore[type-arg]  # Django gives it no type at run time
    """What the forms of people and of service accounts share: roles. `by` is who fills it in."""

    by: ClassVar[User]
    groups = RolesField(
        label=gettext_lazy("Roles"), queryset=Role.objects.none(), required=False, widget=RoleBoxes,
        help_text=gettext_lazy("What somebody may do is what their roles give together."),
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields.get("groups")
        if isinstance(field, RolesField):
            roles = Group.objects.prefetch_related("permissions__content_type").order_by("name")
            field.locked = field.widget.locked = beyond(self.by, roles)
            field.queryset = roles

    def clean_groups(self) -> list[Group]:
        """Locked roles stay as they are: a browser does not send their boxes."""
        field, given = cast("RolesField", self.fields["groups"]), {*self.cleaned_data["groups"]}
        had = {*self.instance.groups.all()} if self.instance.pk else set()
        for role in given - had:
            self._check(role)
        return [*given, *(role for role in had - given if role.pk in field.locked)]

    def _check(self, role: Group) -> None:
        try:
            check_can_give(self.by, names_of(role.permissions.select_related("content_type")))
        except AccountError as error:
            raise forms.ValidationError(str(error)) from error


class PersonForm(RolesForm, UserChangeForm):  # type: ignore[misc]
    """An account of a person."""

    def clean(self) -> dict[str, Any]:
        """What the table refuses too, said at the field: Django leaves out what is not in the form."""
        given: dict[str, Any] = super().clean() or {}
        for name in ("is_staff", "is_superuser"):
            if self.instance.is_service and given.get(name):
                self.add_error(name, _("Nobody signs in as a service account."))
        if self.instance.erased_at is not None and given.get("is_active"):
            self.add_error("is_active", _("This person has been erased."))
        return given


class ServiceAccountForm(RolesForm):
    """A name, whether it is on, and roles."""

    class Meta:
        model = ServiceAccount
        fields = ("username", "is_active", "groups")


@dataclass(frozen=True, slots=True)
class Box:
    """One cell of the matrix as it is edited."""

    cell: Cell
    is_checked: bool
    is_locked: bool
    # How many of its permissions are there, where it is only some.
    part: int = 0

    @property
    def field(self) -> str:
        """What the browser calls it."""
        return f"right-{self.cell.name}"

    @property
    def keep_field(self) -> str:
        """The box that leaves a part as it is."""
        return f"keep-{self.cell.name}"

    @property
    def total(self) -> int:
        """How many permissions it has."""
        return len(self.cell.permissions)


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the matrix: for every verb its box, or None."""

    resource: Resource
    boxes: tuple[tuple[Verb, Box | None], ...]

    @property
    def helps(self) -> list[tuple[Verb, str]]:
        """What verbs mean here, where the words do not say it."""
        return [(verb, box.cell.help) for verb, box in self.boxes if box is not None and box.cell.help]


class RoleForm(forms.ModelForm):  # type: ignore[type-arg]  # Django gives it no type at run time
    """A role as a matrix. `by` is who fills it in; the boxes that they may not change are locked."""

    by: ClassVar[User]
    may_change: ClassVar[bool] = True
    name = forms.CharField(
        label=gettext_lazy("Name"), max_length=LONGEST_NAME, widget=UnfoldAdminTextInputWidget,
        help_text=gettext_lazy("People give roles by their names."),
    )  # fmt: skip

    class Meta:
        model = Role
        fields = ("name",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        had = self.instance.permissions.select_related("content_type") if self.instance.pk else ()
        self.had = set(names_of(had))
        self._missing = set(lacking(self.by, known_permissions()))
        self.is_stronger = bool(lacking(self.by, self.had))
        if "name" in self.fields and self.is_stronger:
            self.fields["name"].disabled = True

    @property
    def matrix(self) -> list[Line]:
        """Its rows, as they were sent, or else as the role is."""
        return [Line(resource, tuple(self._boxes(resource))) for resource in resources()]

    @property
    def verbs(self) -> list[Verb]:
        """Its columns."""
        return [*Verb]

    @property
    def other(self) -> list[str]:
        """Permissions that are in no cell; they stay."""
        return summarise(self.had).other

    def clean_name(self) -> str:
        """Fits an address, and is free."""
        name: str = self.cleaned_data["name"]
        try:
            check_name(name)
        except AccountError as error:
            raise forms.ValidationError(str(error)) from error
        if Group.objects.filter(name=name).exclude(pk=self.instance.pk).exists():
            raise forms.ValidationError(_("There is a role of this name already."))
        return name

    def permissions(self) -> set[str]:
        """What the role is to have."""
        wanted = set(self.other)
        for line in self.matrix:
            wanted.update(*(self._wanted(box) for _verb, box in line.boxes if box is not None))
        return wanted

    def _wanted(self, box: Box) -> Iterable[str]:
        there = self.had.intersection(box.cell.permissions)
        if box.is_locked:
            return there
        if box.is_checked:
            return box.cell.permissions
        return there if box.part and box.keep_field in self.data else ()

    def _boxes(self, resource: Resource) -> Iterable[tuple[Verb, Box | None]]:
        there = {cell.verb: self._box(cell) for cell in resource.cells()}
        return [(verb, there.get(verb)) for verb in Verb]

    def _box(self, cell: Cell) -> Box:
        there = len(self.had.intersection(cell.permissions))
        is_whole = there == len(cell.permissions)
        is_locked = not self.may_change or self.is_stronger or bool(self._missing.intersection(cell.permissions))
        is_checked = f"right-{cell.name}" in self.data if self.is_bound and not is_locked else is_whole
        return Box(cell, is_checked, is_locked, part=0 if is_whole else there)
