"""One look at the ledger for all who watch a job here, whichever process drives it."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace

from .async_ledger import AsyncLedger
from .model import UNDER_WAY, Job


class Watch:
    """Who watches gets the job as it was seen last, by a clock of its own."""

    def __init__(self, ledger: AsyncLedger) -> None:
        self._ledger = ledger
        self._watched: dict[str, _Snapshot] = {}

    async def follow(self, job: Job) -> AsyncIterator[Job]:
        """The job now, at each change and at least once a second, until it has ended."""
        watched = self._watched.setdefault(job.ticket, _Snapshot(job))
        watched.see(job)
        watched.watchers += 1
        try:
            while True:
                yield job
                if job.state not in UNDER_WAY:
                    return
                await watched.wait(1.0)
                job = watched.now()
        finally:
            watched.watchers -= 1
            if not watched.watchers:
                self._watched.pop(job.ticket, None)

    async def poll_changes(self) -> None:
        """Take in what is no longer as it was seen; by no clock, as a row can be read or written seconds late."""
        if self._watched:
            for job in await self._ledger.changed([watched.job for watched in self._watched.values()]):
                if watched := self._watched.get(job.ticket):
                    watched.see(job)


class _Snapshot:
    """A row as it was seen last."""

    def __init__(self, job: Job) -> None:
        self.watchers = 0
        self._changed = asyncio.Event()
        self.job, self._at = job, time.monotonic()

    def see(self, job: Job) -> None:
        if (job.state, job.changed) != (self.job.state, self.job.changed):
            self.job, self._at = job, time.monotonic()
            self._changed.set()
            self._changed = asyncio.Event()

    async def wait(self, seconds: float) -> None:
        # Not `wait_for`, which on Python 3.11 loses a cancellation that comes with the change.
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            pass

    def now(self) -> Job:
        return replace(self.job, now=self.job.now + time.monotonic() - self._at)
