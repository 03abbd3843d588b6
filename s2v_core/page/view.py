"""What one open page shows, in one object that all its events share."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from typing import Any, TypeVar

from ..jobs.model import Job
from ..settings import Key

# More than a browser keeps of clips that nobody paid for.
_MOST = 500
T = TypeVar("T")


class View:
    """`tickets` are those that the browser keeps, newest first, or None before it has said; `key` is the visitor's own.

    The `service` is the one that was chosen last, and `choices` those that the page was told of; the button names the
    price of so many `scenes`. The last order was of one `alone` or of several, and was `entered`, in part or whole, or
    not. `job` is the one on show as it was seen last, `next` the ticket that is wanted, `made` the jobs of clicks that
    paid, as long as the browser does not say that it keeps them. `all` cards are shown, or the newest; those that are
    `settled` stay as they are, and `told` is what the page was told of them last. An `ending` makes the card that
    stands there without a job, until something is wanted. A page has one watch, which goes on to whatever another event
    wants: of two that overlap, the browser may show what the first said last.
    """

    def __init__(self) -> None:
        self.tickets: list[str] | None = None
        self.key: Key | None = None
        self.job: Job | None = None
        self.made: list[Job] = []
        self.next = self.service = ""
        self.scenes = 1
        self.choices: list[tuple[str, str]] = []
        self.refilled = self.all = self.ordering = self.alone = self.entered = False
        # None for a ticket that nobody knows here.
        self.settled: dict[str, dict[str, Any] | None] = {}
        self.told: dict[str, Any] = {}
        self.ending: Callable[[], dict[str, Any]] | None = None
        self._wishes = self._forsaken = 0
        self._wanted = asyncio.Event()

    @property
    def known(self) -> list[str]:
        return self.tickets or []

    def kept(self, tickets: Iterable[str]) -> list[str]:
        """Those of these that the browser keeps, each once."""
        return [ticket for ticket in dict.fromkeys(tickets) if ticket in self.known]

    @property
    def shown(self) -> str:
        """The ticket of the job on show."""
        return self.job.ticket if self.job else ""

    def know(self, tickets: Iterable[object]) -> None:
        """What a browser says that it keeps can be anything."""
        self.tickets = list(dict.fromkeys(each for each in tickets if isinstance(each, str)))[:_MOST]

    def want(self, ticket: str = "") -> int:
        """Show this next, or nothing; the number of this wish."""
        self.next, self.ending = ticket, None
        self._wanted.set()
        self._wishes += 1
        return self._wishes

    def forsake(self) -> None:
        """Nobody hears the watch that there is: what is wanted from now on is for a later one."""
        self._forsaken += 1

    async def wanted(self) -> AsyncIterator[str]:
        """The tickets to show, one by one, until none is wanted that has not been shown."""
        begun = self._forsaken
        while self._wanted.is_set() and begun == self._forsaken:
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
