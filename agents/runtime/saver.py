"""LangGraph's checkpoints in our own tables, through Django's connections, guarded by the task's fence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from functools import partial
from typing import Any, ParamSpec, TypeVar, cast

from asgiref.sync import sync_to_async
from django.db import transaction
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    CheckpointMetadata,
    CheckpointTuple,
    PendingWrite,
    get_checkpoint_id,
    get_serializable_checkpoint_metadata,
    writes_sort_key,
)
from langgraph.checkpoint.base import Checkpoint as GraphState
from langgraph.constants import START

from agents.runtime.group_commit import PATIENCE_SECONDS, GroupCommit
from agents.runtime.json_values import storable
from agents.runtime.models import Checkpoint, CheckpointWrite
from agents.runtime.querysets import CheckpointQuerySet, Key
from agents.runtime.serializer import PLAIN, serializer_for
from agents.runtime.storage import CheckpointRow, Fence, Row, WriteRow, store
from foundation.threads import close_connections, release_connections

PendingWrites = dict[Key, list[PendingWrite]]
P = ParamSpec("P")
T = TypeVar("T")

# Names under which LangGraph notes what has run, before any node of the graph itself has.
_BEFORE_THE_FIRST_NODE = {START, "__input__", "__interrupt__"}


class DjangoSaver(BaseCheckpointSaver[int]):
    """Saves and loads checkpoints.

    With a `fence` every write proves, in its own transaction, that the task is still running under it, and
    raises `LeaseLost` otherwise; nothing is written then. `close()` is for the end of such a run.
    """

    def __init__(self, *, fence: Fence | None = None) -> None:
        super().__init__(serde=PLAIN)
        self._group = GroupCommit(fence=fence) if fence is not None else None
        # The first attempt of a task finds nothing that it did not write itself: it need not look.
        self._is_first_attempt = fence is not None and fence[1] == 1

    def with_allowlist(self, extra_allowlist: Collection[tuple[str, ...]]) -> DjangoSaver:
        """The same saver, which also builds these types (LangGraph derives them from the graph's state)."""
        clone = DjangoSaver.__new__(DjangoSaver)
        clone.__dict__.update(self.__dict__)
        clone.serde = serializer_for(frozenset(extra_allowlist))
        return clone

    # Writing

    def put(
        self,
        config: RunnableConfig,
        checkpoint: GraphState,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Stores the state after a step; the checkpoint that `config` names is its parent."""
        thread_id, namespace = _thread_of(config)
        row = self._checkpoint_row(config, checkpoint, metadata)
        if self._group is None:
            store([row], fence=None)
        else:
            self._group.namespaces.add(namespace)
            if checkpoint["versions_seen"].keys() <= _BEFORE_THE_FIRST_NODE:
                self._group.hold([row])
            else:
                self._group.commit([row])
        return _config(thread_id, namespace, checkpoint["id"])

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Stores what one node wrote, before its step is complete."""
        rows = self._write_rows(config, writes, task_id, task_path)
        if self._group is None:
            store(rows, fence=None)
        elif task_path.endswith(f", {START}"):
            self._group.hold(rows)
        else:
            self._group.commit(rows, patience=PATIENCE_SECONDS)

    def _checkpoint_row(
        self, config: RunnableConfig, checkpoint: GraphState, metadata: CheckpointMetadata
    ) -> CheckpointRow:
        thread_id, namespace = _thread_of(config)
        encoding, state = self.serde.dumps_typed(checkpoint)
        return CheckpointRow(
            thread_id=thread_id,
            namespace=namespace,
            checkpoint_id=checkpoint["id"],
            parent_id=get_checkpoint_id(config) or "",
            encoding=encoding,
            state=state,
            # PostgreSQL's jsonb takes no NUL; the state itself is binary and keeps them.
            metadata=storable(get_serializable_checkpoint_metadata(config, metadata)),
        )

    def _write_rows(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str
    ) -> list[Row]:
        thread_id, namespace = _thread_of(config)
        rows: list[Row] = []
        for position, (channel, value) in enumerate(writes):
            encoding, data = self.serde.dumps_typed(value)
            rows.append(
                WriteRow(
                    thread_id=thread_id,
                    namespace=namespace,
                    checkpoint_id=config["configurable"]["checkpoint_id"],
                    node_id=task_id,
                    node_path=task_path,
                    position=WRITES_IDX_MAP.get(channel, position),
                    channel=channel,
                    encoding=encoding,
                    value=data,
                )
            )
        return rows

    def flush(self) -> None:
        """Makes what is held durable: a place in the graph has the same name after a crash then."""
        if self._group is not None:
            self._group.flush()

    # Reading

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint that `config` names, else the newest of its thread and namespace."""
        thread_id, namespace = _thread_of(config)
        if self._group is not None:
            if self._is_first_attempt and namespace not in self._group.namespaces:
                return None
            self._group.flush()
        found = Checkpoint.objects.filter(thread_id=thread_id, namespace=namespace)
        if checkpoint_id := get_checkpoint_id(config):
            found = found.filter(checkpoint_id=checkpoint_id)
        return next(self._tuples(found.order_by("-checkpoint_id")[:1]), None)

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 (LangGraph's name)
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Checkpoints, newest first; `filter` compares metadata, whatever its keys."""
        if self._group is not None:
            self._group.flush()
        found = _selected(config, before).order_by("-checkpoint_id")
        if filter:
            # In Python: SQLite and PostgreSQL do not agree on comparing JSON, and a thread has few
            # checkpoints.
            wanted = filter.items()
            rows = found.values_list("pk", "metadata").iterator()
            matching = [pk for pk, metadata in rows if all(metadata.get(key) == value for key, value in wanted)]
            found = found.filter(pk__in=matching[:limit])
        yield from self._tuples(found[:limit])

    def _tuples(self, checkpoints: CheckpointQuerySet) -> Iterator[CheckpointTuple]:
        rows = [*checkpoints]
        writes = self._writes_of(rows)
        # LangGraph reads in the thread that then waits for others to save: it must not hold what they need.
        release_connections()
        for row in rows:
            key = (row.thread_id, row.namespace, row.checkpoint_id)
            yield CheckpointTuple(
                config=_config(*key),
                checkpoint=self.serde.loads_typed((row.encoding, bytes(row.state))),
                metadata=cast("CheckpointMetadata", row.metadata),
                parent_config=_config(row.thread_id, row.namespace, row.parent_id) if row.parent_id else None,
                pending_writes=writes[key],
            )

    def _writes_of(self, rows: Sequence[Checkpoint]) -> PendingWrites:
        found: PendingWrites = defaultdict(list)
        if not rows:
            return found
        writes = CheckpointWrite.objects.of([(row.thread_id, row.namespace, row.checkpoint_id) for row in rows])
        # Sorted here and not by the database, whose collation may order paths otherwise than LangGraph does.
        for write in sorted(writes, key=lambda write: writes_sort_key(write.node_path, write.node_id, write.position)):
            value = self.serde.loads_typed((write.encoding, bytes(write.value)))
            key = (write.thread_id, write.namespace, write.checkpoint_id)
            found[key].append((write.node_id, write.channel, value))
        return found

    # Housekeeping

    def delete_thread(self, thread_id: str) -> None:
        """Deletes everything of one thread."""
        self.prune([thread_id], strategy="delete")

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Deletes the checkpoints, and their writes, whose metadata names one of these runs."""
        _delete(Checkpoint.objects.filter(metadata__run_id__in=list(run_ids)))

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Keeps the newest checkpoint of every namespace of these threads, or none with strategy "delete".

        A graph with LangGraph's DeltaChannel (beta) needs its older ones: do not prune before it has ended.
        """
        if strategy == "delete":
            with transaction.atomic():
                CheckpointWrite.objects.filter(thread_id__in=list(thread_ids)).delete()
                Checkpoint.objects.filter(thread_id__in=list(thread_ids)).delete()
        else:
            _delete(Checkpoint.objects.superseded(thread_ids=thread_ids))

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copies all checkpoints and writes to another thread."""
        with transaction.atomic():
            _copy(CheckpointWrite, source_thread_id, target_thread_id)
            _copy(Checkpoint, source_thread_id, target_thread_id)

    # The same, awaited: in a thread, whose connection is closed behind it

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """`get_tuple`, awaited."""
        return await _in_thread(self.get_tuple, config)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 (LangGraph's name)
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """`list`, awaited."""
        listed = partial(self.list, config, filter=filter, before=before, limit=limit)
        for found in await _in_thread(lambda: [*listed()]):
            yield found

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: GraphState,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """`put`, awaited."""
        return await _in_thread(self.put, config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """`put_writes`, awaited."""
        await _in_thread(self.put_writes, config, writes, task_id, task_path)

    async def adelete_thread(self, thread_id: str) -> None:
        """`delete_thread`, awaited."""
        await _in_thread(self.delete_thread, thread_id)

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """`delete_for_runs`, awaited."""
        await _in_thread(self.delete_for_runs, run_ids)

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """`prune`, awaited."""
        await _in_thread(partial(self.prune, strategy=strategy), thread_ids)

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """`copy_thread`, awaited."""
        await _in_thread(self.copy_thread, source_thread_id, target_thread_id)


async def _in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    def call() -> T:
        try:
            return function(*args, **kwargs)
        finally:
            close_connections()

    return await sync_to_async(call, thread_sensitive=False)()


def _thread_of(config: RunnableConfig) -> tuple[str, str]:
    configurable = config["configurable"]
    return str(configurable["thread_id"]), configurable.get("checkpoint_ns") or ""


def _config(thread_id: str, namespace: str, checkpoint_id: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": namespace, "checkpoint_id": checkpoint_id}}


def _selected(config: RunnableConfig | None, before: RunnableConfig | None) -> CheckpointQuerySet:
    found = Checkpoint.objects.all()
    if config is not None:
        configurable = config["configurable"]
        found = found.filter(thread_id=str(configurable["thread_id"]))
        if (namespace := configurable.get("checkpoint_ns")) is not None:
            found = found.filter(namespace=namespace)
        if checkpoint_id := get_checkpoint_id(config):
            found = found.filter(checkpoint_id=checkpoint_id)
    if before is not None and (checkpoint_id := get_checkpoint_id(before)):
        found = found.filter(checkpoint_id__lt=checkpoint_id)
    return found


@transaction.atomic
def _delete(checkpoints: CheckpointQuerySet) -> None:
    keys = [*checkpoints.values_list("thread_id", "namespace", "checkpoint_id")]
    if keys:
        CheckpointWrite.objects.of(keys).delete()
        Checkpoint.objects.of(keys).delete()


def _copy(model: type[Checkpoint] | type[CheckpointWrite], source: str, target: str) -> None:
    rows = [*model.objects.filter(thread_id=source)]
    for row in rows:
        row.pk, row.thread_id = None, target
    model.objects.bulk_create(rows)
