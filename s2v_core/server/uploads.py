"""Uploads on their way into a folder: one file a request, under a name that nobody can guess, within a bound."""

import asyncio
import os
import re
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.types import Message, Receive

from .. import wire

# A photo and its frame.
UPLOAD_BYTES = wire.PHOTO_BYTES + 64_000
TOO_LARGE = f"A photo is at most {wire.PHOTO_BYTES // 1_000_000} MB."
_NOT_ONE = "This is not the upload of one photo."
_FILENAME = re.compile(rb"filename\*?\s*=(?:.*?(\.(?:jpe?g|png|webp))\b)?", re.IGNORECASE)
# As Gradio calls a file while it arrives.
_ARRIVING = re.compile(r"tmp\w{8}")


class HttpRefusal(Exception):
    """Ends a request with a status and a sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Upload:
    """One file on its way, in a form of our own: what remains of the sender's is the bytes and a picture's ending."""

    def __init__(self, receive: Receive, content_type: str, seconds: float) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not 0 < len(boundary) <= 70:
            raise HttpRefusal(400, _NOT_ONE)
        self.boundary = secrets.token_hex(16)
        self.refusal: HttpRefusal | None = None
        self._receive, self._seconds = receive, seconds
        self._until = time.monotonic() + seconds
        self._received = self._parts = self._size = 0
        self._head, self._out = bytearray(), bytearray()
        self._whole = self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_value": lambda data, start, end: self._head.extend(data[start:end]),
                "on_header_end": lambda: self._head.extend(b"\n"),
                "on_headers_finished": self._rename,
                "on_part_data": self._take,
                "on_end": self._end,
            },
        )

    async def receive(self) -> Message:
        if self._ended:
            return await self._receive()
        try:
            return await self._next()
        except FormParserError:
            self.refusal = HttpRefusal(400, _NOT_ONE)
        except TimeoutError:
            self.refusal = HttpRefusal(408, f"The upload took longer than {self._seconds:g} seconds.")
        except HttpRefusal as refusal:
            self.refusal = refusal
        self._ended = True
        # At a part without a name Gradio gives up, and removes what it has written of the file.
        return {"type": "http.request", "body": f"\r\n--{self.boundary}\r\n\r\n".encode()}

    async def _next(self) -> Message:
        self._out.clear()
        async with asyncio.timeout_at(self._until):
            message = await self._receive()
        data = message.get("body", b"")
        self._received += len(data)
        if self._received > UPLOAD_BYTES:
            raise HttpRefusal(413, TOO_LARGE)
        self._parser.write(data)
        if not message.get("more_body"):
            if not self._whole:
                raise HttpRefusal(400, _NOT_ONE)
            self._ended = True
            self._out.extend(f"\r\n--{self.boundary}--\r\n".encode())
        return {"type": "http.request", "body": bytes(self._out), "more_body": not self._ended}

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > 1:
            raise HttpRefusal(413, "One photo at a time.")

    def _rename(self) -> None:
        if not (name := _FILENAME.search(self._head)):
            raise HttpRefusal(400, _NOT_ONE)
        own = secrets.token_hex(16) + (name[1] or b"").decode().lower()
        head = f'--{self.boundary}\r\nContent-Disposition: form-data; name="files"; filename="{own}"\r\n\r\n'
        self._out.extend(head.encode())

    def _take(self, data: bytes, start: int, end: int) -> None:
        self._size += end - start
        if self._size > wire.PHOTO_BYTES:
            raise HttpRefusal(413, TOO_LARGE)
        self._out.extend(data[start:end])

    def _end(self) -> None:
        self._whole = self._parts == 1


def arrives(name: str, changed: float) -> bool:
    """Whether this is a file that Gradio is still writing."""
    return bool(_ARRIVING.fullmatch(name)) and changed > time.time() - 240.0


def evict(folder: Path, most: int, *, spare: Callable[[str, float], bool] = lambda name, changed: False) -> None:
    """Remove the oldest files until the rest takes `most` bytes; of each `spare` is asked by its name and its age."""
    files = []
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                facts = os.lstat(os.path.join(place, name))
                if not spare(name, facts.st_ctime):
                    # The smallest takes a block of the disk, and its folder another.
                    files.append((facts.st_ctime, facts.st_size + 8192, place, name))
    excess = sum(size for _, size, _, _ in files) - most
    for _, size, place, name in sorted(files):
        if excess <= 0:
            return
        with suppress(OSError):
            os.unlink(os.path.join(place, name))
            excess -= size
            if place != str(folder):
                os.rmdir(place)
