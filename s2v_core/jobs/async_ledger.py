"""The ledger, awaited: off the event loop, and again for what must be written."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeVar

from ..errors import DatabaseUnavailable
from .ledger import Ledger

_log = logging.getLogger(__name__)
_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")

_AGAIN_SECONDS = 1.0
_LAST_SECONDS = 0.5


def _asked(
    act: Callable[Concatenate[Ledger, _Given], _Result],
) -> Callable[Concatenate["AsyncLedger", _Given], Coroutine[Any, Any, _Result]]:
    """Raises `DatabaseUnavailable`."""

    async def call(self: "AsyncLedger", /, *given: _Given.args, **named: _Given.kwargs) -> _Result:
        if self._closed:
            raise DatabaseUnavailable("closed")
        running = self._threads.submit(partial(act, self.blocking, *given, **named))
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        return await asyncio.wrap_future(running)

    return call


def _insisted(
    act: Callable[Concatenate[Ledger, _Given], _Result],
) -> Callable[Concatenate["AsyncLedger", _Given], Coroutine[Any, Any, _Result]]:
    """Again until the database is there."""
    asked = _asked(act)

    async def call(self: "AsyncLedger", /, *given: _Given.args, **named: _Given.kwargs) -> _Result:
        while True:
            try:
                return await asked(self, *given, **named)
            except DatabaseUnavailable as error:
                if self._closed:
                    raise
                _log.warning("the ledger is away (%s)", error.cause)
                await asyncio.sleep(_AGAIN_SECONDS)

    return call


class AsyncLedger:
    """The `blocking` one's methods. What a person or a loop asks may fail; what happened to a job must be written."""

    def __init__(self, ledger: Ledger) -> None:
        self.blocking = ledger
        # Its own: behind a database that says nothing neither photos nor uploads wait.
        self._threads = ThreadPoolExecutor(8, "ledger")
        self._running: set[Future[Any]] = set()
        self._closed = False

    def close(self) -> None:
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        # A connection that comes back after the engine has gone is closed by nobody.
        wait(set(self._running), timeout=_LAST_SECONDS)
        self.blocking.close()

    job = _asked(Ledger.job)
    jobs = _asked(Ledger.jobs)
    changed = _asked(Ledger.changed)
    under_way = _asked(Ledger.under_way)
    used_today = _asked(Ledger.used_today)
    durations = _asked(Ledger.durations)
    spent_today = _asked(Ledger.spent_today)
    keys_in_use = _asked(Ledger.keys_in_use)
    health = _asked(Ledger.health)
    renew = _asked(Ledger.renew)
    release = _asked(Ledger.release)
    claim = _asked(Ledger.claim)
    simulated = _asked(Ledger.simulated)
    to_forget = _asked(Ledger.to_forget)
    erased = _asked(Ledger.erased)

    enter = _insisted(Ledger.enter)
    admit = _insisted(Ledger.admit)
    withdraw = _insisted(Ledger.withdraw)
    record_task = _insisted(Ledger.record_task)
    end_submit = _insisted(Ledger.end_submit)
    held = _insisted(Ledger.held)
    advance = _insisted(Ledger.advance)
    record_clip = _insisted(Ledger.record_clip)
    miss_clip = _insisted(Ledger.miss_clip)
    cancel = _insisted(Ledger.cancel)
    erase = _insisted(Ledger.erase)
    clear = _insisted(Ledger.clear)
