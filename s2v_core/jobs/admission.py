"""May a job be sent now: the caps of a day, the rates of a key, the room in the queue."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import func, select

from ..errors import Busy
from ..reasons import Facts, Reason
from ..wire import DEADLINE_SECONDS
from .database import Clock, Today
from .model import GIVE_UP_SECONDS, NOT_SPENT, UNDER_WAY, Limits, Payer, State
from .schema import JOBS, because

YOUNG = JOBS.c.queued_at > Clock(-GIVE_UP_SECONDS)
_WAITS = sa.and_(
    JOBS.c.state.in_(UNDER_WAY),
    YOUNG,
    # The simulator has no queue of ours, and its films are work all the same. For an "or" SQLite reads all of them.
    sa.not_(sa.and_(JOBS.c.state != State.QUEUED, JOBS.c.payer != Payer.NOBODY)),
    JOBS.c.leased_until > Clock(),
)
_TODAYS = (JOBS.c.payer == Payer.OWNER, JOBS.c.state.not_in(NOT_SPENT), JOBS.c.sending_at >= Today())


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a queued job now, and why; `told` where its row says so already."""

    ticket: str
    state: State
    reason: Reason | None
    facts: Facts
    told: bool


def check_room(connection: sa.Connection, visitor: str, limits: Limits) -> None:
    """Raises `Busy` where so many wait already."""
    if visitor and count(connection, _WAITS, JOBS.c.visitor == visitor) >= limits.waiting:
        raise Busy(Reason.YOUR_QUEUE_FULL, {"count": limits.waiting})
    if count(connection, _WAITS) >= limits.waiting_in_all:
        raise Busy(Reason.QUEUE_FULL, {"count": limits.waiting_in_all})


def used_today(connection: sa.Connection, visitor: str | None = None) -> int:
    """Clips that were or may have been paid with the owner's key since midnight UTC, or this visitor's of those."""
    return count(connection, *_TODAYS, *([] if visitor is None else [JOBS.c.visitor == visitor]))


def spent_today(connection: sa.Connection, key: str) -> int:
    """Thousandths of a PTC that were or may have been paid with a key since midnight UTC; a price nobody knows is 0."""
    spent = sa.and_(JOBS.c.key == key, JOBS.c.state.not_in(NOT_SPENT), JOBS.c.sending_at >= Today())
    return int(connection.scalar(select(sa.func.sum(JOBS.c.amount)).where(spent)) or 0)


def verdicts(connection: sa.Connection, which: sa.ColumnElement[bool], limits: Limits) -> Iterator[Verdict]:
    """Of `which`, each in its order; between two of them their rows may be written."""
    names = ("ticket", "key", "payer", "visitor", "reason", "facts")
    in_line = sa.and_(JOBS.c.state == State.QUEUED, sa.or_(which, JOBS.c.leased_until > Clock()))
    line = select(*(JOBS.c[name] for name in names), which.label("mine")).where(in_line).order_by(JOBS.c.queued_at)
    before: Counter[str] = Counter()
    used: dict[str | None, int] = {}
    for row in connection.execute(line).mappings().all():
        found: tuple[State, Reason | None, int] = State.QUEUED, Reason.WAITING_LINE, before[row["key"]]
        # Who is ahead changes nothing where the day is used up.
        if row["mine"] and row["payer"] == Payer.OWNER and (over := _over(connection, row["visitor"], limits, used)):
            found = over
        elif row["mine"] and (row["payer"] == Payer.NOBODY or not before[row["key"]]):
            found = _verdict(connection, row, limits)
            # Its row may be written now.
            used.clear()
        state, reason, number = found
        if row["mine"]:
            facts = {"count": number} if reason else {}
            columns = because(reason, facts)
            told = (row["reason"], row["facts"]) == (columns["reason"], columns["facts"])
            yield Verdict(row["ticket"], state, reason, facts, told)
        before[row["key"]] += state is State.QUEUED


def _over(
    connection: sa.Connection, visitor: str, limits: Limits, used: dict[str | None, int]
) -> tuple[State, Reason, int] | None:
    """Whether the owner's day or the visitor's is `used` up, which holds what was counted so far."""
    for who, most, reason in (
        (None, limits.per_day, Reason.DAY_USED), (visitor, limits.per_visitor, Reason.YOUR_DAY_USED)
    ):  # fmt: skip
        if most is not None:
            if who not in used:
                used[who] = used_today(connection, who)
            if used[who] >= most:
                return State.REFUSED, reason, most
    return None


def _verdict(connection: sa.Connection, row: sa.RowMapping, limits: Limits) -> tuple[State, Reason | None, int]:
    """With the number that stands in the way."""
    if row["payer"] == Payer.NOBODY:
        return State.SENDING, None, 0
    same = JOBS.c.key == row["key"]
    # What nobody drives still renders at the provider, but not for ever.
    rendering = JOBS.c.state.in_((State.SENDING, State.RENDERING))
    lasts = sa.or_(JOBS.c.leased_until > Clock(), JOBS.c.sending_at > Clock(-DEADLINE_SECONDS))
    if count(connection, same, rendering, YOUNG, lasts) >= limits.concurrent:
        return State.QUEUED, Reason.WAITING_RENDERS, limits.concurrent
    if count(connection, same, JOBS.c.sending_at > Clock(-60)) >= limits.per_minute:
        return State.QUEUED, Reason.WAITING_MINUTE, limits.per_minute
    return State.SENDING, None, 0


def count(connection: sa.Connection, *conditions: sa.ColumnElement[bool]) -> int:
    return connection.scalar(select(func.count()).select_from(JOBS).where(*conditions)) or 0
