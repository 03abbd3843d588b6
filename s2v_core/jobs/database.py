"""Where a ledger lies: SQLite or PostgreSQL, asked for a bounded time, by the database's clock."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc, update
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from ..errors import DatabaseUnavailable, SettingsError
from .schema import LEDGER, make

# For an index over very many rows.
_MAKING_SECONDS = 60.0
_MAKERS = 0x53325620  # whoever makes tables holds the lock of this number


class Database:
    """A `Path` is one of SQLite. A statement waits `patience` seconds at most.

    Raises `SettingsError`, and `DatabaseUnavailable`, as every method does.
    """

    def __init__(self, url: str | Path, patience: float) -> None:
        self.engine = _engine(url, patience)
        self._writing = self.engine.execution_options(writes=True)
        try:
            self.pepper, self.identity = self._made()
        except DatabaseUnavailable:
            self.close()
            raise

    def close(self) -> None:
        self.engine.dispose()

    def _made(self) -> tuple[str, str]:
        """Pepper and identity of the ledger, once all its tables are there."""
        with _told(), self._writing.connect() as connection:
            _wait_up_to(_MAKING_SECONDS, connection.connection.driver_connection)
            with connection.begin():
                if connection.dialect.name == "postgresql":
                    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MAKERS})")
                pepper, identity = make(connection)
            # It would wait as long for a job.
            connection.invalidate()
            return pepper, identity

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        with _told(), self.engine.connect() as connection:
            yield connection

    @property
    def shared(self) -> bool:
        """Whether many machines can share it, and so find the files of its jobs in it."""
        return self.engine.dialect.name == "postgresql"

    @contextmanager
    def aside(self) -> Iterator[sa.Connection]:
        """A transaction beside which others write: for what is nobody else's."""
        with _told(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self, first: Callable[[sa.Connection], None] | None = None) -> Iterator[sa.Connection]:
        """A transaction; no other one on this ledger writes before it ends. What it does `first` holds nobody up."""
        with _told(), self._writing.begin() as connection:
            if first:
                first(connection)
            connection.execute(update(LEDGER).values(turn=LEDGER.c.turn + 1))
            yield connection


class Clock(FunctionElement[datetime]):
    """The time in UTC of the statement, by the database's clock, and so many seconds from it.

    One time for the whole statement: an index is of no use beside one that moves.
    """

    type = sa.DateTime()
    inherit_cache = True

    def __init__(self, seconds: float = 0) -> None:
        super().__init__(sa.literal(f"{seconds:+f} seconds"))


@compiles(Clock, "sqlite")
def _sqlite_clock(element: Clock, compiler: SQLCompiler, **how: Any) -> str:
    # As SQLAlchemy writes a datetime, so that the texts compare as the times do.
    return f"strftime('%Y-%m-%d %H:%M:%f000', 'now', {compiler.process(element.clauses, **how)})"


@compiles(Clock, "postgresql")
def _postgresql_clock(element: Clock, compiler: SQLCompiler, **how: Any) -> str:
    seconds = compiler.process(element.clauses, **how)
    return f"(statement_timestamp() AT TIME ZONE 'UTC' + CAST({seconds} AS interval))"


class Today(FunctionElement[datetime]):
    """When the database's UTC day began."""

    type = sa.DateTime()
    inherit_cache = True


@compiles(Today, "sqlite")
def _sqlite_today(*_: Any, **__: Any) -> str:
    return "strftime('%Y-%m-%d 00:00:00.000000', 'now')"


@compiles(Today, "postgresql")
def _postgresql_today(*_: Any, **__: Any) -> str:
    return "date_trunc('day', statement_timestamp() AT TIME ZONE 'UTC')"


@contextmanager
def _told() -> Iterator[None]:
    """Raises `DatabaseUnavailable`, without the row that the database's own error can hold."""
    try:
        yield
    except (exc.DBAPIError, exc.TimeoutError) as error:
        cause = getattr(error, "orig", None) or error
        # A server's words can hold values, and a driver's after the first line.
        words = "" if getattr(cause, "sqlstate", None) else f": {str(cause).strip().partition(chr(10))[0]}"
        raise DatabaseUnavailable(type(cause).__name__ + words) from None


def _engine(url: str | Path, patience: float) -> sa.Engine:
    try:
        where = sa.URL.create("sqlite", database=str(url)) if isinstance(url, Path) else sa.make_url(url)
        if where.drivername in ("postgres", "postgresql"):
            where = where.set(drivername="postgresql+psycopg")
        if where.drivername == "postgresql+psycopg":
            return _postgresql(where, patience)
        if where.drivername in ("sqlite", "sqlite+pysqlite") and where.database not in (None, "", ":memory:"):
            return _sqlite(where, patience)
    except exc.ArgumentError:
        pass
    except ImportError:
        raise SettingsError("S2V_DATABASE_URL: for PostgreSQL install psycopg[binary] here.") from None
    raise SettingsError("S2V_DATABASE_URL: this is sqlite:/// and a file, or postgresql://user@host/name.")


def _sqlite(url: sa.URL, patience: float) -> sa.Engine:
    engine = sa.create_engine(url, hide_parameters=True, pool_timeout=patience)

    @sa.event.listens_for(engine, "connect")
    def connect(raw: Any, _: Any) -> None:
        # SQLAlchemy begins transactions, below; the driver must not.
        raw.isolation_level = None
        _wait_up_to(patience, raw)
        raw.execute("PRAGMA synchronous = FULL")
        _to_wal(raw, patience)

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        # A writer takes its turn at once: one that has read before is refused, however long it would wait.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if "writes" in connection.get_execution_options() else "BEGIN")

    return engine


def _postgresql(url: sa.URL, patience: float) -> sa.Engine:
    import psycopg

    class Connection(psycopg.Connection[Any]):
        seconds = patience

        def wait(self, gen: Any, *arguments: Any, **named: Any) -> Any:
            # A server that is frozen, or a network that swallows what is sent, says nothing for ever.
            return super().wait(self._within(gen), *arguments, **named)

        def _within(self, steps: Any) -> Any:
            until = time.monotonic() + self.seconds
            try:
                wanted = next(steps)
                while True:
                    ready = yield wanted
                    if not ready and time.monotonic() > until:
                        self.close()
                        raise psycopg.OperationalError("the database is silent")
                    wanted = steps.send(ready)
            except StopIteration as end:
                return end.value

    # Prepared, a statement would forget how few rows there are in the states that it asks for.
    usual = {"connect_timeout": max(2, round(patience)), "prepare_threshold": None}
    engine = sa.create_engine(
        url,
        # Whoever has the turn reads what the one before has written: more would refuse one of two that come at once.
        isolation_level="READ COMMITTED",
        hide_parameters=True,
        pool_timeout=patience,
        pool_pre_ping=True,
        connect_args=usual,
    )

    @sa.event.listens_for(engine, "do_connect")
    def do_connect(_: Any, __: Any, arguments: Any, named: Any) -> Any:
        return Connection.connect(*arguments, **named)

    @sa.event.listens_for(engine, "connect")
    def connect(raw: Any, _: Any) -> None:
        _wait_up_to(patience, raw)

    return engine


def _wait_up_to(seconds: float, raw: Any) -> None:
    """For each statement on this connection, and for a process that holds the turn and is frozen."""
    if isinstance(raw, sqlite3.Connection):
        raw.execute(f"PRAGMA busy_timeout = {seconds * 1000:.0f}")
    else:
        for name in ("statement_timeout", "idle_in_transaction_session_timeout"):
            raw.execute(f"SET {name} = {seconds * 1000:.0f}")
        raw.commit()
        # A little more, so that the server's own answer comes first.
        raw.seconds = seconds + 1


def _to_wal(raw: sqlite3.Connection, patience: float) -> None:
    # Who makes this switch beside another is turned away at once, whatever the busy timeout; it is made once.
    until = time.monotonic() + patience
    while True:
        try:
            raw.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
