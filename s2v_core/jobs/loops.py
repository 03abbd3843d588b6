"""What a process does again and again beside its jobs; a loop answers for its failures and never ends by itself."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

from ..errors import DatabaseUnavailable

_log = logging.getLogger(__name__)


def sentences(health: Iterable[tuple[str, str, float, str]]) -> list[str]:
    """How `Ledger.health` reads: a line for each process."""
    lines: dict[str, list[str]] = {}
    for worker, name, ago, trouble in health:
        lines.setdefault(worker, []).append(f"{name} {ago:.0f} s ago" + (f" ({trouble})" if trouble else ""))
    return [f"Process {worker}: {', '.join(loops)}." for worker, loops in lines.items()]


class Loops:
    """Tasks of one event loop."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []
        self._woken: dict[str, asyncio.Event] = {}
        self._ran: dict[str, float] = {}
        self._trouble: dict[str, str] = {}

    def start(self, name: str, seconds: float, act: Callable[[], Awaitable[object]]) -> None:
        """Call `act` so many seconds after its last end, or when it is woken, until `stop`."""
        self._woken[name], self._ran[name], self._trouble[name] = asyncio.Event(), time.monotonic(), ""
        self._tasks.append(asyncio.create_task(self._run(name, seconds, act), name=name))

    def wake(self, name: str) -> None:
        self._woken[name].set()

    def health(self) -> dict[str, tuple[float, str]]:
        """Of each loop, the seconds since it last ran to its end, and its trouble since then."""
        return {name: (time.monotonic() - at, self._trouble[name]) for name, at in self._ran.items()}

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, name: str, seconds: float, act: Callable[[], Awaitable[object]]) -> None:
        while True:
            try:
                await act()
                self._ran[name], self._trouble[name] = time.monotonic(), ""
            except DatabaseUnavailable as error:
                if not self._trouble[name]:
                    _log.warning("%s: the ledger is away (%s)", name, error.cause)
                self._trouble[name] = "the ledger is away"
            # Without its loops a process lets its jobs lapse in silence.
            except Exception as error:  # noqa: BLE001
                self._trouble[name] = type(error).__name__
                _log.exception("%s failed, and is tried again", name)
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._woken[name].wait()
            self._woken[name].clear()
