"""From a click to a row: within a bounded time, or not at all."""

import asyncio
import hashlib
import threading
import time
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from ..errors import Busy, DatabaseUnavailable, Refused
from ..photo.prepare import Photo, PublicLink
from ..reasons import Reason
from .async_ledger import AsyncLedger
from .model import Job, Limits, new_ticket
from .services import KeyRing, Service
from .store import FileStore

_Result = TypeVar("_Result")


class Intake:
    """Takes nothing once `closing` is set, and nothing simulated where less than `free_bytes` are free."""

    def __init__(
        self, ledger: AsyncLedger, keys: KeyRing, store: FileStore,
        *, worker: str, limits: Limits, seconds: float, free_bytes: int, closing: threading.Event,
    ) -> None:  # fmt: skip
        self._ledger, self._keys, self._store = ledger, keys, store
        self._worker, self._limits, self._seconds = worker, limits, seconds
        self._free_bytes, self._closing = free_bytes, closing
        self._entering: set[asyncio.Task[Any]] = set()

    async def take(
        self, service: Service, own: str | None, visitor: str,
        subject: Photo | PublicLink, prompt: str, *, prompt_optimizer: bool, ticket: str = "",
    ) -> tuple[Job, bool]:  # fmt: skip
        """The job, and whether it is new: else the same request was under way, with a ticket of its own.

        Raises `Refused`, or what `KeyRing.key_for` raises.
        """
        self._check_open()
        if service.simulated:
            await self._check_disk()
        paid = service.columns(self._keys.key_for(service.payer, own))
        promised, ticket, job = bool(ticket), ticket or new_ticket(), None
        if isinstance(subject, Photo):
            try:
                photo = await self._store.run(self._store.keep, subject.jpeg)
            except DatabaseUnavailable:
                # There is no row, and never will be.
                raise Refused(Reason.LEDGER_SLOW, {"seconds": f"{self._seconds:g}"}) from None
            content = hashlib.sha256(subject.jpeg).hexdigest()
        else:
            photo = content = str(subject)
        asked = (paid["service"], paid["key"], visitor, content, prompt, str(prompt_optimizer))
        values = {"visitor": visitor, "photo": photo, "prompt": prompt, "prompt_optimizer": prompt_optimizer}
        try:
            job = await self._enter(
                ticket, self._ledger.blocking.fingerprint(*asked), promised=promised, **paid | values
            )
        finally:
            new = job is not None and job.ticket == ticket
            if not new and isinstance(subject, Photo):
                # Where it cannot be, it goes as one that no row names.
                with suppress(DatabaseUnavailable):
                    await self._store.run(self._store.discard, photo)
        if new and own:
            # Until it was entered, no job needed the key: it may have been forgotten meanwhile.
            self._keys.remember_key(own)
        return job, new

    async def stop(self, seconds: float) -> None:
        """What comes too late is entered first, and then taken back."""
        until = time.monotonic() + seconds
        while self._entering and (left := until - time.monotonic()) > 0:
            await asyncio.wait(self._entering, timeout=left)
        for task in (late := list(self._entering)):
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    def _check_open(self) -> None:
        if self._closing.is_set():
            raise Refused(Reason.STOPPING)

    async def _check_disk(self) -> None:
        if await self._store.run(self._store.free) < self._free_bytes:
            raise Refused(Reason.NO_ROOM, {"gigabytes": f"{self._free_bytes / 1e9:g}"})

    async def _enter(self, ticket: str, request: str, **values: Any) -> Job:
        self._check_open()
        until, entered = time.monotonic() + self._seconds, None
        entering = self._apart(
            self._ledger.enter(ticket, self._worker, request, limits=self._limits, until=until, **values)
        )
        try:
            # Not `wait_for`, which on Python 3.11 loses a cancellation.
            await asyncio.wait([entering], timeout=self._seconds)
            self._check_open()
            entered = entering.result() if entering.done() else None
        finally:
            if entered is None:
                # Who asked is gone, or is told that nothing is sent.
                self._apart(self._take_back(entering, ticket))
        if entered is None:
            raise Refused(Reason.LEDGER_SLOW, {"seconds": f"{self._seconds:g}"})
        return entered

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
