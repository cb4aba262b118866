"""What a task waits for, and the forms with which people let it go on."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from accounts.audit import Actor
from accounts.models import User
from agents.tasks.exceptions import TaskError
from agents.tasks.models import Status, Task, WaitingFor
from agents.tasks.permissions import may_operate
from agents.tasks.questions import questions_of
from agents.tasks.services import resume
from agents.tasks.shown import shown
from agents.tools.exceptions import ToolError
from agents.tools.models import Approval, ToolCall
from agents.tools.permissions import may_decide
from agents.tools.reviews import DONE, RETRY, open_calls, review_call, review_task
from mutirao.pages.reading import readable_task

MOST_CHARACTERS = 200_000
MOST_CHILDREN = 50


@dataclass(frozen=True, slots=True)
class Question:
    """What a graph asks. `id` is LangGraph's name of the question."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a task waits for, as far as it waits for somebody or something."""

    questions: tuple[Question, ...] = ()
    approvals: tuple[Approval, ...] = ()
    children: tuple[Task, ...] = ()
    calls: tuple[ToolCall, ...] = ()
    needs_review: bool = False
    may_answer: bool = False
    may_decide: bool = False
    form: AnswerForm | None = None


class AnswerForm(forms.Form):
    """An answer to each question, as text or as JSON."""

    as_json = forms.BooleanField(label=gettext_lazy("What I write is JSON"), required=False)

    def __init__(self, data: Any = None, *, questions: tuple[Question, ...]) -> None:
        super().__init__(data, auto_id="answer_%s")
        self.questions = questions
        for number, question in enumerate(questions):
            self.fields[f"value_{number}"] = forms.CharField(
                label=question.text, max_length=MOST_CHARACTERS, widget=forms.Textarea(attrs={"rows": 3})
            )
        self.order_fields([*(f"value_{number}" for number in range(len(questions))), "as_json"])

    def clean(self) -> dict[str, Any]:
        """With `value`: what the task is resumed with."""
        given: dict[str, Any] = super().clean() or {}
        names = [f"value_{number}" for number in range(len(self.questions))]
        if all(name in given for name in names):
            values = [self._read(name, given[name]) if given.get("as_json") else given[name] for name in names]
            by_id = {question.id: value for question, value in zip(self.questions, values, strict=True)}
            given["value"] = values[0] if len(values) == 1 else by_id
        return given

    def _read(self, name: str, text: str) -> Any:
        try:
            return json.loads(text)
        except ValueError as error:
            self.add_error(name, _("This is not JSON: %(reason)s.") % {"reason": error})
            return None


class ReviewForm(forms.Form):
    """What became of a call that nobody saw end."""

    decision = forms.ChoiceField(
        label=gettext_lazy("Was it done?"),
        choices=[
            (RETRY, gettext_lazy("No: make the call again")), (DONE, gettext_lazy("Yes: go on with this result")),
        ],
        widget=forms.RadioSelect,
    )  # fmt: skip
    result = forms.CharField(
        label=gettext_lazy("Its result"), required=False, max_length=MOST_CHARACTERS,
        widget=forms.Textarea(attrs={"rows": 3}), help_text=gettext_lazy("What the agent is told that the tool gave."),
    )  # fmt: skip
    as_json = forms.BooleanField(label=gettext_lazy("The result is JSON"), required=False)

    def clean(self) -> dict[str, Any]:
        """With `value`: the result."""
        given: dict[str, Any] = super().clean() or {}
        given["value"] = given.get("result", "")
        if given.get("as_json") and given.get("decision") == DONE:
            try:
                given["value"] = json.loads(given["value"])
            except ValueError as error:
                self.add_error("result", _("This is not JSON: %(reason)s.") % {"reason": error})
        return given


class TaskReviewForm(forms.Form):
    """What becomes of a task that only a person can decide about."""

    decision = forms.ChoiceField(
        label=gettext_lazy("What shall become of it?"),
        choices=[
            ("continue", gettext_lazy("It goes on from its last step")), ("fail", gettext_lazy("It has failed")),
        ],
        widget=forms.RadioSelect,
    )  # fmt: skip
    reason = forms.CharField(
        label=gettext_lazy("Reason"), required=False, max_length=2000, widget=forms.Textarea(attrs={"rows": 2}),
        help_text=gettext_lazy("Why it has failed."),
    )  # fmt: skip

    def __init__(self, data: Any = None, *, may_continue: bool) -> None:
        super().__init__(data)
        if not may_continue:
            # It would only come back: what became of its calls has to be said first.
            field = self.fields["decision"]
            assert isinstance(field, forms.ChoiceField)  # noqa: S101 (see above)
            field.choices = [("fail", _("It has failed"))]


def waiting_of(task: Task, user: User) -> Waiting | None:
    """None for a task that waits for nobody."""
    if task.status == Status.NEEDS_REVIEW:
        return Waiting(calls=tuple(open_calls(task)), needs_review=True, may_answer=may_operate(user, task))
    if task.status != Status.WAITING:
        return None
    if task.waiting_for == WaitingFor.APPROVAL:
        pending = Approval.objects.filter(task=task, state=Approval.State.PENDING).order_by("created_at", "id")
        return Waiting(approvals=tuple(pending), may_decide=may_decide(user))
    if task.waiting_for == WaitingFor.CHILDREN:
        rows = Task.objects.filter(parent=task).select_related("agent_version__agent").order_by("-created_at", "-id")
        return Waiting(children=tuple(rows[:MOST_CHILDREN]))
    questions = _questions_of(task)
    return Waiting(questions=questions, may_answer=may_operate(user, task), form=AnswerForm(questions=questions))


def _questions_of(task: Task) -> tuple[Question, ...]:
    asked = [Question(str(each["id"]), shown(each["value"])) for each in questions_of(task.pk)]
    return tuple(asked) or (Question("", _("Your answer")),)


@login_required
@require_http_methods(["GET", "POST"])
def answer(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Answers what a task asks; what cannot be read is shown again, as it was written."""
    task = _operable(request, pk)
    form = AnswerForm(request.POST or None, questions=_questions_of(task))
    if form.is_valid():
        _told(request, lambda: resume(task=task, value=form.cleaned_data["value"], actor=Actor.of(request)))
        return redirect(_back(request, task))
    context = {"task": task, "form": form, "title": _("Answer the task"), "next": _back(request, task)}
    return render(request, "tasks/form.html", context, status=400 if form.errors else 200)


@login_required
@require_http_methods(["GET", "POST"])
def review(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Lets a task in review go on, or ends it."""
    task = _operable(request, pk)
    form = TaskReviewForm(request.POST or None, may_continue=not open_calls(task))
    if form.is_valid():
        _told(request, lambda: review_task(task=task, actor=Actor.of(request), **form.cleaned_data))
        return redirect("pages:task", task.pk)
    context = {"task": task, "form": form, "title": _("Decide about the task"), "said": task.error_message}
    return render(request, "tasks/form.html", context, status=400 if form.errors else 200)


@login_required
@require_http_methods(["GET", "POST"])
def call_review(request: HttpRequest, pk: uuid.UUID, call: uuid.UUID) -> HttpResponse:
    """Says what became of one tool call."""
    task = _operable(request, pk)
    found = ToolCall.objects.filter(task=task, pk=call).first()
    if found is None:
        raise Http404
    form = ReviewForm(request.POST or None, initial={"decision": RETRY})
    if form.is_valid():
        said = form.cleaned_data
        _told(
            request,
            lambda: review_call(
                task=task, call_id=call, decision=said["decision"], result=said["value"], actor=Actor.of(request)
            ),
        )
        return redirect("pages:task", task.pk)
    context = {
        "task": task, "form": form, "title": _("Decide about a tool call"), "tool": found.name,
        "arguments": shown(found.arguments),
        "said": _("The call was begun and did not finish. Find out in the other system whether it was done."),
    }  # fmt: skip
    return render(request, "tasks/form.html", context, status=400 if form.errors else 200)


def _told(request: HttpRequest, verb: Any) -> None:
    """Does it; a refusal is told."""
    try:
        verb()
    except (TaskError, ToolError) as error:
        messages.warning(request, str(error))
    else:
        messages.success(request, _("Noted."))


def _operable(request: HttpRequest, pk: uuid.UUID) -> Task:
    task = readable_task(request, pk)
    assert isinstance(request.user, User)  # noqa: S101 (signed in)
    if not may_operate(request.user, task):
        raise PermissionDenied
    return task


def _back(request: HttpRequest, task: Task) -> str:
    """To the page that the form was on, if that is one of ours."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    is_ours = url_has_allowed_host_and_scheme(wanted, allowed_hosts=None) and wanted.startswith("/")
    return wanted if is_ours else resolve_url("pages:task", task.pk)
