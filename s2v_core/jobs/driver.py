"""The life of one job, top to bottom: pay once, follow the task, fetch the clip.

Until the task's id is known, nothing that may have been charged is repeated. After it everything is free
reading, and is repeated until it succeeds.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..client import Timing
from ..errors import ChargeUnknown, DatabaseUnavailable, Failed, InputRejected, NotDownloaded, Refused, S2VError
from ..photo.prepare import Photo, PublicLink, is_link
from ..reasons import Facts, Reason
from .async_ledger import AsyncLedger
from .model import GIVE_UP_SECONDS, Job, Stage, State
from .services import KeyRing, Simulated
from .store import FileStore

_log = logging.getLogger(__name__)


class Driver:
    """Drives the jobs that the ledger calls the `worker`'s; once `closing` is set nothing more is paid.

    `fetched` hears of each clip that is here.
    """

    def __init__(
        self, ledger: AsyncLedger, keys: KeyRing, store: FileStore, simulator: Simulated,
        *, worker: str, timing: Timing, closing: threading.Event, fetched: Callable[[Job], None],
    ) -> None:  # fmt: skip
        self._ledger, self._keys, self._store, self._simulator = ledger, keys, store, simulator
        self._worker, self._timing = worker, timing
        self._closing, self._fetched = closing, fetched

    async def pay(self, job: Job) -> Job | None:
        """Send it, once, or put it back into the queue; the job as its row is then."""
        if self._closing.is_set() or job.key not in self._keys:
            return await self._ledger.withdraw(job.ticket)
        try:
            subject = await self._subject(job)
            client = self._keys.client(job.key)
            task_id = await client.send(subject, job.prompt, prompt_optimizer=job.prompt_optimizer)
        except DatabaseUnavailable:
            # The photo lies there: nothing was sent.
            return await self._ledger.withdraw(job.ticket)
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

    async def _subject(self, job: Job) -> Photo | PublicLink:
        if is_link(job.photo):
            return PublicLink(job.photo)
        return await self._store.run(self._store.photo, job.photo)

    async def bring(self, ticket: str, since: float) -> None:
        """From the task's id to the clip. It is asked for during 24 hours from the click, or from `since`."""
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
            if job.simulated and not await asyncio.to_thread(self._simulator.knows, job.task_id):
                await self._simulate_again(job)
                continue
            await step(job)

    async def _simulate_again(self, job: Job) -> None:
        """The task was another machine's simulator's, which has died; it was free, and so is this one."""
        try:
            subject = await self._subject(job)
        except InputRejected as error:
            await self._advance(job, *_why(error), state=State.FAILED)
            return
        client = self._keys.client(job.key)
        task_id = await client.send(subject, job.prompt, prompt_optimizer=job.prompt_optimizer)
        await self._advance(job, state=State.RENDERING, task_id=task_id)

    async def _follow(self, job: Job) -> None:
        """Ask until there is a file, or this round is over."""
        client = self._keys.client(job.key)
        timing, elapsed = client.timing, job.now - job.began[Stage.QUEUE]
        if elapsed >= timing.watch:
            poll, slow_poll = timing.overdue, 2 * timing.overdue
            timing, elapsed = replace(timing, poll=poll, slow_poll=slow_poll, ready=0.0, watch=GIVE_UP_SECONDS), 0.0
        elif timing.ready is None:
            timing = await self._learned(timing, job.provider)
        shown, file_id = (job.status, job.waits), ""
        try:
            async for task in client.watch(job.task_id, timing=timing, elapsed=elapsed):
                if (task.status, "") != shown and not await self._advance(job, status=task.status):
                    return
                shown, file_id = (task.status, ""), task.file_id
        except Failed as error:
            await self._advance(job, *_why(error), state=State.FAILED)
        except NotDownloaded as error:
            await self._wait(job, error)
        else:
            await self._advance(job, state=State.FETCHING, file_id=file_id)

    async def _learned(self, timing: Timing, provider: str) -> Timing:
        try:
            return timing.learned(await self._ledger.durations(provider))
        except DatabaseUnavailable:
            return timing

    async def _fetch(self, job: Job) -> None:
        """Save the clip, and only then look at it: `done` waits for nothing but the file."""
        with self._store.new_clip() as name:
            try:
                await self._keys.client(job.key).fetch(job.file_id, self._store.path(name), task_id=job.task_id)
            except NotDownloaded as error:
                await self._wait(job, error)
                return
            came, served = await self._store.run(self._store.mark, name, job)
            file = self._store.path(name)
            now = await self._ledger.record_clip(job.ticket, name, came=came, served=served, file=file)
        if now and now.clip == name:
            self._fetched(now)
            if job.simulated:
                await asyncio.to_thread(self._simulator.forget, job.task_id)
        elif now and (now.clip or now.deleted):
            await self._store.run(self._store.remove, job.ticket, "", name)

    async def _wait(self, job: Job, error: NotDownloaded) -> None:
        await self._advance(job, *_why(error))
        await asyncio.sleep(self._timing.overdue)

    async def _advance(self, job: Job, reason: Reason | None = None, facts: Facts | None = None, **values: Any) -> bool:
        return await self._ledger.advance(job.ticket, self._worker, reason, facts, **values)


def _why(error: S2VError) -> tuple[Reason, Facts]:
    return error.reason or Reason.FAULT, error.facts
