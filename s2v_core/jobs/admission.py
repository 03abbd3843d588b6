"""May a job be sent now: the caps of a day, the rates of a key, the room in the queue."""

from collections import Counter
from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy import func, select

from ..wire import DEADLINE_SECONDS
from .database import Clock, Today
from .model import GIVE_UP_SECONDS, NOT_SPENT, UNDER_WAY, Limits, State
from .schema import JOBS

YOUNG = JOBS.c.queued_at > Clock(-GIVE_UP_SECONDS)
_WAITS = sa.and_(
    JOBS.c.state.in_(UNDER_WAY),
    YOUNG,
    # The simulator has no queue of ours, and its films are work all the same. For an "or" SQLite reads all of them.
    sa.not_(sa.and_(JOBS.c.state != State.QUEUED, JOBS.c.payer != "nobody")),
    JOBS.c.leased_until > Clock(),
)
_TODAYS = (JOBS.c.payer == "owner", JOBS.c.state.not_in(NOT_SPENT), JOBS.c.sending_at >= Today())


class Full(Exception):
    """So many jobs wait already; says whose they are."""


def check_room(connection: sa.Connection, visitor: str, limits: Limits) -> None:
    """Raises `Full`."""
    if visitor and count(connection, _WAITS, JOBS.c.visitor == visitor) >= limits.waiting:
        raise Full(f"{limits.waiting} jobs from your address wait already")
    if count(connection, _WAITS) >= limits.waiting_in_all:
        raise Full(f"{limits.waiting_in_all} jobs wait here already")


def used_today(connection: sa.Connection, visitor: str | None = None) -> int:
    """Clips that were or may have been paid with the owner's key since midnight UTC, or this visitor's of those."""
    return count(connection, *_TODAYS, *([] if visitor is None else [JOBS.c.visitor == visitor]))


def obstacles(
    connection: sa.Connection, which: sa.ColumnElement[bool], limits: Limits
) -> Iterator[tuple[sa.RowMapping, State, str]]:
    """Each in its order, what becomes of it now and why; between two of them their row may be written."""
    names = (JOBS.c.ticket, JOBS.c.key, JOBS.c.payer, JOBS.c.visitor, JOBS.c.waits, which.label("mine"))
    in_line = sa.and_(JOBS.c.state == State.QUEUED, sa.or_(which, JOBS.c.leased_until > Clock()))
    rows = connection.execute(select(*names).where(in_line).order_by(JOBS.c.queued_at)).mappings().all()
    before: Counter[str] = Counter()
    for row in rows:
        state, obstacle = State.QUEUED, f"Waiting: {before[row['key']]} before it."
        if row["mine"] and (row["payer"] == "nobody" or not before[row["key"]]):
            state, obstacle = _obstacle(connection, row, limits)
        if row["mine"]:
            yield row, state, obstacle
        before[row["key"]] += state is State.QUEUED


def _obstacle(connection: sa.Connection, row: sa.RowMapping, limits: Limits) -> tuple[State, str]:
    if row["payer"] == "nobody":
        return State.SENDING, ""
    if row["payer"] == "owner" and used_today(connection) >= limits.per_day:
        return State.REFUSED, f"All {limits.per_day} clips of today are used; the day ends at midnight UTC."
    if row["payer"] == "owner" and limits.per_visitor is not None:
        used = used_today(connection, row["visitor"])
        if used >= limits.per_visitor:
            yours = f"Your {limits.per_visitor} clips of today are used"
            return State.REFUSED, f"{yours}; the day ends at midnight UTC. An own key has no such limit."
    same = JOBS.c.key == row["key"]
    # What nobody drives still renders at the provider, but not for ever.
    rendering = JOBS.c.state.in_((State.SENDING, State.RENDERING))
    lasts = sa.or_(JOBS.c.leased_until > Clock(), JOBS.c.sending_at > Clock(-DEADLINE_SECONDS))
    if count(connection, same, rendering, YOUNG, lasts) >= limits.concurrent:
        return State.QUEUED, f"Waiting: {limits.concurrent} clips are rendering with this key already."
    if count(connection, same, JOBS.c.sending_at > Clock(-60)) >= limits.per_minute:
        return State.QUEUED, f"Waiting: {limits.per_minute} clips were sent with this key within a minute."
    return State.SENDING, ""


def count(connection: sa.Connection, *conditions: sa.ColumnElement[bool]) -> int:
    return connection.scalar(select(func.count()).select_from(JOBS).where(*conditions)) or 0
