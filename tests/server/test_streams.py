"""An event of the page is never lost between one event stream and the next."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.types import Message, Receive, Scope, Send

from s2v_core.server.streams import Sessions, StreamGrace

CLOSE = b'data: {"msg":"close_stream","event_id":null}\n\n'


async def gradio(scope: Scope, receive: Receive, send: Send) -> None:
    """Ends each stream at once, and takes each event."""
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"].endswith("data"):
        await send({"type": "http.response.body", "body": CLOSE, "more_body": True})
    await send({"type": "http.response.body"})


def streams(pause: float) -> StreamGrace:
    return StreamGrace(gradio, Sessions(lambda _: None, most=500), pause)


async def ask(
    app: StreamGrace, path: str, *, query: bytes = b"", body: bytes = b"", gone: asyncio.Event | None = None
) -> None:
    """It hangs up when `gone` is set."""
    given = iter([{"type": "http.request", "body": body}])
    answered: list[Message] = []

    async def receive() -> Message:
        if message := next(given, None):
            return message
        await (gone or asyncio.Event()).wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        answered.append(message)

    await app({"type": "http", "path": f"/gradio_api/queue/{path}", "query_string": query}, receive, send)
    assert answered[0]["status"] == 200


@asynccontextmanager
async def ending(app: StreamGrace, session: str = "") -> AsyncIterator[asyncio.Event]:
    """A stream that has said its last word, until the page hangs up."""
    gone = asyncio.Event()
    stream = asyncio.create_task(ask(app, "data", query=f"session_hash={session}".encode(), gone=gone))
    # It comes as far as it can.
    await asyncio.sleep(0)
    assert not stream.done()
    yield gone
    gone.set()
    await stream


def event(session: str) -> bytes:
    return f'{{"data":[],"session_hash":"{session}"}}'.encode()


async def test_an_event_is_answered_once_its_page_has_heard_that_the_stream_before_it_is_over() -> None:
    app = streams(60)
    async with ending(app, "a") as gone:
        held, other = (asyncio.create_task(ask(app, "join", body=event(session))) for session in "ab")
        await other
        assert not held.done()
        gone.set()
        await held


async def test_where_nobody_hears_a_page_hang_up_its_event_is_held_only_so_long() -> None:
    app, begun = streams(0.3), time.monotonic()
    async with ending(app, "a"):
        await ask(app, "join", body=event("a"))
        assert time.monotonic() >= begun + 0.3


async def test_each_end_of_a_stream_is_heard_by_itself() -> None:
    app = streams(60)
    async with ending(app, "a") as first, ending(app, "a") as second:
        held = asyncio.create_task(ask(app, "join", body=event("a")))
        first.set()
        await ask(app, "join", body=event("b"))
        assert not held.done()
        second.set()
        await held


@pytest.mark.parametrize("body", [b"", b"{", b'{"session_hash":null}', b"\xff"])
async def test_an_event_of_no_session_is_not_held(body: bytes) -> None:
    app = streams(60)
    async with ending(app), asyncio.timeout(30):
        await ask(app, "join", body=body)


@pytest.fixture
def forgotten() -> list[str]:
    return []


@pytest.fixture
def sessions(forgotten: list[str]) -> Sessions:
    return Sessions(forgotten.append, most=2)


def test_sessions_go_that_were_not_used_for_longest_and_none_that_is_open(
    sessions: Sessions, forgotten: list[str]
) -> None:
    with sessions.held("page"):
        for session in ("page", "a", "b", "a", "c", "d"):
            sessions.use(session)
        sessions.end("page")
        assert forgotten == ["b", "a"]
    sessions.use("e")
    assert forgotten == ["b", "a", "c", "d"]


def test_a_page_is_open_until_its_last_stream_has_ended(sessions: Sessions, forgotten: list[str]) -> None:
    with sessions.held("page"):
        with sessions.held("page"):
            pass
        for session in "abc":
            sessions.use(session)
        assert forgotten == ["a"]


@pytest.mark.parametrize("call", ["call/status", "call/v2/status"])
async def test_the_session_of_a_call_goes_with_its_answer(call: str) -> None:
    forgotten: list[str] = []
    sessions = Sessions(forgotten.append, most=500)
    seen = []

    async def gradio(scope: Scope, _receive: Receive, _send: Send) -> None:
        sessions.use("0f" * 16)
        seen.append(list(forgotten))

    scope = {"type": "http", "method": "GET", "path": f"/gradio_api/{call}/{'0f' * 16}", "query_string": b""}
    await StreamGrace(gradio, sessions, 0)(scope, gradio, gradio)
    assert (seen, forgotten) == ([[]], ["0f" * 16])


async def test_a_heartbeat_holds_its_page_open() -> None:
    forgotten: list[str] = []
    sessions = Sessions(forgotten.append, most=0)

    async def gradio(scope: Scope, _receive: Receive, _send: Send) -> None:
        sessions.use("page")
        assert forgotten == []

    await StreamGrace(gradio, sessions, 0)({"type": "http", "path": "/gradio_api/heartbeat/page"}, gradio, gradio)
    assert forgotten == ["page"]
