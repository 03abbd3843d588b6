"""A service on a loopback socket whose every answer the test writes down, byte by byte where it must be."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from s2v_core import Timing

# As in production, but for the waiting.
FAST = Timing(submit=20.0, read=10.0, poll=0.01, slow_poll=0.02, watch=30.0, overdue=0.6, backoff=0.01)
KEY = "sk-canary-4f9d2c77e1"
PROMPT = "She looks up from a book and smiles, warm evening light."
TASK = "306792606023824"
FILE = "427071051673913"


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes
    at: float = field(default_factory=time.monotonic)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Answer:
    """`cut`: close behind so many bytes of the body; `reset`: close before any byte; `stall`: wait so many seconds."""

    body: Any = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    reset: bool = False
    stall: float = 0.0
    length: bool = True

    def encode(self) -> bytes:
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        headers = {"Content-Type": "application/json", "Connection": "close", **self.headers}
        if self.length:
            headers["Content-Length"] = str(len(body))
        head = f"HTTP/1.1 {self.status} -\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return head.encode() + b"\r\n" + (body if self.cut is None else body[: self.cut])


def good(**fields: Any) -> Answer:
    return Answer({**fields, "base_resp": {"status_code": 0, "status_msg": "success"}})


def code(number: int, message: str = "a reason", **fields: Any) -> Answer:
    return Answer({**fields, "base_resp": {"status_code": number, "status_msg": message}})


def gateway(number: int, status: int) -> Answer:
    return Answer({"error": {"err_code": number, "message": "a reason", "type": "api_error"}}, status)


def task(status: str, **fields: Any) -> Answer:
    return good(task_id=TASK, status=status, **fields)


_Service = TypeVar("_Service", bound="Service")


class Service:
    """Each list is one call's answers in turn; the last is repeated."""

    def __init__(self, clip: bytes) -> None:
        self.requests: list[Request] = []
        self.submit = [good(task_id=TASK)]
        self.query = [task("Preparing"), task("Queueing"), task("Processing"), task("Success", file_id=FILE)]
        self.retrieve: list[Answer | Callable[[], Answer]] = [lambda: self.link()]
        self.file = [Answer(clip, headers={"Content-Type": "video/mp4"})]
        self.backup = [Answer(clip)]

    async def __aenter__(self) -> "Service":
        self._server = await asyncio.start_server(self.serve, "127.0.0.1")
        self.origin = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self.base_url = self.origin + "/minimaxi/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    def link(self, **fields: str) -> Answer:
        url = f"{self.origin}/output_aigc.mp4?Expires={len(self.calls('retrieve'))}&Signature=x%3D"
        return good(
            file={"file_id": int(FILE), "bytes": 0, "filename": "output_aigc.mp4", "download_url": url, **fields}
        )

    def calls(self, call: str) -> list[Request]:
        return [request for request in self.requests if self._call(request) == call]

    @staticmethod
    def _call(request: Request) -> str:
        return {
            "/minimaxi/v1/video_generation": "submit",
            "/minimaxi/v1/query/video_generation": "query",
            "/minimaxi/v1/files/retrieve": "retrieve",
            "/output_aigc.mp4": "file",
            "/backup.mp4": "backup",
        }[request.path]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await _read(reader)
            self.requests.append(request)
            answers: list[Any] = getattr(self, self._call(request))
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            answer = answer() if callable(answer) else answer
            begun = time.monotonic()
            # Looked at again and again: a test may end what it began.
            while (left := begun + answer.stall - time.monotonic()) > 0:
                await asyncio.sleep(min(left, 0.05))
            if answer.reset:
                writer.transport.abort()
                return
            writer.write(answer.encode())
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


@contextmanager
def in_thread(service: _Service) -> Iterator[_Service]:
    """Open, in an event loop of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(service.__aenter__(), loop).result()
    try:
        yield service
    finally:
        asyncio.run_coroutine_threadsafe(_close(service), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _close(service: Service) -> None:
    await service.__aexit__()
    # What was never asked on a connection that is open, or not answered yet.
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    parts = urlsplit(target)
    return Request(method, parts.path, parse_qs(parts.query), headers, body)
