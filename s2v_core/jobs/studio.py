"""The jobs of this installation: asked for, watched, resumed, deleted; each is driven by `driver`."""

import asyncio
import hashlib
import logging
import secrets
import threading
import time
from collections.abc import AsyncIterator, Collection, Coroutine
from contextlib import suppress
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx

from ..client import Client, Timing
from ..clip import pictures
from ..errors import Busy, DatabaseUnavailable, Refused, UnknownTicket
from ..photo.prepare import Photo, Source, accept_async, is_link
from ..reasons import Reason
from ..settings import Settings
from ..text import check_optimizer, check_prompt
from .async_ledger import AsyncLedger
from .driver import Driver, Simulated
from .ledger import Ledger
from .loops import Loops, sentences
from .model import UNDER_WAY, Job, Limits, Pace, State, TypicalDurations
from .services import SIMULATOR_URL, KeyRing, Service, Services
from .store import FileStore
from .watch import Watch

_log = logging.getLogger(__name__)

_Result = TypeVar("_Result")

_HOUR = 3600.0
_REMEMBERED = 1000


class Studio:
    """An async context manager that holds the clients and runs each job as a task of its own.

    With `take_over`, what other processes left behind is driven on. Clips are published in `public_dir`. Simulated jobs
    keep at most `simulated_bytes`, and are refused where less than `free_bytes` are free.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        simulator: Simulated,
        public_dir: Path | None = None,
        timing: Timing | None = None,
        limits: Limits | None = None,
        pace: Pace | None = None,
        take_over: bool = True,
        simulated_bytes: int = 500_000_000,
        free_bytes: int = 1_000_000_000,
    ) -> None:
        self.services = Services(settings.base_url, owner_has_key=bool(settings.api_key))
        self._settings = settings
        self._simulator = simulator
        self._timing = timing or Timing(poll=settings.poll_seconds)
        self._limits = limits or Limits(
            per_day=settings.clips_per_day, per_visitor=settings.clips_per_visitor, waiting=settings.waiting
        )
        self._pace = pace or Pace()
        self._simulated_bytes, self._free_bytes = simulated_bytes, free_bytes
        self.store = FileStore(settings.data_dir, public_dir or settings.data_dir / "public")
        self._take_over = take_over
        self._worker = secrets.token_hex(8)
        self._to_resume: dict[str, None] = {}
        self._entering: set[asyncio.Task[Any]] = set()
        self._picturing: dict[str, asyncio.Task[None]] = {}
        self._unpicturable: dict[str, None] = {}
        self._swept = 0.0
        # A signal sets it from another thread.
        self._closing, self._closed = threading.Event(), False

    async def __aenter__(self) -> Self:
        ledger = await asyncio.to_thread(Ledger, self._settings.ledger_url, lease=self._pace.lease)
        self._ledger = AsyncLedger(ledger)
        await asyncio.to_thread(self.store.make, ledger.identity, ledger.unnamed)
        for line in sentences(await self._ledger.health()):
            _log.info("at work beside this one, or ended without a word. %s", line)
        poll = min(self._timing.poll, self._settings.simulator_seconds / 16)
        simulator = Client(
            SIMULATOR_URL,
            "simulator",
            transport=httpx.ASGITransport(self._simulator),
            timing=replace(self._timing, poll=poll),
        )
        owner = self._settings.api_key
        self._keys = KeyRing(ledger.fingerprint, self._connect, simulator=simulator, owner=owner)
        self._driver = Driver(
            self._ledger, self._keys, self.store, self._simulator,
            worker=self._worker, limits=self._limits, timing=self._timing,
            closing=self._closing, fetched=self._picture,
        )  # fmt: skip
        self._watch = Watch(self._ledger)
        self._loops = Loops()
        self._loops.start("heartbeat", self._pace.heartbeat, self._heartbeat)
        self._loops.start("admission", self._pace.admission, self._driver.admit)
        self._loops.start("watch", self._pace.look, self._watch.poll_changes)
        self._loops.start("keys", self._pace.idle_key / 2, self._forget_idle_keys)
        if self._settings.api_key and self._take_over:
            self._loops.start("way", _HOUR, self._tell_way)
        if self._take_over:
            self._loops.start("sweep", self._pace.sweep, self._sweep)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Once: wait for each payment that was begun, leave the rest to who comes next."""
        if self._closed:
            return
        self._closed = True
        self.stop_admitting()
        until = time.monotonic() + self._pace.last_answer
        await self._loops.stop()
        await self._driver.stop(self._pace.last_answer)
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.5, until - time.monotonic())):
                # What comes too late is entered first, and then taken back.
                while self._entering:
                    await asyncio.wait(self._entering)
        for task in (left := [*self._entering, *self._picturing.values()]):
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        with suppress(DatabaseUnavailable, TimeoutError):
            async with asyncio.timeout(1.0):
                await self._ledger.release(self._worker)
        await self._keys.close()
        self._ledger.close()

    def stop_admitting(self) -> None:
        """From now on nothing new is taken or paid; what was begun goes on. From any thread."""
        self._closing.set()

    async def submit(
        self,
        photo: Photo | Source,
        prompt: str,
        *,
        prompt_optimizer: bool = True,
        service: str | None = None,
        key: str | None = None,
        visitor: str = "",
    ) -> Job:
        """Queue a job, or find the same one under way. A caller's own `key` makes it live, at the caller's cost.

        Raises `InputRejected`, `SettingsError` (the key) or `Refused` (no more is taken) before anything is sent.
        """
        prompt, prompt_optimizer = check_prompt(prompt), check_optimizer(prompt_optimizer)
        subject = await accept_async(photo)
        chosen = self.services.own if key else self.services[service] if service else self.services.default
        await self._check_open(chosen)
        paid = chosen.columns(self._keys.key_for(chosen.payer, key))
        visitor = self._visitor(visitor)
        name = subject if isinstance(subject, str) else await asyncio.to_thread(self.store.keep, subject.jpeg)
        content = subject if isinstance(subject, str) else hashlib.sha256(subject.jpeg).hexdigest()
        asked = (paid["service"], paid["key"], visitor, content, prompt, str(prompt_optimizer))
        ticket, job = "s2v_" + secrets.token_urlsafe(16), None
        try:
            job = await self._enter(
                ticket,
                self._ledger.blocking.fingerprint(*asked),
                **paid,
                visitor=visitor,
                photo=name,
                prompt=prompt,
                prompt_optimizer=prompt_optimizer,
            )
        finally:
            if (job is None or job.ticket != ticket) and name != subject:
                await asyncio.to_thread(self.store.path(name).unlink, missing_ok=True)
        if job.ticket == ticket:
            if key:
                # Until it was entered, no job needed the key: it may have been forgotten meanwhile.
                self.remember_key(key)
            self._driver.take(job)
            self._loops.wake("admission")
        return job

    async def job(self, ticket: str) -> Job:
        """Raises `UnknownTicket`."""
        job = await self._ledger.job(ticket)
        if job is None:
            raise UnknownTicket()
        if job.state is State.DONE and job.clip and not await asyncio.to_thread(self.store.has, job.clip):
            return await self._miss(job)
        return job

    async def jobs(self) -> list[Job]:
        return await self._ledger.jobs()

    async def watch(self, ticket: str) -> AsyncIterator[Job]:
        """The job now, at each change and at least once a second, until it has ended; from any process.

        Raises `UnknownTicket`.
        """
        async for job in self._watch.follow(await self.job(ticket)):
            yield job

    async def cancel(self, ticket: str) -> Job:
        """Only what is still queued; else the job goes on as it was. Raises `UnknownTicket`."""
        await self._ledger.cancel(ticket, Reason.CANCELLED)
        return await self.job(ticket)

    async def resume(self, ticket: str) -> Job:
        """Drive a job on that nobody drives, however old it is. Raises `UnknownTicket`."""
        job = await self.job(ticket)
        if job.state in UNDER_WAY:
            self._to_resume[ticket] = None
            _bound(self._to_resume)
            await self._claim([ticket])
        return await self.job(ticket)

    async def delete(self, ticket: str) -> Job:
        """Photo, prompt, clip and pictures leave the disk at once, once the job has ended. Raises `UnknownTicket`."""
        await self.job(ticket)
        if await self._ledger.erase(ticket):
            if picturing := self._picturing.get(ticket):
                picturing.cancel()
                await asyncio.wait([picturing])
            await self._remove_erased(ticket)
        return await self.job(ticket)

    async def pictures(self, job: Job) -> dict[str, str]:
        """What `FileStore.pictures` has; a clip's are made now, if whoever fetched it has not come to that."""
        if job.clip and not self.store.is_pictured(job) and job.ticket not in self._unpicturable:
            self._picture(job)
        if picturing := self._picturing.get(job.ticket):
            await asyncio.wait([picturing])
        return await asyncio.to_thread(self.store.pictures, job)

    def photo(self, job: Job) -> Path | str:
        """Where the JPEG lies that is sent, or the link that is passed on."""
        return job.photo if is_link(job.photo) else self.store.path(job.photo)

    async def left_today(self, visitor: str = "") -> int:
        """Clips that can still be paid with the owner's key today, by this visitor."""
        left = self._limits.per_day - await self._ledger.used_today()
        if self._limits.per_visitor is not None:
            used = await self._ledger.used_today(self._visitor(visitor))
            left = min(left, self._limits.per_visitor - used)
        return max(0, left)

    @property
    def per_day(self) -> int:
        """Clips a day that one visitor can have at the owner's cost."""
        most = self._limits.per_visitor
        return self._limits.per_day if most is None else min(most, self._limits.per_day)

    async def typical_durations(self, job: Job) -> TypicalDurations | None:
        """How long this installation's clips of the same provider took; None while there are too few."""
        return TypicalDurations.of(await self._ledger.durations(job.provider))

    def remember_key(self, key: str) -> str:
        """Take a key into memory, for as long as a job needs it; its fingerprint. Raises `SettingsError`."""
        return self._keys.remember_key(key)

    def _connect(self, key: str) -> Client:
        networks = self._settings.file_networks
        return Client(self._settings.base_url, key, timing=self._timing, file_networks=networks)

    def _visitor(self, visitor: str) -> str:
        return self._ledger.blocking.fingerprint("visitor", visitor)[:32] if visitor else ""

    async def _check_open(self, service: Service | None = None) -> None:
        if self._closing.is_set():
            raise Refused(Reason.STOPPING)
        if service == self.services.simulator and await asyncio.to_thread(self.store.free) < self._free_bytes:
            raise Refused(Reason.NO_ROOM, {"gigabytes": f"{self._free_bytes / 1e9:g}"})

    async def _enter(self, ticket: str, request: str, **values: Any) -> Job:
        """The job in the queue within `pace.enter` seconds, or not at all. Raises `Refused`."""
        await self._check_open()
        seconds, job = self._pace.enter, None
        until = time.monotonic() + seconds
        entering = self._apart(
            self._ledger.enter(ticket, self._worker, request, limits=self._limits, until=until, **values)
        )
        try:
            async with asyncio.timeout(seconds):
                entered = await asyncio.shield(entering)
            await self._check_open()
            job = entered
        except TimeoutError:
            pass
        finally:
            if job is None:
                # Who asked is gone, or is told that nothing is sent.
                self._apart(self._take_back(entering, ticket))
        if job is None:
            raise Refused(Reason.LEDGER_SLOW, {"seconds": f"{seconds:g}"})
        return job

    async def _take_back(self, entering: asyncio.Task[Job | None], ticket: str) -> None:
        await asyncio.wait([entering])
        if not isinstance(entering.exception(), Busy):
            await self._ledger.cancel(ticket, Reason.LEFT)

    def _apart(self, act: Coroutine[Any, Any, _Result]) -> asyncio.Task[_Result]:
        """A task that goes on when whoever began it is gone."""
        task = asyncio.create_task(act)
        self._entering.add(task)
        task.add_done_callback(self._entering.discard)
        return task

    async def _miss(self, job: Job) -> Job:
        """A clip whose file is gone is fetched again while the service may have it; else its row says so."""
        fetch = bool(job.file_id) and not job.simulated
        _log.warning("a clip's file is gone: %s", job.clip)
        await self._ledger.miss_clip(job.ticket, job.clip, fetch=fetch)
        return await self.resume(job.ticket)

    def _picture(self, job: Job) -> None:
        if job.ticket not in self._picturing:
            picturing = self._picturing[job.ticket] = asyncio.create_task(self._make_pictures(job))
            picturing.add_done_callback(lambda _: self._picturing.pop(job.ticket))

    async def _make_pictures(self, job: Job) -> None:
        # One of which no frame can be shown here is still what was paid for.
        try:
            await pictures.pictures(self.store.path(job.clip))
            return
        except pictures.NotAClip as error:
            _log.info("%s", error)
        except Exception:  # noqa: BLE001
            _log.exception("the pictures of a clip failed")
        self._unpicturable[job.ticket] = None
        _bound(self._unpicturable)

    async def _heartbeat(self) -> None:
        """Keep what is driven here, and drive on what nobody holds."""
        await self._ledger.renew(self._worker, self._driver.tickets, self._loops.health())
        if self._to_resume:
            # Not what has ended, or is driven here by now.
            waiting = await self._ledger.under_way(list(self._to_resume))
            for ticket in set(self._to_resume) - waiting | set(self._driver.tickets):
                self._to_resume.pop(ticket, None)
            await self._claim(list(self._to_resume))
        if self._take_over:
            await self._claim(None)

    async def _claim(self, only: Collection[str] | None) -> None:
        if self._closing.is_set() or only == []:
            return
        since = 0.0 if only is None else time.time()
        for job in await self._ledger.claim(self._worker, list(self._keys), only=only):
            self._to_resume.pop(job.ticket, None)
            self._driver.take(job, since=since)
            self._loops.wake("admission")

    async def refused(self) -> str:
        """What would be refused of a clip of the live service here, before it is paid; empty if nothing is."""
        return (await self._keys.client(self._keys.owner).way())[1] if self._settings.api_key else ""

    async def _tell_way(self) -> None:
        if refused := await self.refused():
            _log.warning("%s", refused)

    async def _forget_idle_keys(self) -> None:
        await self._keys.forget_idle_keys(self._pace.idle_key, self._ledger.keys_in_use)

    async def _sweep(self) -> None:
        await asyncio.to_thread(self.store.sweep_parts)
        hours = self._settings.keep_hours
        old = await self._ledger.to_forget(hours) if hours is not None else []
        for ticket in old + await self._oldest_simulated():
            await self.delete(ticket)
        if not self._swept or time.monotonic() > self._swept + self._pace.clear_away:
            # Those of a process that was killed in the middle of a deletion.
            await self._remove_erased()
            if self._swept:
                await asyncio.to_thread(self.store.clear_away, self._ledger.blocking.unnamed)
            self._swept = time.monotonic()

    async def _remove_erased(self, ticket: str | None = None) -> None:
        for erased in await self._ledger.erased(ticket):
            await asyncio.to_thread(self.store.remove, *erased)
            await self._ledger.clear(erased[0])

    async def _oldest_simulated(self) -> list[str]:
        """The tickets of simulated jobs beyond what they may keep."""
        jobs = await self._ledger.simulated()
        sizes = accumulate(await asyncio.to_thread(lambda: [self.store.size(job) for job in jobs]))
        return [job.ticket for job, size in zip(jobs, sizes, strict=True) if size > self._simulated_bytes]


def _bound(tickets: dict[str, None]) -> None:
    for oldest in list(tickets)[:-_REMEMBERED]:
        del tickets[oldest]
