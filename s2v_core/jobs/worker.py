"""Which jobs this process drives: what was taken, admitted and claimed; held by a lease while it lives."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping

from .async_ledger import AsyncLedger
from .driver import Driver
from .model import Job, Limits, State
from .services import KeyRing

_log = logging.getLogger(__name__)

_REMEMBERED = 1000


class Worker:
    """The ledger calls it `name`. With `take_over`, it also claims what other processes left behind.

    Once `closing` is set it pays and claims nothing more. It calls `queued` when there is something to admit.
    """

    def __init__(
        self, ledger: AsyncLedger, keys: KeyRing, driver: Driver,
        *, name: str, limits: Limits, take_over: bool, closing: threading.Event, queued: Callable[[], None],
    ) -> None:  # fmt: skip
        self._ledger, self._keys, self._driver = ledger, keys, driver
        self._name, self._limits, self._take_over = name, limits, take_over
        self._closing, self._tell_queued = closing, queued
        # Only what was taken here is admitted: a row whose click was given up is in the queue, too, for a moment.
        self._queued: set[str] = set()
        self._drives: dict[str, asyncio.Task[None]] = {}
        self._payments: dict[str, asyncio.Task[None]] = {}
        self._to_resume: dict[str, None] = {}
        self._admission: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._admission.set_result(None)

    def take(self, job: Job, *, since: float = 0.0) -> None:
        """Drive a job on from where it stands; its 24 hours begin at its click, or at `since`."""
        self._hold(job, since)
        self._tell_queued()

    async def resume(self, ticket: str) -> None:
        """Claim a job, now or as soon as nobody drives it, however old it is."""
        self._to_resume[ticket] = None
        for oldest in list(self._to_resume)[:-_REMEMBERED]:
            del self._to_resume[oldest]
        await self._claim([ticket])

    async def admit(self) -> None:
        """One look at the queue for all who wait in it."""
        if self._queued and not self._closing.is_set():
            # A task of its own: who stops the rest does not stop it between an admission and its payment.
            self._admission = asyncio.create_task(self._admit())
            await asyncio.shield(self._admission)

    async def renew(self, loops: Mapping[str, tuple[float, str]]) -> None:
        """Keep what is driven here; `loops` as in `Ledger.renew`."""
        await self._ledger.renew(self._name, self._tickets, loops)

    async def claim(self) -> None:
        """Drive on what nobody holds any more."""
        if self._to_resume:
            # Not what has ended, or is driven here by now.
            waiting = await self._ledger.under_way(list(self._to_resume))
            for ticket in set(self._to_resume) - waiting | set(self._tickets):
                self._to_resume.pop(ticket, None)
            await self._claim(list(self._to_resume))
        if self._take_over:
            await self._claim(None)

    async def stop(self, seconds: float) -> None:
        """End what only reads, and wait so long for the answer to each payment that was begun."""
        await _end(self._drives.values())
        try:
            async with asyncio.timeout(seconds):
                await asyncio.wait([self._admission])
                if self._payments:
                    many, most = len(self._payments), f"{seconds:.0f} s"
                    _log.info("stopping: waiting for the answer to %d payments, up to %s", many, most)
                    await asyncio.wait(self._payments.values())
        except TimeoutError:
            await _end([self._admission, *self._payments.values()])

    @property
    def _tickets(self) -> list[str]:
        return [*self._queued, *self._payments, *self._drives]

    def _hold(self, job: Job, since: float = 0.0) -> None:
        if job.state is State.QUEUED:
            self._queued.add(job.ticket)
        elif job.ticket not in self._drives:
            drive = self._drives[job.ticket] = asyncio.create_task(self._driver.bring(job.ticket, since))
            drive.add_done_callback(lambda _: self._drives.pop(job.ticket))

    async def _admit(self) -> None:
        asked = list(self._queued)
        admitted, waiting = await self._ledger.admit(self._name, asked, self._limits)
        for job in admitted:
            if job.state is State.SENDING:
                # Once for each admission: only `withdraw`, before anything has left, leads back to the queue.
                self._payments[job.ticket] = asyncio.create_task(self._pay(job))
        self._queued -= set(asked) - waiting

    async def _pay(self, job: Job) -> None:
        try:
            now = await self._driver.pay(job)
            if now and not self._closing.is_set():
                # Not `take`: what waits for its key would be admitted over and over.
                self._hold(now)
        finally:
            del self._payments[job.ticket]

    async def _claim(self, only: Collection[str] | None) -> None:
        if self._closing.is_set() or only == []:
            return
        since = 0.0 if only is None else time.time()
        for job in await self._ledger.claim(self._name, list(self._keys), only=only):
            self._to_resume.pop(job.ticket, None)
            self.take(job, since=since)


async def _end(tasks: Iterable[asyncio.Future[None]]) -> None:
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
