"""What lies beside the rows: pictures are made, and what is old, erased or nobody's goes."""

import asyncio
import logging
import time
from itertools import accumulate

from ..clip import pictures
from ..photo.prepare import is_link
from .async_ledger import AsyncLedger
from .model import Job
from .store import FileStore

_log = logging.getLogger(__name__)

_REMEMBERED = 1000


class Upkeep:
    """Jobs keep their files for `keep_hours`, where there is a limit; the simulated ones `simulated_bytes` in all."""

    def __init__(
        self, ledger: AsyncLedger, store: FileStore,
        *, keep_hours: float | None, simulated_bytes: int, clear_away_seconds: float,
    ) -> None:  # fmt: skip
        self._ledger, self._store = ledger, store
        self._keep_hours, self._simulated_bytes = keep_hours, simulated_bytes
        self._clear_away_seconds = clear_away_seconds
        self._picturing: dict[str, asyncio.Task[None]] = {}
        self._unpicturable: dict[str, None] = {}
        self._swept = 0.0

    async def stop(self) -> None:
        for picturing in (left := list(self._picturing.values())):
            picturing.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def picture(self, job: Job) -> None:
        """Begin to make the pictures of a clip."""
        if job.ticket not in self._picturing:
            picturing = self._picturing[job.ticket] = asyncio.create_task(self._make_pictures(job))
            picturing.add_done_callback(lambda _: self._picturing.pop(job.ticket))

    async def pictures(self, job: Job, *, wait: bool) -> dict[str, str]:
        """What `FileStore.pictures` has; a clip's are made now, if whoever fetched it has not come to that."""
        if job.clip and not self._store.is_pictured(job) and job.ticket not in self._unpicturable:
            self.picture(job)
        if wait and (picturing := self._picturing.get(job.ticket)):
            await asyncio.wait([picturing])
        return await self._store.run(self._store.pictures, job)

    async def delete(self, ticket: str) -> None:
        """Photo, prompt, clip and pictures leave the disk, if the job has ended."""
        if await self._ledger.erase(ticket):
            if picturing := self._picturing.get(ticket):
                picturing.cancel()
                await asyncio.wait([picturing])
            await self._remove_erased(ticket)

    async def sweep(self) -> None:
        """Delete what has been kept for long enough, and finish what a process that was killed had begun to delete."""
        await self._store.run(self._store.sweep)
        old = await self._ledger.to_forget(self._keep_hours) if self._keep_hours is not None else []
        for ticket in old + await self._oldest_simulated():
            await self.delete(ticket)
        if not self._swept or time.monotonic() > self._swept + self._clear_away_seconds:
            await self._remove_erased()
            if self._swept:
                await self._store.run(self._store.clear_away, self._ledger.blocking.unnamed)
            self._swept = time.monotonic()

    async def _make_pictures(self, job: Job) -> None:
        # One of which no frame can be shown here is still what was paid for.
        try:
            photo = None if is_link(job.photo) else self._store.path(job.photo)
            for name in filter(None, (job.clip, "" if is_link(job.photo) else job.photo)):
                await self._store.run(self._store.has, name)
            await pictures.pictures(self._store.path(job.clip), photo)
            return
        except pictures.NotAClip as error:
            _log.info("%s", error)
        # Nor does anything else about its pictures take it away.
        except Exception:  # noqa: BLE001
            _log.exception("the pictures of a clip failed")
        self._unpicturable[job.ticket] = None
        for oldest in list(self._unpicturable)[:-_REMEMBERED]:
            del self._unpicturable[oldest]

    async def _remove_erased(self, ticket: str | None = None) -> None:
        for erased in await self._ledger.erased(ticket):
            await self._store.run(self._store.remove, *erased)
            await self._ledger.clear(erased[0])

    async def _oldest_simulated(self) -> list[str]:
        """The tickets of simulated jobs beyond what they may keep."""
        jobs = await self._ledger.simulated()
        sizes = accumulate(await self._store.run(self._store.sizes, jobs))
        return [job.ticket for job, size in zip(jobs, sizes, strict=True) if size > self._simulated_bytes]
