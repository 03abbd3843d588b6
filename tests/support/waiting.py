"""Waiting for what a test can only ask for again and again."""

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any

# How long things take is measured elsewhere: only what never comes takes this long.
SECONDS = 60.0


async def until(there: Callable[[], Any], what: str, *, seconds: float = SECONDS, every: float = 0.01) -> Any:
    """The first true value of `there`, which may be a coroutine function; `what` completes "waited until …"."""
    deadline = time.monotonic() + seconds
    while True:
        found = there()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain until {what}"
        await asyncio.sleep(every)


def wait_until(there: Callable[[], Any], what: str, *, seconds: float = SECONDS) -> Any:
    """As `until`, where no event loop runs."""
    deadline = time.monotonic() + seconds
    while not (found := there()):
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain until {what}"
        time.sleep(0.02)
    return found
