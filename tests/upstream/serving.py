"""The scripted upstream itself: OpenAI's addresses, the control addresses, and the faults."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.upstream.answers import Answer, event
from tests.upstream.checking import check_chat, read_body
from tests.upstream.deployments import Deployment, Deployments
from tests.upstream.errors import Refusal, body_of, error_body, headers_of, page_of, wrong
from tests.upstream.script import Behaviour, Fault, Heard, Script
from tests.upstream.vectors import embeddings
from tests.upstream.wire import JSON, PHRASES, Connection, Request

DONE = b"data: [DONE]\n\n"
PING = b": ping\n\n"
PING_SECONDS = 0.05
SPOILT = b'data: {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta\n\n'
WRONG = {"status": "ok", "result": {"text": "Good day"}}


@dataclass(slots=True)
class Turn:
    """One request that is being answered."""

    connection: Connection
    deployment: Deployment
    behaviour: Behaviour
    fault: Fault | None
    body: dict[str, Any]
    key: str
    headers: dict[str, str]

    def faulty(self, *kinds: str) -> Fault | None:
        """The fault, if it is of these kinds."""
        return self.fault if self.fault is not None and self.fault.kind in kinds else None


class Upstream:
    """Handles requests by the script."""

    def __init__(self) -> None:
        self._deployments = Deployments()
        self._connections: set[Connection] = set()
        self._turns = 0

    def connection(self) -> Connection:
        """For one client."""
        return Connection(self._handle, self._connections.add, self._connections.discard)

    def close(self) -> None:
        """Clients are cut off."""
        for connection in [*self._connections]:
            connection.reset()

    async def _handle(self, request: Request, connection: Connection) -> None:
        if not request.path.startswith("/v1/"):
            await self._control(request, connection)
            return
        try:
            await self._call(request, connection)
        except Refusal as refusal:
            connection.answer_json(refusal.status, refusal.error)

    # What OpenAI has.

    async def _call(self, request: Request, connection: Connection) -> None:
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not key:
            raise wrong("You didn't provide an API key.", status=401)
        if request.method == "GET" and request.path.startswith("/v1/models"):
            connection.answer_json(200, self._models(request.path.removeprefix("/v1/models").strip("/")))
            return
        if request.method != "POST" or request.path not in {"/v1/chat/completions", "/v1/embeddings"}:
            raise wrong(f"Invalid URL ({request.method} {request.path})", status=404)
        body = read_body(request.body)
        deployment = self._deployments.of(body["model"], key)
        behaviour, fault = deployment.next()
        self._remember(request, body, deployment, fault)
        self._turns += 1
        self._deployments.connections += connection.requests == 1
        headers = {"x-request-id": f"req_{self._turns}", "openai-version": "2020-10-01"}
        turn = Turn(connection, deployment, behaviour, fault, body, key, headers)
        with self._deployments.counted(deployment, fault):
            await self._answer(turn, is_chat=request.path == "/v1/chat/completions")

    def _remember(self, request: Request, body: Any, deployment: Deployment, fault: Fault | None) -> None:
        kind = fault.kind if fault else None
        heard = Heard(deployment.name, request.path, time.monotonic(), request.headers, body, kind)
        self._deployments.heard.append(heard)

    def _models(self, wanted: str) -> dict[str, Any]:
        models = [
            {"id": name, "object": "model", "created": 1, "owned_by": "script"} for name in self._deployments.names()
        ]
        if not wanted:
            return {"object": "list", "data": models}
        for model in models:
            if model["id"] == wanted:
                return model
        raise wrong(f"The model '{wanted}' does not exist", "model", status=404, code="model_not_found")

    async def _answer(self, turn: Turn, *, is_chat: bool) -> None:
        slow = turn.faulty("slow")
        await asyncio.sleep(turn.behaviour.latency + (slow.seconds if slow else 0))
        if turn.behaviour.holds_after == 0:
            await self._deployments.released.wait()
        if fault := turn.faulty("status", "page", "drop", "wrong_json", "no_choices"):
            _refuse(turn, fault)
            return
        if not is_chat:
            await self._whole(turn, embeddings(turn.body))
            return
        check_chat(turn.body)
        answer = Answer.to(turn.body, turn.behaviour)
        if fault := turn.faulty("filtered"):
            answer = answer.filtered(fault.after)
        if turn.body.get("stream"):
            await self._stream(turn, answer)
        else:
            await self._whole(turn, answer.whole(), after=turn.behaviour.pause * len(answer.pieces))

    async def _whole(self, turn: Turn, data: dict[str, Any], *, after: float = 0) -> None:
        if after:
            await asyncio.sleep(after)
        connection, body = turn.connection, json.dumps(data).encode()
        if turn.faulty("error_inside"):
            body = json.dumps(_error_inside()).encode()
        if turn.faulty("malformed"):
            body = body[: len(body) // 2]
        broken = turn.faulty("cut", "truncated", "stall")
        sent = body[: len(body) // 2] if broken else body
        connection.answer(200, sent, {**turn.headers, "content-type": JSON}, announced=len(body))
        if broken:
            await _break_off(connection, broken, is_stream=False)

    async def _stream(self, turn: Turn, answer: Answer) -> None:
        connection = turn.connection
        connection.begin(turn.headers)
        options = turn.body.get("stream_options") or {}
        fault = turn.faulty("cut", "truncated", "stall", "malformed", "error_inside")
        for part in self._parts(turn, answer.chunks(with_usage=bool(options.get("include_usage"))), fault):
            if isinstance(part, bytes):
                connection.send(part)
            else:
                await (asyncio.sleep(part) if part >= 0 else self._deployments.released.wait())
        if fault is None or fault.kind == "error_inside":
            connection.send(DONE)
            connection.end()
        elif fault.kind == "malformed":
            connection.end()
        else:
            await _break_off(connection, fault, is_stream=True)

    def _parts(self, turn: Turn, chunks: Iterator[tuple[bool, bytes]], fault: Fault | None) -> Iterator[bytes | float]:
        """What goes out together, seconds to pause, and -1 where the stream is held."""
        ready: list[bytes] = []
        pause, holds, said = turn.behaviour.pause, turn.behaviour.holds_after, 0
        for is_piece, chunk in chunks:
            if fault is not None and said >= fault.after and (is_piece or said):
                ready.append(_spoiling(fault))
                break
            if is_piece and (pause or (holds and said == holds)):
                yield b"".join(ready)
                ready = []
                yield -1 if holds and said == holds else pause
            ready.append(chunk)
            said += is_piece
        yield b"".join(ready)

    # What only tests ask.

    async def _control(self, request: Request, connection: Connection) -> None:
        known = self._deployments
        asked = (request.method, request.path)
        if asked == ("PUT", "/script"):
            known.use(Script.read(json.loads(request.body)))
        elif asked == ("POST", "/reset"):
            known.use(Script({}))
        elif asked == ("POST", "/release"):
            known.release()
        elif asked == ("GET", "/requests"):
            connection.answer_json(200, [asdict(each) for each in known.heard])
            return
        elif asked == ("GET", "/counts"):
            connection.answer_json(200, known.counts())
            return
        elif asked == ("GET", "/wait"):
            connection.answer_json(200, await self._wait(request.target))
            return
        else:
            connection.answer_json(404, error_body("There is no such address.", "not_found"))
            return
        connection.answer_json(200, {})

    async def _wait(self, target: str) -> bool:
        query = {name: many[0] for name, many in parse_qs(urlsplit(target).query).items()}
        at_least, within = int(query["at_least"]), float(query["within"])
        return await self._deployments.wait(query["deployment"], query["count"], at_least, within)


def _refuse(turn: Turn, fault: Fault) -> None:
    connection = turn.connection
    if fault.kind == "drop":
        connection.reset()
    elif fault.kind == "page":
        page = page_of(fault.status, PHRASES.get(fault.status, ""))
        connection.answer(fault.status, page, {"content-type": "text/html"})
    elif fault.kind == "wrong_json":
        connection.answer_json(200, WRONG)
    elif fault.kind == "no_choices":
        _answer_nothing(turn)
    else:
        body = json.dumps(body_of(fault, model=turn.body["model"], key=turn.key)).encode()
        connection.answer(fault.status, body, {**turn.headers, **headers_of(fault), "content-type": JSON})


def _answer_nothing(turn: Turn) -> None:
    usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    frame = {"id": "chatcmpl-0", "created": 1, "model": turn.body["model"], "choices": []}
    if turn.body.get("stream"):
        turn.connection.begin(turn.headers)
        turn.connection.send(event(frame | {"object": "chat.completion.chunk"}) + DONE)
        turn.connection.end()
    else:
        turn.connection.answer_json(200, frame | {"object": "chat.completion", "usage": usage})


def _spoiling(fault: Fault) -> bytes:
    if fault.kind == "malformed":
        return SPOILT
    return event(_error_inside()) if fault.kind == "error_inside" else b""


def _error_inside() -> dict[str, Any]:
    return error_body("The server had an error while processing your request.", "server_error")


async def _break_off(connection: Connection, fault: Fault, *, is_stream: bool) -> None:
    if fault.kind == "stall":
        ends = time.monotonic() + (fault.seconds or math.inf)
        while time.monotonic() < ends:
            await asyncio.sleep(PING_SECONDS)
            if fault.pings and is_stream:
                connection.send(PING)
    if fault.kind == "cut" and fault.reset:
        # What has been written arrives before the reset does.
        await asyncio.sleep(0)
        connection.reset()
        return
    if fault.kind == "cut" and is_stream:
        connection.end()
    connection.close()
