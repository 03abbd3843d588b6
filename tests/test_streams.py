"""An event of the page is never lost between one event stream and the next."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.types import Message, Receive, Scope, Send

from s2v_core.streams import Streams

CLOSE = b'data: {"msg":"close_stream","event_id":null}\n\n'


async def gradio(scope: Scope, receive: Receive, send: Send) -> None:
    """Ends each stream at once, and takes each event."""
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"].endswith("data"):
        await send({"type": "http.response.body", "body": CLOSE, "more_body": True})
    await send({"type": "http.response.body"})


class Browser:
    """One request at the transport: what was answered so far, and a way to leave."""

    def __init__(self, body: bytes = b"") -> None:
        self.answered: list[Message] = []
        self._coming: asyncio.Queue[Message] = asyncio.Queue()
        self._coming.put_nowait({"type": "http.request", "body": body})

    def leave(self) -> None:
        self._coming.put_nowait({"type": "http.disconnect"})

    async def send(self, message: Message) -> None:
        self.answered.append(message)

    @asynccontextmanager
    async def asking(self, app: Streams, path: str, query: bytes = b"") -> AsyncIterator[None]:
        scope = {"type": "http", "path": f"/gradio_api/queue/{path}", "query_string": query}
        request = asyncio.ensure_future(app(scope, self._coming.get, self.send))
        await asyncio.sleep(0.02)
        yield
        self.leave()
        await asyncio.wait_for(request, 1)


async def test_an_event_is_answered_once_its_page_has_left_the_stream_that_is_over() -> None:
    app, stream, event, other = Streams(gradio), Browser(), *map(Browser, (session("a"), session("b")))
    async with stream.asking(app, "data", b"session_hash=a"):
        assert [message.get("body") for message in stream.answered] == [None, CLOSE]
        async with event.asking(app, "join"), other.asking(app, "join"):
            assert (event.answered, len(other.answered)) == ([], 2)
            stream.leave()
            await asyncio.sleep(0.02)
            assert len(event.answered) == 2


async def test_a_page_that_does_not_leave_is_not_waited_for_without_end() -> None:
    app, stream, event, late = Streams(gradio, patience=0.1), Browser(), *(Browser(session("a")) for _ in range(2))
    async with stream.asking(app, "data", b"session_hash=a"), event.asking(app, "join"):
        await asyncio.sleep(0.2)
        assert (len(stream.answered), len(event.answered)) == (3, 2)
        async with late.asking(app, "join"):
            assert len(late.answered) == 2


@pytest.mark.parametrize("body", [b"", b"{", b'{"session_hash":null}', b"\xff" * 100])
async def test_an_event_of_no_session_is_not_held(body: bytes) -> None:
    app, stream, event = Streams(gradio), Browser(), Browser(body)
    async with stream.asking(app, "data"), event.asking(app, "join"):
        assert len(event.answered) == 2


def session(name: str) -> bytes:
    return f'{{"data":[],"session_hash":"{name}"}}'.encode()
