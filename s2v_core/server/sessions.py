"""Which of Gradio's sessions are in use, and what Gradio keeps of the others: nothing.

Gradio itself keeps a session for each call, and some things of it for ever; its own bound would let the first page go
before the calls of a stranger that came later.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Sessions:
    """A session is in use while a page or a stream holds it open. Of the others, the `most` last used are kept."""

    def __init__(self, forget: Callable[[str], None], *, most: int) -> None:
        self._forget, self._most = forget, most
        self._open: Counter[str] = Counter()
        self._idle: dict[str, None] = {}

    def use(self, session: str) -> None:
        if session in self._open:
            return
        self._idle.pop(session, None)
        self._idle[session] = None
        if len(self._idle) > self._most:
            self.end(next(iter(self._idle)))

    def end(self, session: str) -> None:
        if session not in self._open:
            self._idle.pop(session, None)
            self._forget(session)

    @contextmanager
    def held(self, session: str) -> Iterator[None]:
        self._open[session] += 1
        self._idle.pop(session, None)
        try:
            yield
        finally:
            self._open[session] -= 1
            if not self._open[session]:
                del self._open[session]
                self.use(session)


def bound(blocks: Any, sessions: Sessions) -> None:
    """Let `sessions` say which of the sessions of a `gr.Blocks` that is being served are kept."""
    states = blocks.app.state_holder
    states.capacity = blocks._queue.pending_messages_per_session.max_size = sys.maxsize
    # Numbers that nobody can ask for, made anew of 10,000 calls after each.
    blocks._queue.ANALYTICS_MAX_EVENTS = 0

    class Holder(type(states)):  # type: ignore[misc]
        def __getitem__(self, session: str) -> Any:
            sessions.use(session)
            return super().__getitem__(session)

    states.__class__ = Holder


def forget(blocks: Any, session: str) -> None:
    """Drop what Gradio keeps of a session that nobody uses."""
    queue, states, cancelled = blocks._queue, blocks.state_holder, blocks.app.iterators_to_reset
    if len(cancelled) > 1000:
        cancelled.clear()
    for number in queue.pending_event_ids_session.pop(session, ()):
        if event := queue.event_ids_to_events.get(number):
            event.alive = False
    kept = (states.session_data, states.time_last_used, queue.pending_messages_per_session)
    for each in (*kept, blocks.pending_streams, blocks.pending_diff_streams):
        each.pop(session, None)
