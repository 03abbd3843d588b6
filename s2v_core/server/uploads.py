"""Receives uploads: one photo per request, under a name that nobody can guess, and no more than fit."""

import asyncio
import logging
import os
import re
import secrets
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from .. import wire
from ..eviction import evict
from .limits import ServerLimits
from .requests import HttpRefusal, body

T = TypeVar("T")
_log = logging.getLogger(__name__)

# A photo and the form around it.
_BODY_BYTES = wire.PHOTO_BYTES + 64_000
_TOO_LARGE = "A photo can be {most} MB at most."
_MOST_MB = wire.PHOTO_BYTES // 1_000_000
_NOT_ONE = "This is not an upload of one photo: send a form with a single file."
_FILENAME = re.compile(rb"filename\*?\s*=(?:.*?(\.(?:jpe?g|png|webp))\b)?", re.IGNORECASE)
_OURS = re.compile(r"[0-9a-f]{32}(\.(jpe?g|png|webp|part))?")
_LOOK_SECONDS = 3600.0


class Uploads:
    """An ASGI application that answers as Gradio's `/upload` does, with a list of one path.

    Gradio accepts any file in its own `folder`. The oldest files there go when they exceed `limits.cache_bytes`.
    """

    def __init__(self, folder: Path, limits: ServerLimits) -> None:
        self._folder, self._limits = Path(os.path.abspath(folder)), limits
        self._coming, self._arriving, self._evicting = 0, set[str](), asyncio.Lock()
        # Threads of its own: the usual ones may all be busy with pictures, while a program gives up after 5 seconds.
        self._threads = ThreadPoolExecutor(4, "uploads")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        form = _Form(headers.get("content-type", ""))
        size = int(headers.get("content-length", _BODY_BYTES))
        if size > _BODY_BYTES:
            raise HttpRefusal(413, _TOO_LARGE, most=_MOST_MB)
        async with self._room(size):
            path = await self._take(form, receive)
        await JSONResponse([str(path)])(scope, receive, send)

    @asynccontextmanager
    async def tidied(self) -> AsyncIterator[None]:
        """Within the block, uploads older than `limits.upload_kept_seconds` are removed."""
        tidying = asyncio.create_task(self._tidy())
        try:
            yield
        finally:
            tidying.cancel()
            await asyncio.wait([tidying])

    @asynccontextmanager
    async def _room(self, size: int) -> AsyncIterator[None]:
        if self._coming + size > self._limits.cache_bytes:
            raise HttpRefusal(503, "Too much is being uploaded at once: try again in a minute.")
        self._coming += size
        try:
            async with self._evicting:
                most = self._limits.cache_bytes - self._coming
                await self._aside(partial(evict, self._folder, most, spare=self._arriving.__contains__))
            yield
        finally:
            self._coming -= size

    async def _take(self, form: "_Form", receive: Receive) -> Path:
        part = self._folder / f"{secrets.token_hex(16)}.part"
        self._arriving.add(part.name)
        try:
            with await self._aside(partial(_create, part)) as file:
                async for data in body(receive, what="upload", seconds=self._limits.upload_seconds):
                    await self._aside(partial(file.write, form.read(data)))
            form.end()
            path = part.with_suffix(form.ending)
            # Not forced onto the disk first: after a power cut nobody would ask for it.
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
            self._arriving.discard(part.name)
        return path

    async def _aside(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def _tidy(self) -> None:
        while True:
            try:
                await self._aside(partial(expire, self._folder, self._limits.upload_kept_seconds))
            # Without it the disk would fill in silence: it is told, and tried again.
            except Exception:  # noqa: BLE001
                _log.exception("old uploads could not be removed")
            await asyncio.sleep(_LOOK_SECONDS)


class _Form:
    """Reads a form as it arrives. Raises `HttpRefusal` unless it holds one file and nothing else."""

    def __init__(self, content_type: str) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not 0 < len(boundary) <= 70:
            raise HttpRefusal(400, _NOT_ONE)
        self.ending = ""
        self._received = self._size = self._parts = 0
        self._head, self._content = bytearray(), bytearray()
        self._whole = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_value": lambda data, start, end: self._head.extend(data[start:end]),
                "on_header_end": lambda: self._head.extend(b"\n"),
                "on_headers_finished": self._name,
                "on_part_data": self._take,
                "on_end": self._end,
            },
        )

    def read(self, data: bytes) -> bytes:
        """Returns the file's share of the form's next bytes."""
        self._received += len(data)
        if self._received > _BODY_BYTES:
            raise HttpRefusal(413, _TOO_LARGE, most=_MOST_MB)
        self._content.clear()
        try:
            self._parser.write(data)
        except FormParserError:
            raise HttpRefusal(400, _NOT_ONE) from None
        return bytes(self._content)

    def end(self) -> None:
        """Raises `HttpRefusal` unless the form is complete."""
        if not self._whole:
            raise HttpRefusal(400, _NOT_ONE)

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > 1:
            raise HttpRefusal(413, "Upload one photo at a time.")

    def _name(self) -> None:
        if not (name := _FILENAME.search(self._head)):
            raise HttpRefusal(400, _NOT_ONE)
        self.ending = (name[1] or b"").decode().lower()

    def _take(self, data: bytes, start: int, end: int) -> None:
        self._size += end - start
        if self._size > wire.PHOTO_BYTES:
            raise HttpRefusal(413, _TOO_LARGE, most=_MOST_MB)
        self._content.extend(data[start:end])

    def _end(self) -> None:
        self._whole = self._parts == 1


def _create(path: Path) -> BinaryIO:
    """Open a new file that only its owner can read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600))


def expire(folder: Path, seconds: float) -> None:
    """Remove uploads, whole or partial, and portraits that were made of them, that are older than `seconds`."""
    with suppress(FileNotFoundError):
        for entry in os.scandir(folder):
            if not _OURS.fullmatch(entry.name):
                continue
            with suppress(FileNotFoundError):
                # A portrait has a folder of its own, as has a published clip, which stays.
                path = os.path.join(entry.path, "portrait.jpg") if entry.is_dir() else entry.path
                if os.stat(path).st_mtime < time.time() - seconds:
                    os.unlink(path)
                    if entry.is_dir():
                        os.rmdir(entry.path)
