"""The tables of a ledger, their indexes, and what an earlier version's lack."""

import json
import secrets

import sqlalchemy as sa
from sqlalchemy import func, select, update

from ..language import Sentence
from ..reasons import Facts, Reason
from .model import Stage

BEGINS = {
    Stage.PREPARE: "queued_at", Stage.SEND: "sending_at", Stage.QUEUE: "rendering_at", Stage.RENDER: "processing_at",
    Stage.SAVE: "fetching_at",
}  # fmt: skip

_META, _SHARED = sa.MetaData(), sa.MetaData()
# To a person in the database's shell these are the columns; a new one needs no more than its line.
JOBS = sa.Table(
    "jobs",
    _META,
    sa.Column("ticket", sa.String(40), primary_key=True),
    sa.Column("state", sa.String(20)),
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
    # The clip's file as it came, and as it is served: the same where nothing was added to it.
    sa.Column("came_sha256", sa.String(64), server_default="", index=True),
    sa.Column("served_sha256", sa.String(64), server_default="", index=True),
    sa.Column("reason", sa.String(40), server_default=""),  # of an end; under way, of what it waits for
    sa.Column("facts", sa.Text, server_default=""),  # the reason's, as JSON
    # An earlier version's words in place of a reason.
    sa.Column("what", sa.Text, server_default=""),
    sa.Column("advice", sa.Text, server_default=""),
    sa.Column("waits", sa.Text, server_default=""),
    *(
        sa.Column(f"{name}_at", sa.DateTime)
        for name in ("queued", "sending", "rendering", "processing", "fetching", "ended")
    ),
    sa.Column("changed_at", sa.DateTime),
    sa.Column("worker", sa.String(40)),
    sa.Column("leased_until", sa.DateTime),
    sa.Column("deleted_at", sa.DateTime),
)
KEEPS = sa.or_(JOBS.c.photo != "", JOBS.c.clip != "", JOBS.c.prompt != "")
GOES = sa.and_(JOBS.c.deleted_at.is_not(None), KEEPS)
# No question reads all jobs, nor all with one key or in one state: each asks for a time beside it.
sa.Index("jobs_under_way", JOBS.c.state, JOBS.c.queued_at)
sa.Index("jobs_paid", JOBS.c.payer, JOBS.c.sending_at, JOBS.c.state, JOBS.c.visitor)
sa.Index("jobs_sent", JOBS.c.key, JOBS.c.sending_at)
sa.Index("jobs_took", JOBS.c.provider, JOBS.c.state, JOBS.c.ended_at)
sa.Index("jobs_newest", JOBS.c.queued_at)
sa.Index("jobs_kept", JOBS.c.ended_at, sqlite_where=KEEPS, postgresql_where=KEEPS)
sa.Index("jobs_kept_of", JOBS.c.payer, JOBS.c.ended_at, sqlite_where=KEEPS, postgresql_where=KEEPS)
sa.Index("jobs_going", JOBS.c.deleted_at, sqlite_where=GOES, postgresql_where=GOES)
# One row. Who has written to it has the turn until the transaction ends: so the limits hold over all processes.
LEDGER = sa.Table(
    "ledger",
    _META,
    sa.Column("turn", sa.Integer),
    sa.Column("pepper", sa.String(64)),
    sa.Column("identity", sa.String(32)),  # of this ledger; a data directory that was made with it carries the same
)
# When each loop of each process ran last, for a person who asks how it goes.
LOOPS = sa.Table(
    "loops",
    _META,
    sa.Column("worker", sa.String(40), primary_key=True),
    sa.Column("name", sa.String(20), primary_key=True),
    sa.Column("ran_at", sa.DateTime),
    sa.Column("trouble", sa.Text, server_default=""),
)

# Tickets that were told before it was known that the same request was under way, with a ticket of its own.
PROMISED = sa.Table(
    "promised",
    _META,
    sa.Column("promised", sa.String(40), primary_key=True),
    sa.Column("ticket", sa.String(40)),
)
# Photos and clips, where many machines share a ledger: on PostgreSQL alone.
FILES = sa.Table(
    "files",
    _SHARED,
    sa.Column("name", sa.String(60), primary_key=True),
    sa.Column("part", sa.Integer, primary_key=True),
    sa.Column("data", sa.LargeBinary),
    sa.Column("kept_at", sa.DateTime),
    sa.Index("files_kept", "kept_at"),
)


def because(reason: Reason | None = None, facts: Facts | None = None) -> dict[str, str]:
    """The columns that say why a job is where it is."""
    kept = {name: fact.kept if isinstance(fact, Sentence) else fact for name, fact in (facts or {}).items()}
    return {
        "reason": reason or "", "facts": json.dumps(kept) if kept else "", "what": "", "advice": "", "waits": ""
    }  # fmt: skip


def make(connection: sa.Connection) -> tuple[str, str]:
    """Whatever is not there yet; the ledger's pepper and identity."""
    _META.create_all(connection)
    if connection.dialect.name == "postgresql":
        _SHARED.create_all(connection)
    _add_missing_columns(connection)
    _add_missing_indexes(connection)
    if not connection.scalar(select(func.count()).select_from(LEDGER)):
        connection.execute(LEDGER.insert().values(turn=0, pepper=secrets.token_hex(32)))
    unnamed = LEDGER.c.identity.is_(None)
    connection.execute(update(LEDGER).where(unnamed).values(identity=secrets.token_hex(16)))
    pepper, identity = connection.execute(select(LEDGER.c.pepper, LEDGER.c.identity)).one()
    return str(pepper), str(identity)


def _add_missing_columns(connection: sa.Connection) -> None:
    for table in _META.sorted_tables:
        there = {column["name"] for column in sa.inspect(connection).get_columns(table.name)}
        for column in table.c:
            if column.name not in there:
                definition = sa.schema.CreateColumn(column).compile(dialect=connection.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {definition}")


def _add_missing_indexes(connection: sa.Connection) -> None:
    for index in JOBS.indexes:
        index.create(connection, checkfirst=True)
    # Those of earlier versions.
    for name in ("ix_jobs_state", "ix_jobs_changed_at"):
        connection.exec_driver_sql(f"DROP INDEX IF EXISTS {name}")
