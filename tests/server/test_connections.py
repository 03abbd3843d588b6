"""Connections on which nothing comes are ended, and keep nobody from the page."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from s2v_core.server.connections import Connections, bounded

from ..support.waiting import until

ASK = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def page(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers in two parts, the second some time after the first."""
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"a", "more_body": True})
    # Longer than the head of a request may take.
    await asyncio.sleep(0.4)
    await send({"type": "http.response.body", "body": b"b"})


@asynccontextmanager
async def served(connections: Connections) -> AsyncIterator[int]:
    with bounded(connections):
        config = uvicorn.Config(page, port=0, log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    running = asyncio.create_task(server._serve())
    await until(lambda: server.started, "the server has started")
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await running


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def connect(port: int, stack: ExitStack, begin: bytes = b"") -> socket.socket:
    connection = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
    connection.setblocking(False)
    connection.send(begin)
    return connection


async def read(connection: socket.socket, end: bytes = b"") -> bytes:
    """What comes until this end, or until the connection's."""
    found, loop = b"", asyncio.get_running_loop()
    while not end or not found.endswith(end):
        try:
            more = await loop.sock_recv(connection, 1000)
        except ConnectionError:
            return found
        if not more:
            return found
        found += more
    return found


async def test_the_head_of_a_request_has_its_time_and_an_answer_as_long_as_it_takes(stack: ExitStack) -> None:
    async with served(Connections(seconds=0.2)) as port, asyncio.timeout(5):
        silent, slow, asking = connect(port, stack), connect(port, stack, ASK[:-2]), connect(port, stack)
        for _ in range(2):
            asking.send(ASK)
            assert (await read(asking, b"ab")).startswith(b"HTTP/1.1 200")
        # The head of a second request has no more time than the first.
        asking.send(ASK[:-2])
        assert [await read(each) for each in (silent, slow, asking)] == [b""] * 3


async def test_where_there_are_too_many_those_go_first_that_wait_for_longest(stack: ExitStack) -> None:
    async with served(Connections(most=10)) as port, asyncio.timeout(10):
        asking = connect(port, stack, ASK)
        assert await read(asking, b"\r\n\r\na")
        silent = [connect(port, stack) for _ in range(30)]
        assert [await read(each) for each in silent[:20]] == [b""] * 20
        silent[-1].send(ASK)
        assert (await read(silent[-1], b"ab")).endswith(b"ab")
        assert await read(asking, b"b") == b"b"
