"""Tasks, their attempts and their events. The rows are the truth; states change only in this room."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from agents.definitions.models import Agent, AgentVersion
from agents.tasks.querysets import TaskQuerySet
from foundation.models import BaseModel


class Status(models.TextChoices):
    QUEUED = "queued", _("queued")
    RUNNING = "running", _("running")
    WAITING = "waiting", _("waiting")
    NEEDS_REVIEW = "needs_review", _("needs review")
    SUCCEEDED = "succeeded", _("succeeded")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")


TERMINAL = (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)


class Priority(models.IntegerChoices):
    LOW = 0, _("low")
    NORMAL = 1, _("normal")
    HIGH = 2, _("high")
    CRITICAL = 3, _("critical")


# The queue of agents that name none.
USUAL_QUEUE = "interactive"


class WaitingFor(models.TextChoices):
    APPROVAL = "approval", _("an approval")
    INPUT = "input", _("an answer")
    CHILDREN = "children", _("its children")


class IfDependencyFails(models.TextChoices):
    FAIL = "fail", _("fail")
    SKIP = "skip", _("skip")


class Task(BaseModel):
    """One accepted request to run an agent."""

    # Every index is written three times in the life of a task, so a key that another index begins with has none.
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="tasks", db_index=False,
        verbose_name=_("owner"),
    )  # fmt: skip
    api_key = models.ForeignKey(
        "accounts.ApiKey",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("API key"),
    )
    # The version's, kept here too: lists and limits of an agent have an index then.
    agent = models.ForeignKey(
        Agent, on_delete=models.PROTECT, related_name="+", db_index=False, verbose_name=_("agent")
    )
    agent_version = models.ForeignKey(
        AgentVersion, on_delete=models.PROTECT, related_name="tasks", verbose_name=_("agent version")
    )
    input = models.JSONField(_("input"))
    metadata = models.JSONField(_("metadata"), default=dict, blank=True)
    # What the caller wants of the answer cache, see agents.definitions.cache_policy.Wishes; empty: as the agent says.
    cache = models.JSONField(_("cache wishes"), default=dict, blank=True)
    idempotency_key = models.CharField(_("idempotency key"), max_length=255, null=True, blank=True)
    request_digest = models.CharField(_("request digest"), max_length=64, blank=True)
    retry_of = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="retries", db_index=False,
        verbose_name=_("retry of"),
    )  # fmt: skip
    parent = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="children", db_index=False,
        verbose_name=_("parent"),
    )  # fmt: skip
    webhook_url = models.URLField(_("webhook"), max_length=2000, blank=True)

    # What decides when it runs.
    queue = models.CharField(_("queue"), max_length=32)
    priority = models.PositiveSmallIntegerField(_("priority"), choices=Priority.choices, default=Priority.NORMAL)
    runs_before = models.DateTimeField(_("runs before"))
    not_before = models.DateTimeField(_("not before"), null=True, blank=True)
    start_by = models.DateTimeField(_("start by"), null=True, blank=True)
    # How many of the tasks that it depends on have not ended.
    dependencies_left = models.PositiveIntegerField(_("dependencies left"), default=0)
    if_dependency_fails = models.CharField(
        _("if a dependency fails"), max_length=4, choices=IfDependencyFails.choices, default=IfDependencyFails.FAIL
    )
    # Other tasks have to be told of its end.
    has_dependents = models.BooleanField(_("others depend on it"), default=False)
    serial_key = models.CharField(_("serial key"), max_length=200, null=True, blank=True)

    # What it may spend.
    max_attempts = models.PositiveSmallIntegerField(_("attempts allowed"), default=3)
    limit_seconds = models.PositiveIntegerField(_("seconds allowed"), default=600)
    limit_steps = models.PositiveIntegerField(_("steps allowed"), default=50)
    limit_tokens = models.PositiveBigIntegerField(_("tokens allowed"), null=True, blank=True)
    limit_cost = models.DecimalField(_("cost allowed"), max_digits=14, decimal_places=6, null=True, blank=True)

    # Something of a quota is reserved for it until it ends.
    is_metered = models.BooleanField(_("under a quota"), default=False)

    # Where it stands.
    status = models.CharField(_("status"), max_length=12, choices=Status.choices, default=Status.QUEUED)
    fence = models.PositiveIntegerField(_("fence"), default=0)
    lease_expires_at = models.DateTimeField(_("lease expires"), null=True, blank=True)
    run_deadline_at = models.DateTimeField(_("run deadline"), null=True, blank=True)
    failures = models.PositiveSmallIntegerField(_("failed attempts"), default=0)
    crashes = models.PositiveSmallIntegerField(_("crashed attempts"), default=0)
    # It ran in a process that died: until it has ended an attempt it runs in one of its own. Crashes there count.
    is_suspect = models.BooleanField(_("suspected of crashing"), default=False)
    # What a waiting task waits for and until when; what the next attempt is given when it goes on (JSON).
    waiting_for = models.CharField(_("waiting for"), max_length=8, choices=WaitingFor.choices, blank=True)
    waits_until = models.DateTimeField(_("waits until"), null=True, blank=True)
    resume_with = models.JSONField(_("goes on with"), null=True, blank=True)
    # A newer task of its serial key has taken its place; what it had done so far does not count.
    is_rolled_back = models.BooleanField(_("rolled back"), default=False)
    last_event = models.PositiveIntegerField(_("last event"), default=0)
    cancel_requested_at = models.DateTimeField(_("cancel requested"), null=True, blank=True)
    told_at = models.DateTimeField(_("announced"), null=True, blank=True)
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)

    # What came of it.
    result = models.JSONField(_("result"), null=True, blank=True)
    error_type = models.CharField(_("error type"), max_length=100, blank=True)
    error_message = models.TextField(_("error"), blank=True)
    input_tokens = models.PositiveBigIntegerField(_("input tokens"), default=0)
    output_tokens = models.PositiveBigIntegerField(_("output tokens"), default=0)
    cost = models.DecimalField(_("cost"), max_digits=14, decimal_places=6, default=0)

    # Its place in the story of a request.
    trace_id = models.CharField(_("trace"), max_length=32, blank=True)
    request_id = models.CharField(_("request id"), max_length=64, blank=True)

    objects = TaskQuerySet.as_manager()

    class Meta:
        verbose_name = _("task")
        verbose_name_plural = _("tasks")
        ordering: ClassVar = ["-created_at", "-id"]
        permissions: ClassVar = [
            ("operate_task", _("Can retry and cancel tasks of others")),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["queue", "runs_before", "id"],
                condition=Q(status="queued", dependencies_left=0),
                name="tasks_claimable",
            ),
            models.Index(
                fields=["serial_key", "created_at", "id"],
                condition=Q(status="queued", serial_key__isnull=False),
                name="tasks_queued_of_serial",
            ),
            models.Index(
                fields=["serial_key", "-created_at", "-id"],
                condition=Q(serial_key__isnull=False),
                name="tasks_of_serial",
            ),
            models.Index(fields=["lease_expires_at"], condition=Q(status="running"), name="tasks_leased"),
            models.Index(fields=["-created_at", "-id"], name="tasks_recent"),
            models.Index(fields=["owner", "-created_at", "-id"], name="tasks_of_owner"),
            models.Index(fields=["agent", "-created_at", "-id"], name="tasks_of_agent"),
            models.Index(
                fields=["start_by"], condition=Q(status="queued", start_by__isnull=False), name="tasks_to_start"
            ),
            models.Index(fields=["waits_until"], condition=Q(waits_until__isnull=False), name="tasks_waiting"),
            models.Index(fields=["queue"], condition=Q(status="queued", is_suspect=True), name="tasks_suspect"),
            models.Index(fields=["parent"], condition=Q(parent__isnull=False), name="tasks_of_parent"),
            models.Index(
                fields=["parent"],
                condition=Q(parent__isnull=False) & ~Q(status__in=TERMINAL),
                name="tasks_unfinished_children",
            ),
            models.Index(fields=["status", "-created_at", "-id"], name="tasks_by_status"),
            models.Index(fields=["retry_of"], condition=Q(retry_of__isnull=False), name="tasks_retries"),
            # What lists are searched by; see `TaskQuerySet.named`.
            models.Index(fields=["request_id"], name="tasks_of_request"),
            models.Index(fields=["trace_id"], name="tasks_of_trace"),
            models.Index(
                fields=["idempotency_key"], condition=Q(idempotency_key__isnull=False), name="tasks_of_idempotency_key"
            ),
            # What lists are narrowed by. Of the usual value there are some on every page, so `tasks_recent` will do.
            models.Index(
                fields=["priority", "-created_at", "-id"],
                condition=~Q(priority=Priority.NORMAL),
                name="tasks_by_priority",
            ),
            models.Index(
                fields=["queue", "-created_at", "-id"], condition=~Q(queue=USUAL_QUEUE), name="tasks_by_queue"
            ),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["owner", "idempotency_key"],
                condition=Q(idempotency_key__isnull=False),
                name="tasks_idempotent",
            ),
            models.UniqueConstraint(
                fields=["serial_key"],
                condition=Q(status__in=["running", "waiting", "needs_review"]),
                name="tasks_serial",
            ),
            models.CheckConstraint(
                condition=Q(status="running", lease_expires_at__isnull=False)
                | (~Q(status="running") & Q(lease_expires_at__isnull=True)),
                name="tasks_running_is_leased",
            ),
            models.CheckConstraint(
                condition=Q(status__in=TERMINAL, finished_at__isnull=False)
                | (~Q(status__in=TERMINAL) & Q(finished_at__isnull=True)),
                name="tasks_terminal_is_finished",
            ),
            models.CheckConstraint(
                condition=Q(status="waiting") & ~Q(waiting_for="")
                | ~Q(status="waiting") & Q(waiting_for="", waits_until__isnull=True),
                name="tasks_waiting_for_something",
            ),
            models.CheckConstraint(condition=Q(max_attempts__gte=1), name="tasks_some_attempt"),
            models.CheckConstraint(condition=Q(status__in=Status.values), name="tasks_known_status"),
            models.CheckConstraint(condition=Q(priority__in=Priority.values), name="tasks_known_priority"),
        ]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def is_terminal(self) -> bool:
        """Nothing more will happen to it."""
        return self.status in TERMINAL


class TaskDependency(models.Model):
    """`task` waits for the end of `on`. The row goes when that has come."""

    id = models.BigAutoField(primary_key=True)
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="dependencies", verbose_name=_("task"))
    on = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="dependents", verbose_name=_("waits for"))

    class Meta:
        verbose_name = _("dependency")
        verbose_name_plural = _("dependencies")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["task", "on"], name="tasks_dependency_once"),
            models.CheckConstraint(condition=~Q(task=models.F("on")), name="tasks_dependency_on_another"),
        ]

    def __str__(self) -> str:
        return f"{self.task_id} → {self.on_id}"


class Queue(BaseModel):
    """What an operator says of a queue. A queue without a row is open, and bounded by QUEUE_MOST_WAITING."""

    name = models.CharField(_("name"), max_length=32, unique=True)
    most_waiting = models.PositiveIntegerField(
        _("most waiting tasks"),
        null=True,
        blank=True,
        help_text=_("More are refused. Empty: the installation's bound."),
    )
    is_paused = models.BooleanField(
        _("paused"), default=False, help_text=_("Accepts tasks and starts none; what runs goes on.")
    )

    class Meta:
        verbose_name = _("queue")
        verbose_name_plural = _("queues")
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name


class ConcurrencyLimit(BaseModel):
    """How many tasks of one agent, one user or one API key may run at the same time. It has that many slots."""

    agent = models.OneToOneField(
        Agent, on_delete=models.CASCADE, null=True, blank=True, related_name="+", verbose_name=_("agent")
    )
    owner = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True, related_name="+",
        verbose_name=_("user"),
    )  # fmt: skip
    api_key = models.OneToOneField(
        "accounts.ApiKey", on_delete=models.CASCADE, null=True, blank=True, related_name="+", verbose_name=_("API key")
    )
    most_running = models.PositiveSmallIntegerField(_("most running tasks"))

    class Meta:
        verbose_name = _("concurrency limit")
        verbose_name_plural = _("concurrency limits")
        ordering: ClassVar = ["created_at"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(agent__isnull=False, owner__isnull=True, api_key__isnull=True)
                | Q(agent__isnull=True, owner__isnull=False, api_key__isnull=True)
                | Q(agent__isnull=True, owner__isnull=True, api_key__isnull=False),
                name="tasks_limit_of_one",
            ),
            models.CheckConstraint(condition=Q(most_running__gte=1, most_running__lte=1000), name="tasks_limit_some"),
        ]

    def __str__(self) -> str:
        return f"{self.agent or self.owner or self.api_key}: {self.most_running}"


class Slot(models.Model):
    """One place under a limit, taken by a running task or free."""

    id = models.BigAutoField(primary_key=True)
    limit = models.ForeignKey(
        ConcurrencyLimit, on_delete=models.CASCADE, related_name="slots", verbose_name=_("concurrency limit")
    )
    number = models.PositiveSmallIntegerField(_("number"))
    task = models.ForeignKey(
        Task, on_delete=models.SET_NULL, null=True, blank=True, related_name="slots", verbose_name=_("task")
    )

    class Meta:
        verbose_name = _("slot")
        verbose_name_plural = _("slots")
        ordering: ClassVar = ["limit", "number"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["limit", "number"], name="tasks_slot_number"),
            models.UniqueConstraint(fields=["limit", "task"], name="tasks_slot_once"),
        ]

    def __str__(self) -> str:
        return f"{self.limit_id} #{self.number}"


class Attempt(models.Model):
    """One execution of a task by a worker. `ended_at` is empty while it runs."""

    class Outcome(models.TextChoices):
        SUCCEEDED = "succeeded", _("succeeded")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("cancelled")
        CRASHED = "crashed", _("crashed")
        TIMED_OUT = "timed_out", _("timed out")
        HANDED_BACK = "handed_back", _("handed back")
        WAITING = "waiting", _("waiting")
        NEEDS_REVIEW = "needs_review", _("needs review")

    id = models.BigAutoField(primary_key=True)
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="attempts", verbose_name=_("task"))
    fence = models.PositiveIntegerField(_("fence"))
    worker = models.CharField(_("worker"), max_length=150)
    celery_id = models.CharField(_("Celery id"), max_length=64, blank=True, db_index=True)
    started_at = models.DateTimeField(_("started"))
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)
    outcome = models.CharField(_("outcome"), max_length=12, choices=Outcome.choices, blank=True)
    error_type = models.CharField(_("error type"), max_length=100, blank=True)
    error_message = models.TextField(_("error"), blank=True)
    traceback = models.TextField(_("traceback"), blank=True)
    input_tokens = models.PositiveBigIntegerField(_("input tokens"), default=0)
    output_tokens = models.PositiveBigIntegerField(_("output tokens"), default=0)
    cost = models.DecimalField(_("cost"), max_digits=14, decimal_places=6, default=0)

    class Meta:
        verbose_name = _("attempt")
        verbose_name_plural = _("attempts")
        ordering: ClassVar = ["fence"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["task", "fence"], name="tasks_attempt_fence"),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True, outcome="") | (Q(ended_at__isnull=False) & ~Q(outcome="")),
                name="tasks_attempt_ended",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.task_id} #{self.fence}"


class TaskEvent(models.Model):
    """One numbered entry in a task's log. `number` counts from 1 without holes."""

    class Kind(models.TextChoices):
        STATUS = "status", _("status")
        STEP = "step", _("step")
        MESSAGE = "message", _("message piece")
        TOOL_CALL = "tool_call", _("tool call")
        TOOL_RESULT = "tool_result", _("tool result")
        CUSTOM = "custom", _("custom")

    id = models.BigAutoField(primary_key=True)
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="events", verbose_name=_("task"))
    number = models.PositiveIntegerField(_("number"))
    fence = models.PositiveIntegerField(_("attempt"), default=0)
    kind = models.CharField(_("kind"), max_length=12, choices=Kind.choices)
    data = models.JSONField(_("data"), default=dict)
    created_at = models.DateTimeField(_("time"))

    class Meta:
        verbose_name = _("task event")
        verbose_name_plural = _("task events")
        ordering: ClassVar = ["number"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["task", "number"], name="tasks_event_number"),
            models.CheckConstraint(condition=Q(number__gte=1), name="tasks_event_from_one"),
        ]

    def __str__(self) -> str:
        return f"{self.number} {self.kind}"
