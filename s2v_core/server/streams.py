"""ASGI middleware that loses no event between two event streams, and tells which sessions are in use.

Gradio ends a page's stream after its last event, and the page opens another for its next event if it knows by then that
the first has ended. If it learns that too late, the event waits for ever and a click seems to do nothing. So the last
word of a stream is not followed by its end: a page that has heard it hangs up. Its next event is answered after that.
"""

import asyncio
import re
from contextlib import suppress
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .sessions import Sessions

_CLOSE = b'data: {"msg":"close_stream"'
_HEARTBEAT = re.compile(r"/gradio_api/heartbeat/([\w-]+)")
_ANSWER = re.compile(r"/gradio_api/call/(?:v2/)?\w+/([\w-]+)")
_SESSION = re.compile(rb'"session_hash":\s*"(\w+)"')


class StreamGrace:
    """`pause` is how many seconds a page has to hang up; what lies between may hide from us that it did."""

    def __init__(self, app: ASGIApp, sessions: Sessions, pause: float) -> None:
        self._app, self._sessions, self._pause = app, sessions, pause
        self._ends: dict[str, asyncio.Task[None]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if path == "/gradio_api/queue/data":
            await self._stream(scope, receive, send)
        elif path == "/gradio_api/queue/join":
            await self._event(scope, receive, send)
        elif found := _HEARTBEAT.fullmatch(path):
            with self._sessions.held(found[1]):
                await self._app(scope, receive, send)
        elif scope.get("method") == "GET" and (found := _ANSWER.fullmatch(path)):
            # A call that names no session gets one of its own, named like its event.
            try:
                with self._sessions.held(found[1]):
                    await self._app(scope, receive, send)
            finally:
                self._sessions.end(found[1])
        else:
            await self._app(scope, receive, send)

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        session = parse_qs(scope["query_string"].decode("latin-1")).get("session_hash", [""])[0]
        end: asyncio.Task[None] | None = None

        async def tell(message: Message) -> None:
            nonlocal end
            if message.get("body", b"").startswith(_CLOSE):
                end = self._ends[session] = asyncio.create_task(self._hung_up(session, receive))
            elif end:
                await asyncio.wait([end])
            await send(message)

        with self._sessions.held(session):
            await self._app(scope, receive, tell)

    async def _hung_up(self, session: str, receive: Receive) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._pause):
                while (await receive())["type"] != "http.disconnect":
                    pass
        if self._ends.get(session) is asyncio.current_task():
            del self._ends[session]

    async def _event(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = bytearray()

        async def read() -> Message:
            message = await receive()
            body.extend(message.get("body", b""))
            return message

        async def tell(message: Message) -> None:
            found = _SESSION.search(body) if message["type"] == "http.response.start" else None
            if found and (end := self._ends.get(found[1].decode())):
                await asyncio.wait([end])
            await send(message)

        await self._app(scope, read, tell)
