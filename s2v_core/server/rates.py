"""Counts what each visitor asks for within a minute, and what each has open at once."""

import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager

from ..language import gettext
from .limits import ServerLimits
from .requests import HttpRefusal


class Rates:
    """Remembers at most `limits.visitors`, and forgets those first who have been away longest."""

    def __init__(self, limits: ServerLimits) -> None:
        self._visitors = limits.visitors
        self._per_minute = {
            "upload": limits.uploads_per_minute,
            "call": limits.calls_per_minute,
            "tool call": limits.calls_per_minute,
            "error": limits.errors_per_minute,
        }
        self._places = {
            "stream": (limits.streams, "clips are being watched"),
            "heartbeat": (limits.heartbeats, "pages are open"),
            "call": (limits.concurrent_calls, "calls are running"),
            "tool call": (limits.concurrent_tool_calls, "calls are running"),
            "upload": (limits.uploads, "photos are being uploaded"),
            "photo of a tool call": (limits.uploads, "photos are being sent"),
        }
        self._others = (limits.requests, "requests are open")
        self._times: dict[tuple[str, str], deque[float]] = {}
        self._open: Counter[tuple[str, str]] = Counter()

    def count(self, kind: str, who: str) -> None:
        """Raises `HttpRefusal` if there were too many of this kind within a minute; not every kind is counted."""
        if kind not in self._per_minute:
            return
        now = time.monotonic()
        # Moved to the end, so that the first has been away longest.
        times = self._times[kind, who] = self._times.pop((kind, who), deque())
        while times and times[0] <= now - 60:
            times.popleft()
        first = next(iter(self._times))
        if len(self._times) > self._visitors or (self._times[first] and self._times[first][-1] <= now - 60):
            del self._times[first]
        if len(times) >= self._per_minute[kind]:
            made = "Your address made {count} {kind}s within a minute: wait a moment, then try again."
            raise HttpRefusal(429, made, count=len(times), kind=gettext(kind))
        times.append(now)

    @contextmanager
    def place(self, kind: str, who: str) -> Iterator[None]:
        """Raises `HttpRefusal` if too many of this kind are open; kinds without a limit of their own share one."""
        kind = kind if kind in self._places else ""
        most, what = self._places.get(kind, self._others)
        if self._open[kind, who] >= most:
            full = "{most} {what} from your address already: wait for one to end, then try again."
            raise HttpRefusal(429, full, most=most, what=gettext(what))
        self._open[kind, who] += 1
        try:
            yield
        finally:
            self._open[kind, who] -= 1
            if not self._open[kind, who]:
                del self._open[kind, who]
