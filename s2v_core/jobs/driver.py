"""The life of one job, top to bottom: wait for a turn, pay once, follow the task, fetch the clip.

A job is driven by the process that holds its lease. Up to the task's id everything is done once and never again; after
it everything is free reading, and is done again until it succeeds.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Protocol

from starlette.types import Receive, Scope, Send

from ..client import Timing
from ..errors import ChargeUnknown, Failed, ImageRejected, InputRejected, NotDownloaded, Refused, S2VError
from ..photo.prepare import Photo, PublicLink, is_link
from ..reasons import Facts, Reason
from .async_ledger import AsyncLedger
from .model import GIVE_UP_SECONDS, Job, Limits, Stage, State
from .services import KeyRing
from .store import FileStore

_log = logging.getLogger(__name__)


class Simulated(Protocol):
    """The service as an ASGI app; a job on it sends nothing off this machine."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...

    def forget(self, task_id: str) -> None:
        """The task leaves the disk, and its photo, prompt and clip with it."""


class Driver:
    """Drives the jobs of this process, which the ledger calls `worker`; once `closing` is set nothing more is paid.

    `fetched` hears of each clip that is here.
    """

    def __init__(
        self, ledger: AsyncLedger, keys: KeyRing, store: FileStore, simulator: Simulated,
        *, worker: str, limits: Limits, timing: Timing, closing: threading.Event, fetched: Callable[[Job], None],
    ) -> None:  # fmt: skip
        self._ledger, self._keys, self._store, self._simulator = ledger, keys, store, simulator
        self._worker, self._limits, self._timing = worker, limits, timing
        self._closing, self._fetched = closing, fetched
        # Only what was taken here is admitted: a row whose click was given up is in the queue, too, for a moment.
        self._queued: set[str] = set()
        self._drives: dict[str, asyncio.Task[None]] = {}
        self._payments: dict[str, asyncio.Task[None]] = {}
        self._admission: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._admission.set_result(None)

    @property
    def tickets(self) -> list[str]:
        """Of what is driven here."""
        return [*self._queued, *self._payments, *self._drives]

    def take(self, job: Job, *, since: float = 0.0) -> None:
        """Drive a job on from where it stands; its 24 hours begin at its click, or at `since`."""
        if job.state is State.QUEUED:
            self._queued.add(job.ticket)
        elif job.ticket not in self._drives:
            drive = self._drives[job.ticket] = asyncio.create_task(self._drive(job.ticket, since))
            drive.add_done_callback(lambda _: self._drives.pop(job.ticket))

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

    async def admit(self) -> None:
        """One look at the queue for all who wait in it."""
        if self._queued and not self._closing.is_set():
            # A task of its own: who stops the rest does not stop it between an admission and its payment.
            self._admission = asyncio.create_task(self._admit())
            await asyncio.shield(self._admission)

    async def _admit(self) -> None:
        asked = list(self._queued)
        admitted, waiting = await self._ledger.admit(self._worker, asked, self._limits)
        for job in admitted:
            if job.state is State.SENDING:
                # Reached once in a job's life: nobody else finds a row of ours in this state and sends it.
                self._payments[job.ticket] = asyncio.create_task(self._pay(job))
        self._queued -= set(asked) - waiting

    async def _pay(self, job: Job) -> None:
        try:
            now = await self._send(job)
            if now and not self._closing.is_set():
                self.take(now)
        finally:
            del self._payments[job.ticket]

    async def _send(self, job: Job) -> Job | None:
        if self._closing.is_set() or job.key not in self._keys:
            return await self._ledger.withdraw(job.ticket)
        try:
            subject = PublicLink(job.photo) if is_link(job.photo) else await asyncio.to_thread(self._photo, job)
            client = self._keys.client(job.key)
            task_id = await client.send(subject, job.prompt, prompt_optimizer=job.prompt_optimizer)
        except ChargeUnknown as error:
            return await self._ledger.end_submit(job.ticket, State.UNKNOWN, *_why(error))
        except (Refused, InputRejected) as error:
            return await self._ledger.end_submit(job.ticket, State.REFUSED, *_why(error))
        # Whether it was sent is open, and that must be told.
        except Exception:  # noqa: BLE001
            _log.exception("a submit failed")
            return await self._ledger.end_submit(job.ticket, State.UNKNOWN, Reason.SUBMIT_FAULT, {})
        # In the log too, so that a person can find it if the ledger stays away.
        _log.info("task %s begins", task_id)
        return await self._ledger.record_task(job.ticket, self._worker, task_id)

    async def _drive(self, ticket: str, since: float) -> None:
        trouble = None
        while True:
            try:
                if trouble:
                    await self._ledger.advance(ticket, self._worker, trouble)
                return await self._steps(ticket, since)
            # A drive that ended here would leave a paid job to nobody.
            except Exception:  # noqa: BLE001
                trouble = Reason.FAULT
                _log.exception("the drive of a job failed, and is tried again")
            await asyncio.sleep(self._timing.overdue)

    async def _steps(self, ticket: str, since: float) -> None:
        steps = {State.RENDERING: self._follow, State.FETCHING: self._fetch}
        while (job := await self._ledger.held(ticket, self._worker)) and (step := steps.get(job.state)):
            if job.now > max(since, job.queued) + GIVE_UP_SECONDS:
                await self._advance(job, Reason.WAITING_TICKET)
                return
            await step(job)

    async def _follow(self, job: Job) -> None:
        """Ask until there is a file, or this round is over."""
        client = self._keys.client(job.key)
        timing = client.timing
        left = timing.watch - (job.now - job.began[Stage.QUEUE])
        if left > 0:
            timing = replace(timing, watch=left)
        else:
            timing = replace(timing, poll=timing.overdue, slow_poll=2 * timing.overdue, watch=GIVE_UP_SECONDS)
        shown, file_id = (job.status, job.waits), ""
        try:
            async for task in client.watch(job.task_id, timing=timing):
                if (task.status, "") != shown and not await self._advance(job, status=task.status):
                    return
                shown, file_id = (task.status, ""), task.file_id
        except Failed as error:
            await self._advance(job, *_why(error), state=State.FAILED)
        except NotDownloaded as error:
            await self._wait(job, error)
        else:
            await self._advance(job, state=State.FETCHING, file_id=file_id)

    async def _fetch(self, job: Job) -> None:
        """Save the clip, and only then look at it: `done` waits for nothing but the file."""
        with self._store.new_clip() as name:
            try:
                await self._keys.client(job.key).fetch(job.file_id, self._store.path(name), task_id=job.task_id)
            except NotDownloaded as error:
                await self._wait(job, error)
                return
            now = await self._ledger.record_clip(job.ticket, name)
        if now and now.clip == name:
            self._fetched(now)
            if job.simulated:
                await asyncio.to_thread(self._simulator.forget, job.task_id)
        elif now and (now.clip or now.deleted):
            await asyncio.to_thread(self._store.remove, job.ticket, "", name)

    async def _wait(self, job: Job, error: NotDownloaded) -> None:
        await self._advance(job, *_why(error))
        await asyncio.sleep(self._timing.overdue)

    async def _advance(self, job: Job, reason: Reason | None = None, facts: Facts | None = None, **values: Any) -> bool:
        return await self._ledger.advance(job.ticket, self._worker, reason, facts, **values)

    def _photo(self, job: Job) -> Photo:
        try:
            return Photo(self._store.path(job.photo).read_bytes())
        except OSError:
            raise ImageRejected(Reason.PHOTO_GONE) from None


def _why(error: S2VError) -> tuple[Reason, Facts]:
    return error.reason or Reason.FAULT, error.facts


async def _end(tasks: Iterable[asyncio.Future[None]]) -> None:
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
