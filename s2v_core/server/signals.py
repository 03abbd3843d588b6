"""The one path for SIGINT, SIGTERM and SIGHUP, in the terminal and on the page."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

AWAITED = "Stopping. A payment that was begun gets up to 8 seconds for its answer; another signal changes nothing."
SECONDS = 9.5
# The last is not there on Windows.
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")


@contextmanager
def heard(
    loop: asyncio.AbstractEventLoop,
    stop: Callable[[], object],
    *,
    awaited: str,
    end: Callable[[], int] = lambda: 1,
    seconds: float = SECONDS,
) -> Iterator[None]:
    """Within the block the first signal calls `stop` in `loop`; each writes to standard error what is `awaited`.

    If the process is still there so many `seconds` after the first, it ends with the code that `end` returns.
    """
    began = False

    def hear() -> None:
        nonlocal began
        tell(awaited)
        if not began:
            began = True
            _end_after(seconds, end)
            stop()

    before = {number: signal.getsignal(number) for number in _numbers()}
    # In another thread than the main one, and on Windows, Python's own way stays.
    with suppress(NotImplementedError, RuntimeError, ValueError):
        for number in before:
            loop.add_signal_handler(number, hear)
    try:
        yield
    finally:
        for number, handler in before.items():
            if loop.remove_signal_handler(number):
                signal.signal(number, handler)


@contextmanager
def interrupting(*, end: Callable[[], int] = lambda: 1, seconds: float = SECONDS) -> Iterator[None]:
    """Within the block the first signal raises `KeyboardInterrupt`, and more are ignored; after it they just kill."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        _set(signal.SIG_IGN)
        _end_after(seconds, end)
        raise KeyboardInterrupt

    numbers = _numbers()

    def _set(handler: Callable[[int, FrameType | None], object] | signal.Handlers) -> None:
        with suppress(ValueError):  # not in the main thread
            for number in numbers:
                signal.signal(number, handler)

    _set(interrupt)
    try:
        yield
    finally:
        _set(signal.SIG_DFL)


def tell(words: str) -> None:
    """A line on standard error, past Python's buffers, which a handler may find in use."""
    with suppress(OSError):
        os.write(2, f"{words}\n".encode(errors="replace"))


def _numbers() -> list[signal.Signals]:
    # `nohup`, or a shell that starts something in the background, has some ignored: they stay so.
    numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    return [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]


def _end_after(seconds: float, end: Callable[[], int]) -> None:
    timer = threading.Timer(seconds, lambda: os._exit(end()))
    timer.daemon = True
    timer.start()
