"""`manage.py run_agent`: one task through the queue, its answer on the terminal as it comes."""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser
from typing import Any

import redis
from django.core.management.base import BaseCommand, CommandError

from accounts.models import User
from agents.definitions.exceptions import UnknownAgent
from agents.definitions.models import Agent
from agents.definitions.services import get_usable_agent
from agents.tasks.exceptions import TaskError
from agents.tasks.models import Status, Task, TaskEvent
from agents.tasks.services import submit
from mutirao.following import Event, follow

PATIENCE_SECONDS = 5


class Command(BaseCommand):
    help = "Submits a task, waits for it, and prints the answer as it comes. Exit code 1 when the task fails."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help="the agent, for example: assistant")
        parser.add_argument("text", help="what to say to it; with --object, a JSON object for an agent of your own")
        parser.add_argument("--user", default="admin", help="on whose behalf (default: %(default)s)")
        parser.add_argument("--object", action="store_true", help="the text is a JSON object")
        parser.add_argument("--json", action="store_true", help="print every event as a line of JSON instead")

    def handle(self, *args: Any, **options: Any) -> None:
        owner = self._owner(options["user"])
        agent = self._agent(options["slug"], owner)
        given = self._object(options["text"]) if options["object"] else options["text"]
        try:
            task = submit(owner=owner, agent=agent, input=given).task
        except TaskError as error:
            raise CommandError(str(error)) from error
        self._print_events(task, as_json=options["json"])

    def _owner(self, name: str) -> User:
        user = User.objects.filter(username=name, is_active=True).first()
        if user is None:
            raise CommandError(f"There is no active user named {name!r}; name one with --user.")
        return user

    def _agent(self, slug: str, owner: User) -> Agent:
        try:
            return get_usable_agent(slug=slug, user=owner)
        except UnknownAgent as error:
            usable = ", ".join(Agent.objects.usable().values_list("slug", flat=True)) or "none"
            raise CommandError(f"{error} Agents that can be used: {usable}.") from error

    def _object(self, text: str) -> dict[str, Any]:
        try:
            found = json.loads(text)
        except ValueError as error:
            raise CommandError(f"The text is not JSON: {error}.") from error
        if not isinstance(found, dict):
            raise CommandError("The text is JSON, but not an object.")
        return found

    def _print_events(self, task: Task, *, as_json: bool) -> None:
        show = self._show_json if as_json else self._show
        silent_for = 0
        try:
            for event in follow(task.id):
                if event is None:
                    silent_for += 1
                    self._complain(task, silent_for)
                    continue
                silent_for = 0
                show(event)
                if event.is_last:
                    self._finish(event, as_json=as_json)
        except (KeyboardInterrupt, BrokenPipeError) as stopped:
            if isinstance(stopped, BrokenPipeError):
                # What is still in the buffer has no reader (`… | head`); Python would complain about it at its end.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise CommandError(f"Stopped watching; task {task.id} goes on.") from stopped
        except redis.RedisError as error:
            raise CommandError(
                f"Redis cannot be reached ({error}); task {task.id} is accepted and will run."
            ) from error

    def _complain(self, task: Task, silent_for: int) -> None:
        if silent_for != PATIENCE_SECONDS or Task.objects.filter(pk=task.pk).exclude(status=Status.QUEUED).exists():
            return
        self.stderr.write(f"Task {task.id} is waiting for a worker; is `make up` running?")

    def _show(self, event: Event) -> None:
        match event.kind:
            case TaskEvent.Kind.MESSAGE:
                if event.data.get("restart"):
                    self.stdout.write("")
                    self.stderr.write("↺")
                self.stdout.write(event.data.get("text", ""), ending="")
                self.stdout.flush()
            case TaskEvent.Kind.TOOL_CALL:
                arguments = json.dumps(event.data.get("args"), ensure_ascii=False)
                self.stderr.write(f"→ {event.data.get('name')} {arguments}")
            case TaskEvent.Kind.TOOL_RESULT:
                self.stderr.write(f"← {event.data.get('content')}")

    def _show_json(self, event: Event) -> None:
        line = {"number": event.number, "kind": event.kind, "data": event.data}
        self.stdout.write(json.dumps(line, ensure_ascii=False))

    def _finish(self, event: Event, *, as_json: bool) -> None:
        if not as_json:
            self.stdout.write("")
        if event.data["status"] == Status.SUCCEEDED:
            return
        if event.data["status"] == Status.CANCELLED:
            raise CommandError("The task was cancelled.")
        raise CommandError(f"The task failed: {event.data['error']['message']}")
