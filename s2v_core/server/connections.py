"""Ends the web server's idle connections, and keeps all of them below the number of files it may open."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

# asyncio takes as many connections before it looks at the first, all of them files; uvicorn says 2048.
_AT_ONCE = 128
# Clips, the ledger and the connections to the service are files too.
_OTHER_FILES = 256 + _AT_ONCE


@contextmanager
def bounded(connections: "Connections") -> Iterator[None]:
    """A server that starts while this lasts has these connections; Gradio makes its configuration and takes no word."""
    usual = uvicorn.Config
    uvicorn.Config = partial(usual, http=connections, backlog=_AT_ONCE)  # type: ignore[misc,assignment,arg-type]
    try:
        yield
    finally:
        uvicorn.Config = usual  # type: ignore[misc]


class Connections:
    """Makes uvicorn's protocol for each connection; at most `most` of them, and `seconds` for the head of a request."""

    def __init__(self, *, most: int | None = None, seconds: float = 20.0) -> None:
        self.most, self.seconds = most or _most(), seconds
        # In the order in which they began to wait.
        self.waiting: dict[Connection, asyncio.TimerHandle] = {}

    def __call__(self, **given: Any) -> "Connection":
        return Connection(self, **given)


class Connection(H11Protocol):
    """Waits for the whole head of a request, from its start and again after each answer."""

    def __init__(self, all_of_them: Connections, **given: Any) -> None:
        super().__init__(**given)
        self._all = all_of_them

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()
        if len(self.connections) > self._all.most:
            oldest = next(iter(self._all.waiting))
            oldest._wait_no_more()
            oldest.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:
            self._wait_no_more()

    def on_response_complete(self) -> None:
        # Before what may begin the next request.
        self._wait()
        super().on_response_complete()

    def _wait(self) -> None:
        self._wait_no_more()
        self._all.waiting[self] = self.loop.call_later(self._all.seconds, self.transport.abort)

    def _wait_no_more(self) -> None:
        if timer := self._all.waiting.pop(self, None):
            timer.cancel()


def _most() -> int:
    """Returns how many files may be open, less those needed elsewhere; raises the process's limit if it can."""
    if sys.platform == "win32":
        return 2048
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = max(soft, min(8192, hard) if hard != resource.RLIM_INFINITY else 8192)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    return max(files - _OTHER_FILES, files // 4)
