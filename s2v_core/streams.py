"""ASGI middleware: no event of Gradio's page is lost between one event stream and the next.

Gradio ends a page's stream after the last event, and the page opens another for the next, if it has heard by then that
the first is over. Where it hears that after its event was taken, the event waits for ever, and a click seems to do
nothing. So a page has heard the end, which it shows by leaving, before an event of it is answered.
"""

import asyncio
import re
from contextlib import suppress
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_CLOSE = b'data: {"msg":"close_stream"'
_SESSION = re.compile(rb'"session_hash":\s*"(\w+)"')


class Streams:
    """`patience` is how many seconds a page has to leave a stream that is over."""

    def __init__(self, app: ASGIApp, patience: float = 2.0) -> None:
        self._app, self._patience = app, patience
        self._closing: dict[str, asyncio.Event] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if path == "/gradio_api/queue/data":
            await self._stream(scope, receive, send)
        elif path == "/gradio_api/queue/join":
            await self._event(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        session = parse_qs(scope["query_string"].decode("latin-1")).get("session_hash", [""])[0]
        left = asyncio.Event()

        async def tell(message: Message) -> None:
            if message.get("body", b"").startswith(_CLOSE):
                self._closing[session] = left
            if self._closing.get(session) is left and not message.get("more_body"):
                with suppress(TimeoutError):
                    await asyncio.wait_for(_leaving(receive), self._patience)
            await send(message)

        try:
            await self._app(scope, receive, tell)
        finally:
            left.set()
            if self._closing.get(session) is left:
                del self._closing[session]

    async def _event(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = bytearray()

        async def read() -> Message:
            message = await receive()
            body.extend(message.get("body", b""))
            return message

        async def tell(message: Message) -> None:
            found = _SESSION.search(body)
            if found and (left := self._closing.get(found[1].decode())):
                await left.wait()
            await send(message)

        await self._app(scope, read, tell)


async def _leaving(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
