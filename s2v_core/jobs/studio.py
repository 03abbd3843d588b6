"""What one can ask for of the jobs of this installation: submit, watch, cancel, resume, delete."""

import asyncio
import logging
import secrets
import threading
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Self

import httpx

from ..client import Client, Timing
from ..errors import DatabaseUnavailable, UnknownTicket
from ..photo.prepare import Photo, Source, accept_async, is_link
from ..reasons import Reason
from ..settings import Settings
from ..text import check_optimizer, check_prompt
from .async_ledger import AsyncLedger
from .driver import Driver
from .files import files_in
from .intake import Intake
from .ledger import Ledger
from .loops import Loops, sentences
from .model import UNDER_WAY, Job, Limits, Pace, State, TypicalDurations, new_ticket
from .services import SIMULATOR_URL, KeyRing, Services, Simulated
from .store import FileStore
from .upkeep import Upkeep
from .watch import Watch
from .worker import Worker

_log = logging.getLogger(__name__)

_HOUR = 3600.0


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
            per_day=settings.clips_per_day, per_visitor=settings.clips_per_visitor,
            concurrent=settings.concurrent, per_minute=settings.per_minute, waiting=settings.waiting,
        )  # fmt: skip
        self._pace = pace or Pace()
        self._simulated_bytes, self._free_bytes = simulated_bytes, free_bytes
        self._public_dir = public_dir or settings.data_dir / "public"
        self._take_over = take_over
        self._name = secrets.token_hex(8)
        # A signal sets it from another thread.
        self._closing, self._closed = threading.Event(), False

    async def __aenter__(self) -> Self:
        ledger = await asyncio.to_thread(Ledger, self._settings.ledger_url, lease=self._pace.lease)
        self._ledger = AsyncLedger(ledger)
        try:
            await self._open(ledger)
        except BaseException:
            self._ledger.close()
            raise
        return self

    async def _open(self, ledger: Ledger) -> None:
        if self._settings.ledger_risk and self._take_over:
            _log.warning("%s", self._settings.ledger_risk)
        files = files_in(self._settings.data_dir, ledger.database)
        await asyncio.to_thread(files.make, ledger.identity, ledger.unnamed)
        self.store = FileStore(files, self._public_dir)
        for line in sentences(await self._ledger.health()):
            _log.info("at work beside this one, or ended without a word. %s", line)
        poll = min(self._timing.poll, self._settings.simulator_seconds / 16)
        simulator = Client(
            SIMULATOR_URL,
            "simulator",
            transport=httpx.ASGITransport(self._simulator),
            # It is in this process, so that its every step can be seen.
            timing=replace(self._timing, poll=poll, ready=0.0),
        )
        owner = self._settings.api_key
        self._keys = KeyRing(ledger.fingerprint, self._connect, simulator=simulator, owner=owner)
        self._loops = Loops()
        self._upkeep = Upkeep(
            self._ledger, self.store, keep_hours=self._settings.keep_hours,
            simulated_bytes=self._simulated_bytes, clear_away_seconds=self._pace.clear_away,
        )  # fmt: skip
        self._intake = Intake(
            self._ledger, self._keys, self.store, worker=self._name, limits=self._limits,
            seconds=self._pace.enter, free_bytes=self._free_bytes, closing=self._closing,
        )  # fmt: skip
        driver = Driver(
            self._ledger, self._keys, self.store, self._simulator, worker=self._name, timing=self._timing,
            closing=self._closing, fetched=self._upkeep.picture,
        )  # fmt: skip
        self._worker = Worker(
            self._ledger, self._keys, driver, name=self._name, limits=self._limits,
            take_over=self._take_over, closing=self._closing, queued=lambda: self._loops.wake("admission"),
        )  # fmt: skip
        self._watch = Watch(self._ledger)
        self._loops.start("heartbeat", self._pace.heartbeat, lambda: self._worker.renew(self._loops.health()))
        self._loops.start("claim", self._pace.claim, self._worker.claim)
        self._loops.start("admission", self._pace.admission, self._worker.admit)
        self._loops.start("watch", self._pace.look, self._watch.poll_changes)
        self._loops.start("keys", self._pace.idle_key / 2, self._forget_idle_keys)
        if self._settings.api_key and self._take_over:
            self._loops.start("way", _HOUR, self._tell_way)
        if self._take_over:
            self._loops.start("sweep", self._pace.sweep, self._upkeep.sweep)

    async def __aexit__(self, *_: object) -> None:
        """Once: wait for each payment that was begun, leave the rest to who comes next."""
        if self._closed:
            return
        self._closed = True
        self.stop_admitting()
        until = time.monotonic() + self._pace.last_answer
        await self._loops.stop()
        await self._worker.stop(self._pace.last_answer)
        await self._intake.stop(max(0.5, until - time.monotonic()))
        await self._upkeep.stop()
        with suppress(DatabaseUnavailable, TimeoutError):
            async with asyncio.timeout(1.0):
                await self._ledger.release(self._name)
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
        ticket: str = "",
    ) -> Job:
        """Queue a job, or find the same one under way. A caller's own `key` makes it live, at the caller's cost.

        A new job gets the `ticket`, which is from `new_ticket` and nobody else's.

        Raises `InputRejected`, `SettingsError` (the key) or `Refused` (no more is taken) before anything is sent.
        """
        prompt, prompt_optimizer = check_prompt(prompt), check_optimizer(prompt_optimizer)
        subject = await accept_async(photo)
        chosen = self.services.own if key else self.services[service] if service else self.services.default
        job, new = await self._intake.take(
            chosen, key, self._visitor(visitor), subject, prompt, prompt_optimizer=prompt_optimizer, ticket=ticket
        )
        if new:
            self._worker.take(job)
        return job

    def new_ticket(self) -> str:
        """Of an order that is still to come."""
        return new_ticket()

    async def job(self, ticket: str) -> Job:
        """Raises `UnknownTicket`."""
        # A database cannot even be asked for some characters, which no ticket has.
        job = await self._ledger.job(ticket) if ticket.isascii() and ticket.isprintable() else None
        if job is None:
            raise UnknownTicket()
        if job.state is State.DONE and job.clip and not await self.store.run(self.store.is_kept, job.clip):
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
            await self._worker.resume(ticket)
        return await self.job(ticket)

    async def delete(self, ticket: str) -> Job:
        """Photo, prompt, clip and pictures leave the disk at once, once the job has ended. Raises `UnknownTicket`."""
        await self.job(ticket)
        await self._upkeep.delete(ticket)
        return await self.job(ticket)

    async def pictures(self, job: Job, *, wait: bool = True) -> dict[str, str]:
        """What `FileStore.pictures` has; a clip's are made now, if whoever fetched it has not come to that.

        Without `wait` it is what is there already.
        """
        return await self._upkeep.pictures(job, wait=wait)

    def photo(self, job: Job) -> Path | str:
        """Where the JPEG lies that is sent, or the link that is passed on."""
        return job.photo if is_link(job.photo) else self.store.path(job.photo)

    async def may_be_served(self, folder: str) -> bool:
        """Whether no machine has deleted what was published in this folder. Raises `DatabaseUnavailable`."""
        return await self.store.run(self.store.may_be_served, folder)

    async def left_today(self, visitor: str = "") -> int:
        """Clips that can still be paid with the owner's key today, by this visitor."""
        left = self._limits.per_day - await self._ledger.used_today()
        if self._limits.per_visitor is not None:
            used = await self._ledger.used_today(self._visitor(visitor))
            left = min(left, self._limits.per_visitor - used)
        return max(0, left)

    async def spent_today(self, key: str | None = None) -> int:
        """Thousandths of a PTC since midnight UTC, with this key or with the owner's."""
        return await self._ledger.spent_today(self._ledger.blocking.fingerprint(key) if key else self._keys.owner)

    @property
    def per_day(self) -> int:
        """Clips a day that one visitor can have at the owner's cost."""
        most = self._limits.per_visitor
        return self._limits.per_day if most is None else min(most, self._limits.per_day)

    async def typical_durations(self, job: Job) -> TypicalDurations | None:
        """How long this installation's clips of the same provider took; None while there are too few."""
        return TypicalDurations.of(await self._ledger.durations(job.provider))

    async def refused(self) -> str:
        """What would be refused of a clip of the live service here, before it is paid; empty if nothing is."""
        return (await self._keys.client(self._keys.owner).way())[1] if self._settings.api_key else ""

    def remember_key(self, key: str) -> str:
        """Take a key into memory, for as long as a job needs it; its fingerprint. Raises `SettingsError`."""
        return self._keys.remember_key(key)

    def _connect(self, key: str) -> Client:
        networks = self._settings.file_networks
        return Client(self._settings.base_url, key, timing=self._timing, file_networks=networks)

    def _visitor(self, visitor: str) -> str:
        return self._ledger.blocking.fingerprint("visitor", visitor)[:32] if visitor else ""

    async def _miss(self, job: Job) -> Job:
        """A clip whose file is gone is fetched again while the service may have it; else its row says so."""
        fetch = bool(job.file_id) and not job.simulated
        _log.warning("a clip's file is gone: %s", job.clip)
        await self._ledger.miss_clip(job.ticket, job.clip, fetch=fetch)
        return await self.resume(job.ticket)

    async def _tell_way(self) -> None:
        if refused := await self.refused():
            _log.warning("%s", refused)

    async def _forget_idle_keys(self) -> None:
        await self._keys.forget_idle_keys(self._pace.idle_key, self._ledger.keys_in_use)
