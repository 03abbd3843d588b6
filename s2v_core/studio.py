"""Drives the jobs: pay once, follow, fetch, resume, watch.

A job lives in the ledger and is driven by the process that holds its lease; everybody else watches the row.
"""

import asyncio
import hashlib
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ParamSpec, Protocol, Self, TypeVar

import httpx
from starlette.types import Receive, Scope, Send

from . import clips, wire
from .client import Client, Patience
from .errors import Failed, ImageRejected, InputRejected, Refused, Unclear, Unfinished, UnknownTicket
from .images import Photo, Source, accepted, is_link
from .jobs import UNDER_WAY, Job, Limits, Stage, State, Usual
from .ledger import GIVE_UP_SECONDS, Away, Ledger
from .settings import Settings, check_key
from .shelf import Shelf

_log = logging.getLogger(__name__)
_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

_SIMULATOR_URL = "https://simulator/minimaxi/v1"
_BEAT_SECONDS = 5.0
_LOOK_SECONDS = 0.4
_LAST_ANSWER_SECONDS = 5.0
_KEY_SECONDS = 60.0
_GIVEN_UP = "It was asked for during 24 hours; the ticket starts that again."
_SWEEP_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Service:
    """One that a click can use; `price` in thousandths of a PTC, None where only the provider knows."""

    name: str
    label: str
    price: int | None


class Simulated(Protocol):
    """The service as an ASGI app; a job on it sends nothing off this machine."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...

    def forget(self, task_id: str) -> None:
        """The task leaves the disk, and its photo, prompt and clip with it."""


class Studio:
    """An async context manager that holds the clients and runs each job as a task of its own.

    With `resume`, what other processes left behind is driven on. Clips are lent from the folder `lent`.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        simulator: Simulated,
        lent: Path | None = None,
        patience: Patience | None = None,
        limits: Limits | None = None,
        resume: bool = True,
    ) -> None:
        self.services = {"simulator": _service("simulator", _SIMULATOR_URL)}
        if settings.api_key:
            self.services["live"] = _service("live", settings.base_url)
        self._settings = settings
        self._simulator = simulator
        self._patience = patience or Patience(poll=settings.poll_seconds)
        self._limits = limits or Limits(clips_a_day=settings.clips_a_day, clips_a_visitor=settings.clips_per_visitor)
        self.shelf = Shelf(settings.data_dir, lent or settings.data_dir / "lent")
        self._resume = resume
        self._owner = secrets.token_hex(8)
        self._clients: dict[str, Client] = {}
        self._held: dict[str, float] = {}
        self._drives: dict[str, asyncio.Task[None]] = {}
        self._paying: set[asyncio.Task[Any]] = set()
        self._wanted: set[str] = set()
        self._watched: dict[str, _Watched] = {}
        self._swept = 0.0

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.shelf.make)
        self._ledger = await asyncio.to_thread(Ledger, self._settings.ledger_url)
        poll = min(self._patience.poll, self._settings.simulator_seconds / 16)
        self._clients[""] = Client(
            _SIMULATOR_URL,
            "simulator",
            transport=httpx.ASGITransport(self._simulator),
            patience=replace(self._patience, poll=poll),
        )
        self._owners_key = self.hold(self._settings.api_key) if self._settings.api_key else None
        self._loops = [asyncio.create_task(self._beat()), asyncio.create_task(self._look())]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end([*self._loops, *self._drives.values()])
        if self._paying:
            await asyncio.wait(self._paying, timeout=_LAST_ANSWER_SECONDS)
        await self._end(self._paying)
        with suppress(*Away):
            await asyncio.to_thread(self._ledger.release, self._owner)
        for client in self._clients.values():
            await client.__aexit__()
        self._ledger.close()

    async def _end(self, tasks: Collection[asyncio.Task[Any]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def default_service(self) -> Service:
        return self.services.get("live", self.simulated)

    @property
    def simulated(self) -> Service:
        """What costs nothing and asks nobody."""
        return self.services["simulator"]

    @property
    def live(self) -> Service:
        """What a key pays for here, the owner's or a visitor's own."""
        return _service("live", self._settings.base_url)

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

        Raises `InputRejected` or `SettingsError` (the key) before anything is sent.
        """
        prompt = wire.check_prompt(prompt)
        subject = await accepted(photo)
        chosen = self.live if key else self._service(service)
        fingerprint = self.hold(key) if key else self._owners_key if chosen.name == "live" else ""
        visitor = self._visitor(visitor)
        name = subject if isinstance(subject, str) else await asyncio.to_thread(self.shelf.keep, subject.jpeg)
        content = subject if isinstance(subject, str) else hashlib.sha256(subject.jpeg).hexdigest()
        asked = (chosen.name, fingerprint or "", visitor, content, prompt, str(prompt_optimizer))
        ticket = "s2v_" + secrets.token_urlsafe(16)
        entered = await self._insist(
            self._ledger.enter,
            ticket,
            self._owner,
            self._ledger.fingerprint(*asked),
            service=chosen.name,
            provider=chosen.label,
            key=fingerprint,
            payer="nobody" if chosen.name == "simulator" else "visitor" if key else "owner",
            visitor=visitor,
            photo=name,
            prompt=prompt,
            prompt_optimizer=prompt_optimizer,
            amount=chosen.price,
        )
        if entered != ticket and name != subject:
            await asyncio.to_thread(self.shelf.path(name).unlink)
        elif entered == ticket:
            self._drive(ticket)
        return await self.job(entered)

    async def job(self, ticket: str) -> Job:
        """Raises `UnknownTicket`."""
        job = await asyncio.to_thread(self._ledger.job, ticket)
        if job is None:
            raise UnknownTicket("There is no such ticket here.")
        return job

    async def jobs(self) -> list[Job]:
        return await asyncio.to_thread(self._ledger.jobs)

    async def watch(self, ticket: str) -> AsyncIterator[Job]:
        """The job now, at each change and at least once a second, until it has ended; from any process.

        Raises `UnknownTicket`.
        """
        job = await self.job(ticket)
        watched = self._watched.setdefault(ticket, _Watched(job))
        watched.watchers += 1
        try:
            while True:
                yield job
                if job.state not in UNDER_WAY:
                    return
                with suppress(TimeoutError):
                    await asyncio.wait_for(watched.changed.wait(), 1.0)
                job = watched.now()
        finally:
            watched.watchers -= 1
            if not watched.watchers:
                self._watched.pop(ticket, None)

    async def cancel(self, ticket: str) -> Job:
        """Only what is still queued; else the job goes on as it was. Raises `UnknownTicket`."""
        await self._insist(self._ledger.cancel, ticket)
        return await self.job(ticket)

    async def fetch(self, ticket: str) -> Job:
        """Drive a job on that nobody drives, however old it is. Raises `UnknownTicket`."""
        job = await self.job(ticket)
        if job.state in UNDER_WAY:
            self._wanted.add(ticket)
            await self._claim([ticket])
        return await self.job(ticket)

    async def delete(self, ticket: str) -> Job:
        """Photo, prompt, clip and pictures leave the disk at once, once the job has ended. Raises `UnknownTicket`."""
        await self.job(ticket)
        if erased := await self._insist(self._ledger.erase, ticket):
            await asyncio.to_thread(self.shelf.remove, erased)
        return await self.job(ticket)

    def photo(self, job: Job) -> Path | str:
        """Where the JPEG lies that is sent, or the link that is passed on."""
        return job.photo if is_link(job.photo) else self.shelf.path(job.photo)

    async def left_today(self, visitor: str = "") -> int:
        """Clips that can still be paid with the owner's key today, by this visitor."""
        left = self._limits.clips_a_day - await asyncio.to_thread(self._ledger.used_today)
        if self._limits.clips_a_visitor is not None:
            used = await asyncio.to_thread(self._ledger.used_today, self._visitor(visitor))
            left = min(left, self._limits.clips_a_visitor - used)
        return max(0, left)

    @property
    def a_day(self) -> int:
        """Clips a day that one visitor can have at the owner's cost."""
        most = self._limits.clips_a_visitor
        return self._limits.clips_a_day if most is None else min(most, self._limits.clips_a_day)

    async def usual(self, job: Job) -> Usual | None:
        """How long this installation's clips of the same provider took; None while there are too few."""
        return Usual.of(await asyncio.to_thread(self._ledger.durations, job.provider))

    def hold(self, key: str) -> str:
        """Take a key into memory, for as long as a job needs it; its fingerprint. Raises `SettingsError`."""
        check_key(key)
        fingerprint = self._ledger.fingerprint(key)
        self._held[fingerprint] = time.monotonic()
        if fingerprint not in self._clients:
            self._clients[fingerprint] = Client(self._settings.base_url, key, patience=self._patience)
        return fingerprint

    def _service(self, name: str | None) -> Service:
        if name is None:
            return self.default_service
        if name not in self.services:
            raise InputRejected(f"There is no {name} service here: the live one needs a key.")
        return self.services[name]

    def _visitor(self, visitor: str) -> str:
        return self._ledger.fingerprint("visitor", visitor)[:32] if visitor else ""

    def _drive(self, ticket: str, *, since: float = 0.0) -> None:
        if ticket not in self._drives:
            drive = self._drives[ticket] = asyncio.create_task(self._run(ticket, since))
            drive.add_done_callback(lambda _: self._drives.pop(ticket))

    async def _run(self, ticket: str, since: float) -> None:
        job = await self._insist(self._ledger.job, ticket)
        while job and job.state is State.QUEUED:
            job = await self._insist(self._ledger.admit, ticket, self._owner, self._limits)
            if job and job.state is State.SENDING:
                # Reached once in a job's life: nobody else finds a row of ours in this state and sends it.
                job = await self._pay(job)
            elif job and job.state is State.QUEUED:
                await asyncio.sleep(1.0)
        steps = {State.RENDERING: self._follow, State.FETCHING: self._bring}
        while job and (step := steps.get(job.state)):
            if job.now > max(since, job.queued) + GIVE_UP_SECONDS:
                await self._insist(self._ledger.advance, ticket, self._owner, waits=_GIVEN_UP)
                return
            if not await step(job):
                return
            job = await self._insist(self._ledger.job, ticket)

    async def _pay(self, job: Job) -> Job | None:
        # A task of its own, so that who stops the drive does not stop the payment.
        payment = asyncio.create_task(self._submit(job))
        self._paying.add(payment)
        payment.add_done_callback(self._paying.discard)
        await asyncio.shield(payment)
        return await self._insist(self._ledger.job, job.ticket)

    async def _submit(self, job: Job) -> None:
        try:
            subject = job.photo if is_link(job.photo) else await asyncio.to_thread(self._photo, job)
            task_id = await self._clients[job.key].submit(subject, job.prompt, prompt_optimizer=job.prompt_optimizer)
        except Unclear as error:
            await self._insist(self._ledger.end_submit, job.ticket, State.UNKNOWN, error.what, error.advice)
        except (Refused, InputRejected) as error:
            await self._insist(self._ledger.end_submit, job.ticket, State.REFUSED, error.what, error.advice)
        else:
            # In the log too, so that a person can find it if the ledger stays away.
            _log.info("task %s begins", task_id)
            await self._insist(self._ledger.record_task, job.ticket, self._owner, task_id)

    async def _follow(self, job: Job) -> bool:
        """Ask until there is a file, or the patience of this round is over; False where the job is another's by now."""
        client = self._clients[job.key]
        left = client.patience.watch - (job.now - job.began[Stage.QUEUE])
        patience = client.patience
        if left > 0:
            patience = replace(patience, watch=left)
        else:
            patience = replace(patience, poll=patience.overdue, slow_poll=2 * patience.overdue, watch=GIVE_UP_SECONDS)
        shown, file_id = (job.status, job.waits), ""
        try:
            async for task in client.watch(job.task_id, patience=patience):
                if (task.status, "") != shown and not await self._advance(job, status=task.status, waits=""):
                    return False
                shown, file_id = (task.status, ""), task.file_id
        except Failed as error:
            return await self._advance(job, state=State.FAILED, what=error.what, advice=error.advice)
        except Unfinished as error:
            return await self._wait(job, error)
        return await self._advance(job, state=State.FETCHING, file_id=file_id)

    async def _bring(self, job: Job) -> bool:
        name = self.shelf.new_clip()
        path = self.shelf.path(name)
        try:
            await self._clients[job.key].fetch(job.file_id, path, task_id=job.task_id)
        except Unfinished as error:
            return await self._wait(job, error)
        # One of which no frame can be shown here is still what was paid for.
        with suppress(clips.NotAClip, OSError):
            await asyncio.to_thread(clips.picture, path)
        if await self._advance(job, state=State.DONE, clip=name):
            if job.service == "simulator":
                await asyncio.to_thread(self._simulator.forget, job.task_id)
            return True
        # Another process's by now; or ours, written by a commit whose answer was lost.
        now = await self._insist(self._ledger.job, job.ticket)
        if now and now.clip != name:
            await asyncio.to_thread(self.shelf.remove, replace(job, clip=name, photo=""))
        return False

    async def _wait(self, job: Job, error: Unfinished) -> bool:
        held = await self._advance(job, waits=f"{error.what} It is asked for again by itself.")
        await asyncio.sleep(self._patience.overdue)
        return held

    async def _advance(self, job: Job, **values: Any) -> bool:
        return await self._insist(self._ledger.advance, job.ticket, self._owner, **values)

    async def _insist(
        self, act: Callable[_Arguments, _Result], *arguments: _Arguments.args, **named: _Arguments.kwargs
    ) -> _Result:
        """Off the event loop, and again until the ledger is there."""
        while True:
            try:
                return await asyncio.to_thread(act, *arguments, **named)
            except Away as error:
                _log.warning("the ledger is away (%s)", type(error).__name__)
                await asyncio.sleep(1.0)

    def _photo(self, job: Job) -> Photo:
        try:
            return Photo(self.shelf.path(job.photo).read_bytes(), 0, 0)
        except OSError:
            raise ImageRejected("The photo is no longer here.") from None

    async def _beat(self) -> None:
        """Keep what is driven here, and drive on what nobody holds."""
        while True:
            try:
                await asyncio.to_thread(self._ledger.renew, self._owner, list(self._drives))
                await self._claim(list(self._wanted))
                if self._resume:
                    await self._claim(None)
                    await asyncio.to_thread(self._sweep)
                await self._let_go()
            except Away as error:
                _log.warning("the ledger is away (%s)", type(error).__name__)
            await asyncio.sleep(_BEAT_SECONDS)

    async def _claim(self, only: Collection[str] | None) -> None:
        since = 0.0 if only is None else time.time()
        for ticket in await asyncio.to_thread(self._ledger.claim, self._owner, list(self._clients), only=only):
            self._wanted.discard(ticket)
            self._drive(ticket, since=since)

    async def _let_go(self) -> None:
        """A visitor's key that no job needs any more leaves the memory."""
        kept = {"", self._owners_key}
        idle = {key for key, at in self._held.items() if time.monotonic() - at > _KEY_SECONDS} - kept
        if idle:
            idle -= await asyncio.to_thread(self._ledger.keys_in_use)
        # Held again while the ledger was looked at?
        for key in [key for key in idle if time.monotonic() - self._held[key] > _KEY_SECONDS]:
            del self._held[key]
            await self._clients.pop(key).__aexit__()

    def _sweep(self) -> None:
        self.shelf.sweep_parts()
        if self._settings.keep_hours is not None:
            for job in self._ledger.forget(self._settings.keep_hours):
                self.shelf.remove(job)
        if time.monotonic() > self._swept + _SWEEP_SECONDS or not self._swept:
            self.shelf.sweep_orphans(self._ledger.files())
            self._swept = time.monotonic()

    async def _look(self) -> None:
        """One look at the ledger for all who watch."""
        looked = time.monotonic()
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            began = time.monotonic()
            if self._watched:
                try:
                    # Two seconds more, for a row that was being written when the last look was taken.
                    span = began - looked + 2.0
                    jobs = await asyncio.to_thread(self._ledger.changed, list(self._watched), span)
                except Away:
                    continue
                for job in jobs:
                    if watched := self._watched.get(job.ticket):
                        watched.see(job)
            looked = began


class _Watched:
    """A row as it was seen last, for all who watch it here."""

    def __init__(self, job: Job) -> None:
        self.watchers = 0
        self.changed = asyncio.Event()
        self._job, self._at = job, time.monotonic()

    def see(self, job: Job) -> None:
        if job.changed != self._job.changed:
            self._job, self._at = job, time.monotonic()
            self.changed.set()
            self.changed = asyncio.Event()

    def now(self) -> Job:
        return replace(self._job, now=self._job.now + time.monotonic() - self._at)


def _service(name: str, base_url: str) -> Service:
    return Service(name, wire.provider(base_url), wire.price(base_url))
