"""The service as an ASGI app: the same wire, a real clip of the photo that was sent, no network.

A folder holds all of its state, so that a restart loses nothing: a task and its photo while it is a day old, and its
clip. Where a task stands follows from the clock and from whether the clip is there.
"""

import asyncio
import hmac
import json
import time
import unicodedata
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from .. import wire
from ..errors import ImageRejected
from ..photo.prepare import from_data_url, prepare, public_link
from ..text import PROMPT_CHARACTERS
from .portrait import stand_in
from .tasks import RenderTask, TaskFolder

Fault: TypeAlias = Callable[[str, Request], Awaitable[Response | None]]
Film: TypeAlias = Callable[[Path, Path], None]
_Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]

_BODY_BYTES = 28_000_000
_OK = {"status_code": 0, "status_msg": "success"}


class _ServiceError(Exception):
    """Ends a call with a code of the service, at HTTP 200."""

    def __init__(self, message: str, code: int = 2013) -> None:
        super().__init__(message)
        self.code = code


class Simulator:
    """Speaks as 302.AI under `/minimaxi/v1` and as MiniMax under `/v1`; any key will do, unless it contains `wrong`.

    A render takes `seconds`, or longer where the machine is slow; a download link lasts `link_seconds`. Beyond
    `most_bytes` the oldest files go. `fault` is asked before everything else with `submit`, `query`, `retrieve` or
    `download`; what it returns is the answer. `film` makes a clip of a photo, and `clock` says the Unix time.
    """

    def __init__(
        self,
        folder: Path,
        *,
        seconds: float = 8.0,
        link_seconds: float = 3600.0,
        most_bytes: int = 500_000_000,
        fault: Fault | None = None,
        film: Film | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._tasks = TaskFolder(folder, most_bytes=most_bytes, clock=clock)
        self._seconds, self._link_seconds, self._fault, self._film = seconds, link_seconds, fault, film or _film
        self._clock = clock
        self._renderings: dict[str, asyncio.Task[None]] = {}
        self._two_at_once = asyncio.Semaphore(2)
        routes = [Route("/files/{file_id}/output_aigc.mp4", self._call("download", self._download), name="download")]
        for prefix, no_key in (("/minimaxi/v1", _no_key_at_302), ("/v1", _no_key_at_minimax)):
            routes += [
                Route(prefix + wire.SUBMIT, self._call("submit", self._submit, no_key), methods=["POST"]),
                Route(prefix + wire.QUERY, self._call("query", self._query, no_key)),
                Route(prefix + wire.RETRIEVE, self._call("retrieve", self._retrieve, no_key)),
            ]
        self._app = Starlette(routes=routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    def knows(self, task_id: str) -> bool:
        return self._tasks.by_id(task_id) is not None

    def forget(self, task_id: str) -> None:
        """The task leaves the disk, and its photo and clip with it."""
        self._tasks.forget(task_id)

    def _call(self, call: str, answer: _Endpoint, no_key: Callable[[], Response] | None = None) -> _Endpoint:
        async def endpoint(request: Request) -> Response:
            if self._fault and (response := await self._fault(call, request)):
                return response
            scheme, _, key = request.headers.get("Authorization", "").partition(" ")
            if no_key and (scheme.lower() != "bearer" or not key.strip() or "wrong" in key):
                return no_key()
            try:
                return await answer(request)
            except _ServiceError as refused:
                return JSONResponse({"base_resp": {"status_code": refused.code, "status_msg": str(refused)}})

        return endpoint

    async def _submit(self, request: Request) -> Response:
        body = bytearray()
        try:
            async for chunk in request.stream():
                body += chunk
                if len(body) > _BODY_BYTES:
                    return _gateway_error(413, -10011, f"The request is over {_BODY_BYTES // 1_000_000} MB.")
        except ClientDisconnect:
            return Response(status_code=400)
        task = await asyncio.to_thread(lambda: self._tasks.add(_check(bytes(body))))
        self._rendering(task)
        return JSONResponse({"task_id": task.id, "base_resp": _OK})

    async def _query(self, request: Request) -> Response:
        if not (task := self._tasks.by_id(request.query_params.get("task_id", ""))):
            raise _ServiceError("There is no such task.")
        status = self._status(task)
        done = status is wire.Status.SUCCESS
        width, height = wire.CLIP_SIZE if done else (0, 0)
        file_id = task.file_id if done else ""
        size = {"video_width": width, "video_height": height}
        return JSONResponse({"task_id": task.id, "status": status, "file_id": file_id, **size, "base_resp": _OK})

    async def _retrieve(self, request: Request) -> Response:
        if not (task := self._tasks.by_file(request.query_params.get("file_id", ""))):
            raise _ServiceError("There is no such file.")
        if self._status(task) is not wire.Status.SUCCESS:
            raise _ServiceError("The file is not there yet.")
        expires = str(int(self._clock() + self._link_seconds))
        query = {"Expires": expires, "OSSAccessKeyId": "simulator", "Signature": task.sign(expires)}
        file = {
            "file_id": int(task.file_id),
            "bytes": 0,
            "created_at": int(task.created),
            "filename": "output_aigc.mp4",
            "purpose": "video_generation",
            "download_url": f"{request.url_for('download', file_id=task.file_id)}?{urlencode(query)}",
        }
        return JSONResponse({"file": file, "base_resp": _OK})

    async def _download(self, request: Request) -> Response:
        expires, signature = (request.query_params.get(name, "") for name in ("Expires", "Signature"))
        if not (task := self._tasks.by_file(request.path_params["file_id"])):
            return _storage_error(404, "NoSuchKey", "The specified key does not exist.")
        if not hmac.compare_digest(task.sign(expires).encode(), signature.encode()):
            return _storage_error(403, "SignatureDoesNotMatch", "The request signature we calculated does not match.")
        if int(expires) <= self._clock():
            return _storage_error(403, "AccessDenied", "Request has expired.")
        return FileResponse(self._tasks.clip(task), media_type="video/mp4")

    def _status(self, task: RenderTask) -> wire.Status:
        part = (self._clock() - task.created) / self._seconds
        if not self._tasks.clip(task).exists():
            rendering = self._rendering(task)
            if rendering.done() and rendering.exception():
                return wire.Status.FAIL
            part = min(part, 0.99)
        if part < 0.1:
            return wire.Status.PREPARING
        if part < 0.25:
            return wire.Status.QUEUEING
        return wire.Status.PROCESSING if part < 1 else wire.Status.SUCCESS

    def _rendering(self, task: RenderTask) -> asyncio.Task[None]:
        """Under way, or failed; begun here after a restart."""
        rendering = self._renderings.get(task.id)
        if rendering is None or rendering.cancelled():
            rendering = self._renderings[task.id] = asyncio.create_task(self._render(task))
        return rendering

    async def _render(self, task: RenderTask) -> None:
        async with self._two_at_once:
            await asyncio.to_thread(self._film, self._tasks.photo(task), self._tasks.clip(task))
        del self._renderings[task.id]


def _film(photo: Path, clip: Path) -> None:
    # Only now: with it comes PyAV, which a page needs for nothing else.
    from .film import film

    film(photo, clip)


def _check(body: bytes) -> bytes:
    """As the service does; the photo as a JPEG."""
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        raise _ServiceError("The body is not JSON.") from None
    match asked:
        case {"model": wire.MODEL, "subject_reference": [{"type": "character", "image": [str(image)]}]}:
            pass
        case _:
            raise _ServiceError(
                f'It takes "model": "{wire.MODEL}" and one subject_reference: '
                '{"type": "character", "image": ["one data URL or https URL"]}.'
            )
    prompt, optimizer = asked.get("prompt", ""), asked.get("prompt_optimizer", True)
    if not isinstance(prompt, str) or len(prompt) > PROMPT_CHARACTERS:
        raise _ServiceError(f"The prompt is a string of at most {PROMPT_CHARACTERS} characters.")
    if not isinstance(optimizer, bool):
        raise _ServiceError("The prompt_optimizer is true or false.")
    invisible = sum(unicodedata.category(c) == "Cf" for c in prompt)
    if 2 * invisible > len("".join(prompt.split())):
        raise _ServiceError("The prompt has too many invisible characters.", 1042)
    try:
        if image.lower().startswith("https://"):
            public_link(image)
            return stand_in()
        return prepare(from_data_url(image)).jpeg
    except ImageRejected as rejected:
        raise _ServiceError(str(rejected)) from None


def _no_key_at_302() -> Response:
    return _gateway_error(401, -10001, "The API key is missing or wrong.")


def _no_key_at_minimax() -> Response:
    message = "login fail: Please carry the API secret key in the 'Authorization' field of the request header"
    return JSONResponse({"base_resp": {"status_code": 1004, "status_msg": message}})


def _gateway_error(status: int, code: int, message: str) -> Response:
    error = {"err_code": code, "message": message, "message_cn": message, "type": "api_error"}
    return JSONResponse({"error": error}, status)


def _storage_error(status: int, code: str, message: str) -> Response:
    xml = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>\n'
    return Response(xml, status, media_type="application/xml")
