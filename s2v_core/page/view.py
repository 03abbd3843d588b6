"""What one open page shows, in one object that all its events share."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeVar

from ..settings import Key

T = TypeVar("T")


class View:
    """`tickets` are those that the browser keeps, newest first; `key` is the visitor's own.

    `next` is the ticket of the job wanted last, `shown` that of the job on show.

    A page has one watch, which goes on to whatever another event wants: of two that overlap, the browser may show what
    the first said last.
    """

    def __init__(self) -> None:
        self.tickets: list[str] = []
        self.key: Key | None = None
        self.next = self.shown = ""
        self._wishes = 0
        self._wanted = asyncio.Event()

    def want(self, ticket: str = "") -> int:
        """Show this next, or nothing; the number of this wish."""
        self.next = ticket
        self._wanted.set()
        self._wishes += 1
        return self._wishes

    async def wanted(self) -> AsyncIterator[str]:
        """The tickets to show, one by one, until none is wanted that has not been shown."""
        while self._wanted.is_set():
            self._wanted.clear()
            yield self.next

    async def until_another(self, updates: AsyncGenerator[T]) -> AsyncIterator[T]:
        """These, as long as no other ticket is wanted."""
        other = asyncio.create_task(self._wanted.wait())
        step: asyncio.Future[T | None] = asyncio.get_running_loop().create_future()
        try:
            while True:
                step = asyncio.ensure_future(anext(updates, None))
                await asyncio.wait([step, other], return_when=asyncio.FIRST_COMPLETED)
                if other.done() or (update := step.result()) is None:
                    return
                yield update
        finally:
            other.cancel()
            step.cancel()
            await asyncio.gather(step, return_exceptions=True)
            await updates.aclose()
