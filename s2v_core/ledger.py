"""One table: every job, and what was or may have been paid.

The statements run on SQLite and PostgreSQL alike and by the database's clock, so that processes can share a ledger.
"""

import hashlib
import hmac
import secrets
import sqlite3
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc, func, select, update
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from .errors import Unclear
from .jobs import NOT_SPENT, UNDER_WAY, Job, Limits, Stage, State
from .wire import DEADLINE_SECONDS, Status

# What a database that is away, full or locked for too long raises.
Away = (exc.DBAPIError, exc.TimeoutError)

LEASE_SECONDS = 20
# A click that waited longer than this while no server ran is not paid for any more.
STALE_SECONDS = 600
GIVE_UP_SECONDS = 24 * 3600
NEEDS_KEY = "Waiting: it needs the same key again."
_STOPPED = "The server stopped after the request was sent and before the answer was written down."


_BEGINS = {
    Stage.PREPARE: "queued_at", Stage.SEND: "sending_at", Stage.QUEUE: "rendering_at", Stage.RENDER: "processing_at",
    Stage.SAVE: "fetching_at",
}  # fmt: skip

_META = sa.MetaData()
# To a person in the database's shell these are the columns; a new one needs no more than its line.
_JOBS = sa.Table(
    "jobs",
    _META,
    sa.Column("ticket", sa.String(40), primary_key=True),
    sa.Column("state", sa.String(20), index=True),
    sa.Column("service", sa.String(20)),
    sa.Column("provider", sa.String(200)),
    sa.Column("key", sa.String(64), server_default=""),  # a fingerprint
    sa.Column("payer", sa.String(20)),  # owner, visitor or nobody
    sa.Column("visitor", sa.String(200)),
    sa.Column("request", sa.String(64), index=True),  # a fingerprint, too
    sa.Column("photo", sa.Text),  # a file of the data directory, or a public link
    sa.Column("prompt", sa.Text),
    sa.Column("prompt_optimizer", sa.Boolean),
    sa.Column("amount", sa.Integer),  # thousandths of a PTC; null where only the provider knows
    sa.Column("status", sa.String(60), server_default=""),
    sa.Column("task_id", sa.String(200), server_default=""),
    sa.Column("file_id", sa.String(200), server_default=""),
    sa.Column("clip", sa.Text, server_default=""),
    sa.Column("what", sa.Text, server_default=""),
    sa.Column("advice", sa.Text, server_default=""),
    sa.Column("waits", sa.Text, server_default=""),
    *(
        sa.Column(f"{name}_at", sa.DateTime)
        for name in ("queued", "sending", "rendering", "processing", "fetching", "ended")
    ),
    sa.Column("changed_at", sa.DateTime, index=True),
    sa.Column("owner", sa.String(40)),
    sa.Column("leased_until", sa.DateTime),
)
# One row. Who has written to it has the turn until the transaction ends: so the limits hold over all processes.
_LEDGER = sa.Table("ledger", _META, sa.Column("turn", sa.Integer), sa.Column("pepper", sa.String(64)))


class _Clock(FunctionElement[datetime]):
    """The database's time in UTC, so many seconds from now."""

    type = sa.DateTime()
    inherit_cache = False

    def __init__(self, seconds: float = 0) -> None:
        super().__init__()
        self.seconds = seconds


@compiles(_Clock, "sqlite")
def _sqlite_clock(element: _Clock, *_: Any, **__: Any) -> str:
    # As SQLAlchemy writes a datetime, so that the texts compare as the times do.
    return f"strftime('%Y-%m-%d %H:%M:%f000', 'now', '{element.seconds:+f} seconds')"


@compiles(_Clock, "postgresql")
def _postgresql_clock(element: _Clock, *_: Any, **__: Any) -> str:
    return f"(clock_timestamp() AT TIME ZONE 'UTC' + interval '{element.seconds:f} seconds')"


class _Today(FunctionElement[datetime]):
    """When the database's UTC day began."""

    type = sa.DateTime()
    inherit_cache = True


@compiles(_Today, "sqlite")
def _sqlite_today(*_: Any, **__: Any) -> str:
    return "strftime('%Y-%m-%d 00:00:00.000000', 'now')"


@compiles(_Today, "postgresql")
def _postgresql_today(*_: Any, **__: Any) -> str:
    return "date_trunc('day', clock_timestamp() AT TIME ZONE 'UTC')"


class Ledger:
    """A database of jobs. Every method is one transaction, and blocks."""

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        self._writing = self._engine.execution_options(writes=True)
        with self._writing.begin() as connection:
            _META.create_all(connection)
            _add_missing_columns(connection)
            if not connection.scalar(select(func.count()).select_from(_LEDGER)):
                connection.execute(_LEDGER.insert().values(turn=0, pepper=secrets.token_hex(32)))
            self._pepper = str(connection.scalar(select(_LEDGER.c.pepper)))

    def close(self) -> None:
        self._engine.dispose()

    def fingerprint(self, *parts: str) -> str:
        """A digest that says nothing about `parts` to somebody without the ledger."""
        return hmac.digest(self._pepper.encode(), "\0".join(parts).encode(), hashlib.sha256).hex()

    def enter(self, ticket: str, owner: str, request: str, **values: Any) -> str:
        """Queue a job; or the ticket of the same request that is under way already."""
        with self._turn() as connection:
            same = sa.and_(_JOBS.c.request == request, _JOBS.c.state.in_(UNDER_WAY), _YOUNG)
            twin = select(_JOBS.c.ticket).where(same)
            if other := connection.scalar(twin):
                return str(other)
            times = {"queued_at": _Clock(), "changed_at": _Clock(), "leased_until": _Clock(LEASE_SECONDS)}
            values |= {"ticket": ticket, "state": State.QUEUED, "owner": owner, "request": request, **times}
            connection.execute(_JOBS.insert().values(values))
            return ticket

    def admit(self, ticket: str, owner: str, limits: Limits) -> Job | None:
        """Queued → sending, refused or still queued: counting and spending are one transaction.

        None where the job is another process's by now: then that one pays, and nobody else.
        """
        mine = sa.and_(_JOBS.c.ticket == ticket, _JOBS.c.owner == owner)
        with self._look() as connection:
            row = self._row(connection, mine)
            if row and row["waits"] and self._obstacle(connection, row, limits)[1] == row["waits"]:
                return _job(row)
        with self._turn() as connection:
            row = self._row(connection, mine)
            if row and row["state"] == State.QUEUED:
                state, obstacle = self._obstacle(connection, row, limits)
                column = "what" if state is State.REFUSED else "waits"
                self._set(connection, mine, state=state, **{column: obstacle})
                row = self._row(connection, mine)
            return _job(row) if row else None

    def record_task(self, ticket: str, owner: str, task_id: str) -> None:
        """A fact, whoever holds the job by now: it heals `unknown`."""
        with self._turn() as connection:
            unsent = sa.and_(_JOBS.c.ticket == ticket, _JOBS.c.state.in_((State.SENDING, State.UNKNOWN)))
            self._set(connection, _JOBS.c.ticket == ticket, task_id=task_id)
            held = {"owner": owner, "leased_until": _Clock(LEASE_SECONDS)}
            self._set(connection, unsent, state=State.RENDERING, what="", advice="", ended_at=None, **held)

    def end_submit(self, ticket: str, state: State, what: str, advice: str) -> None:
        """Refused or unknown; a refusal is a fact, whoever holds the job by now."""
        with self._turn() as connection:
            unanswered = sa.and_(
                _JOBS.c.ticket == ticket, _JOBS.c.task_id == "", _JOBS.c.state.in_((State.SENDING, State.UNKNOWN))
            )
            self._set(connection, unanswered, state=state, what=what, advice=advice)

    def advance(self, ticket: str, owner: str, **values: Any) -> bool:
        """Write what the owner found out; False where the job is another process's by now."""
        if values.get("status") not in (None, Status.PREPARING, Status.QUEUEING, Status.SUCCESS):
            values["processing_at"] = func.coalesce(_JOBS.c.processing_at, _Clock())
        with self._turn() as connection:
            mine = sa.and_(_JOBS.c.ticket == ticket, _JOBS.c.owner == owner, _JOBS.c.state.in_(UNDER_WAY))
            return self._set(connection, mine, **values)

    def cancel(self, ticket: str) -> None:
        """Only while nothing was sent."""
        with self._turn() as connection:
            queued = sa.and_(_JOBS.c.ticket == ticket, _JOBS.c.state == State.QUEUED)
            self._set(connection, queued, state=State.CANCELLED, what="You cancelled it before anything was sent.")

    def renew(self, owner: str, tickets: Collection[str]) -> None:
        """For those that the owner still drives."""
        with self._turn() as connection:
            driven = sa.and_(_JOBS.c.owner == owner, _JOBS.c.ticket.in_(tickets))
            connection.execute(update(_JOBS).where(driven).values(leased_until=_Clock(LEASE_SECONDS)))

    def release(self, owner: str) -> None:
        """Leave every job to who comes next; a payment without an answer is unknown."""
        with self._turn() as connection:
            mine = _JOBS.c.owner == owner
            connection.execute(update(_JOBS).where(mine).values(leased_until=_Clock()))
            self._abandon(connection, sa.and_(mine, _JOBS.c.state == State.SENDING))

    def claim(self, owner: str, keys: Collection[str], *, only: Collection[str] | None = None) -> list[str]:
        """Take over what nobody holds and a key is here for; an abandoned `sending` becomes `unknown`.

        `only` these tickets, however old they are; else what is younger than a day.
        """
        free = sa.and_(_JOBS.c.state.in_(UNDER_WAY), _JOBS.c.leased_until < _Clock())
        reading = _JOBS.c.state.in_((State.RENDERING, State.FETCHING))
        free = sa.and_(free, sa.or_(_YOUNG, sa.not_(reading)) if only is None else _JOBS.c.ticket.in_(only))
        with self._look() as connection:
            if not self._count(connection, free):
                return []
        with self._turn() as connection:
            self._abandon(connection, sa.and_(free, _JOBS.c.state == State.SENDING))
            stale = sa.and_(free, _JOBS.c.state == State.QUEUED, _JOBS.c.leased_until < _Clock(-STALE_SECONDS))
            self._set(connection, stale, state=State.CANCELLED, what="The server stopped before anything was sent.")
            locked = sa.and_(free, _JOBS.c.key.not_in(keys), _JOBS.c.waits != NEEDS_KEY)
            self._set(connection, locked, waits=NEEDS_KEY)
            tickets = list(connection.scalars(select(_JOBS.c.ticket).where(free, _JOBS.c.key.in_(keys))))
            taken = {"owner": owner, "leased_until": _Clock(LEASE_SECONDS)}
            connection.execute(update(_JOBS).where(_JOBS.c.ticket.in_(tickets)).values(taken))
            return tickets

    def job(self, ticket: str) -> Job | None:
        with self._look() as connection:
            return self._one(connection, ticket)

    def jobs(self) -> list[Job]:
        """All of them, newest first."""
        with self._look() as connection:
            rows = connection.execute(select(_JOBS, _Clock().label("now")).order_by(_JOBS.c.queued_at.desc()))
            return [_job(row) for row in rows.mappings()]

    def changed(self, tickets: Collection[str], seconds: float) -> list[Job]:
        """Those of `tickets` that changed within the last so many seconds."""
        with self._look() as connection:
            late = sa.and_(_JOBS.c.ticket.in_(tickets), _JOBS.c.changed_at > _Clock(-seconds))
            return [
                _job(row) for row in connection.execute(select(_JOBS, _Clock().label("now")).where(late)).mappings()
            ]

    def used_today(self, visitor: str | None = None) -> int:
        """Clips that were or may have been paid with the owner's key since midnight UTC, or this visitor's of those."""
        with self._look() as connection:
            whose = [] if visitor is None else [_JOBS.c.visitor == visitor]
            return self._count(connection, *_TODAYS, *whose)

    def durations(self, provider: str) -> list[float]:
        """Seconds from the sending to the end of a provider's newest clips, up to 200."""
        with self._look() as connection:
            ended = sa.and_(_JOBS.c.provider == provider, _JOBS.c.state == State.DONE, _JOBS.c.ended_at.is_not(None))
            times = select(_JOBS.c.sending_at, _JOBS.c.ended_at).where(ended).order_by(_JOBS.c.ended_at.desc())
            return [(end - sent).total_seconds() for sent, end in connection.execute(times.limit(200))]

    def keys_in_use(self) -> set[str]:
        """The fingerprints of the keys that a job under way needs."""
        with self._look() as connection:
            driven = sa.or_(_YOUNG, _JOBS.c.leased_until > _Clock())
            under_way = sa.and_(_JOBS.c.state.in_(UNDER_WAY), driven)
            return set(connection.scalars(select(_JOBS.c.key).where(under_way).distinct()))

    def files(self) -> set[str]:
        """The photos and clips that a row names."""
        with self._look() as connection:
            rows = connection.execute(select(_JOBS.c.photo, _JOBS.c.clip).where(_KEEPS))
            return {name for row in rows for name in row if name}

    def forget(self, hours: float) -> list[Job]:
        """Take photo, clip and prompt out of the rows that ended so long ago; the jobs as they were."""
        with self._look() as connection:
            old = sa.and_(_JOBS.c.ended_at < _Clock(-3600 * hours), _KEEPS)
            tickets = list(connection.scalars(select(_JOBS.c.ticket).where(old)))
        return [job for ticket in tickets if (job := self.erase(ticket))]

    def erase(self, ticket: str) -> Job | None:
        """Take photo, clip and prompt out of the row of a job that has ended; the job as it was."""
        with self._turn() as connection:
            which = sa.and_(_JOBS.c.ticket == ticket, _JOBS.c.ended_at.is_not(None), _KEEPS)
            row = self._row(connection, which)
            self._set(connection, which, photo="", clip="", prompt="")
            return _job(row) if row else None

    def _abandon(self, connection: sa.Connection, sending: sa.ColumnElement[bool]) -> None:
        self._set(connection, sending, state=State.UNKNOWN, what=_STOPPED, advice=Unclear.advice)

    def _obstacle(self, connection: sa.Connection, row: sa.RowMapping, limits: Limits) -> tuple[State, str]:
        if row["payer"] == "nobody":
            return State.SENDING, ""
        if row["payer"] == "owner" and self._count(connection, *_TODAYS) >= limits.clips_a_day:
            return State.REFUSED, f"All {limits.clips_a_day} clips of today are used; the day ends at midnight UTC."
        if row["payer"] == "owner" and limits.clips_a_visitor is not None:
            used = self._count(connection, *_TODAYS, _JOBS.c.visitor == row["visitor"])
            if used >= limits.clips_a_visitor:
                yours = f"Your {limits.clips_a_visitor} clips of today are used"
                return State.REFUSED, f"{yours}; the day ends at midnight UTC. An own key has no such limit."
        same = _JOBS.c.key == row["key"]
        older = sa.and_(_JOBS.c.queued_at < row["queued_at"], _JOBS.c.leased_until > _Clock())
        if before := self._count(connection, same, _JOBS.c.state == State.QUEUED, older):
            return State.QUEUED, f"Waiting: {before} before it."
        # What nobody drives still renders at the provider, but not for ever.
        rendering = _JOBS.c.state.in_((State.SENDING, State.RENDERING))
        lasts = sa.or_(_JOBS.c.leased_until > _Clock(), _JOBS.c.sending_at > _Clock(-DEADLINE_SECONDS))
        if self._count(connection, same, rendering, lasts) >= limits.at_once:
            return State.QUEUED, f"Waiting: {limits.at_once} clips are rendering with this key already."
        if self._count(connection, same, _JOBS.c.sending_at > _Clock(-60)) >= limits.a_minute:
            return State.QUEUED, f"Waiting: {limits.a_minute} clips were sent with this key within a minute."
        return State.SENDING, ""

    def _count(self, connection: sa.Connection, *conditions: sa.ColumnElement[bool]) -> int:
        return connection.scalar(select(func.count()).select_from(_JOBS).where(*conditions)) or 0

    def _set(self, connection: sa.Connection, which: sa.ColumnElement[bool], **values: Any) -> bool:
        if state := values.get("state"):
            begins = f"{state}_at" if f"{state}_at" in _JOBS.c else "ended_at"
            values = {begins: func.coalesce(_JOBS.c[begins], _Clock()), "waits": ""} | values
        return connection.execute(update(_JOBS).where(which).values(values | {"changed_at": _Clock()})).rowcount > 0

    def _row(self, connection: sa.Connection, which: sa.ColumnElement[bool]) -> sa.RowMapping | None:
        query = select(_JOBS, _Clock().label("now")).where(which)
        return connection.execute(query).mappings().first()

    def _one(self, connection: sa.Connection, ticket: str) -> Job | None:
        row = self._row(connection, _JOBS.c.ticket == ticket)
        return _job(row) if row else None

    @contextmanager
    def _look(self) -> Iterator[sa.Connection]:
        with self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _turn(self) -> Iterator[sa.Connection]:
        with self._writing.begin() as connection:
            connection.execute(update(_LEDGER).values(turn=_LEDGER.c.turn + 1))
            yield connection


_KEEPS = sa.or_(_JOBS.c.photo != "", _JOBS.c.clip != "", _JOBS.c.prompt != "")
_YOUNG = _JOBS.c.queued_at > _Clock(-GIVE_UP_SECONDS)
_TODAYS = (_JOBS.c.payer == "owner", _JOBS.c.state.not_in(NOT_SPENT), _JOBS.c.sending_at >= _Today())


def _job(row: sa.RowMapping) -> Job:
    values: dict[str, Any] = {name: row[name] for name in Job.__dataclass_fields__ if name in row}
    began = {stage: _epoch(row[column]) for stage, column in _BEGINS.items() if row[column]}
    values |= {"state": State(row["state"]), "began": began, "ended": row["ended_at"] and _epoch(row["ended_at"])}
    return Job(**values | {"changed": _epoch(row["changed_at"]), "now": _epoch(row["now"])})


def _epoch(moment: datetime) -> float:
    return moment.replace(tzinfo=UTC).timestamp()


def _add_missing_columns(connection: sa.Connection) -> None:
    for table in _META.sorted_tables:
        there = {column["name"] for column in sa.inspect(connection).get_columns(table.name)}
        for column in table.c:
            if column.name not in there:
                definition = sa.schema.CreateColumn(column).compile(dialect=connection.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {definition}")


def _engine(url: str) -> sa.Engine:
    engine = sa.create_engine(url)
    if engine.dialect.name == "sqlite":

        @sa.event.listens_for(engine, "connect")
        def connect(raw: Any, _: Any) -> None:
            # SQLAlchemy begins transactions, below; the driver must not.
            raw.isolation_level = None
            for pragma in ("busy_timeout = 30000", "synchronous = FULL"):
                raw.execute(f"PRAGMA {pragma}")
            _to_wal(raw)

        @sa.event.listens_for(engine, "begin")
        def begin(connection: sa.Connection) -> None:
            # A writer takes its turn at once: one that has read before is refused, however long it would wait.
            connection.exec_driver_sql("BEGIN IMMEDIATE" if "writes" in connection.get_execution_options() else "BEGIN")

    return engine


def _to_wal(raw: sqlite3.Connection) -> None:
    # Who makes this switch beside another is turned away at once, whatever the busy timeout; it is made once.
    until = time.monotonic() + 30
    while True:
        try:
            raw.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
