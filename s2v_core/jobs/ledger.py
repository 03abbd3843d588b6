"""One table: every job, and what was or may have been paid.

The statements run on SQLite and PostgreSQL alike and by the database's clock, so that processes can share a ledger.
"""

import hashlib
import hmac
import json
import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import func, select, update

from ..reasons import Facts, Reason
from ..wire import Status
from .admission import YOUNG, check_room, count, spent_today, used_today, verdicts
from .database import Clock, Database
from .files import drop, put
from .model import UNDER_WAY, Job, Limits, Pace, Payer, State
from .schema import BEGINS, GOES, JOBS, KEEPS, LOOPS, PROMISED, because

# A click that waited longer than this while no server ran is not paid for any more.
STALE_SECONDS = 600


class Ledger:
    """A database of jobs; a `Path` is one of SQLite. Every method is one transaction, and blocks.

    A statement waits `patience` seconds at most.
    Raises `SettingsError`, and `DatabaseUnavailable`, as every method does.
    """

    def __init__(self, url: str | Path, *, lease: float = Pace().lease, patience: float = 5.0) -> None:
        self._lease = lease
        self.database = Database(url, patience)
        self.identity = self.database.identity

    def close(self) -> None:
        self.database.close()

    def fingerprint(self, *parts: str) -> str:
        """A digest that says nothing about `parts` to somebody without the ledger."""
        return hmac.digest(self.database.pepper.encode(), "\0".join(parts).encode(), hashlib.sha256).hex()

    def enter(
        self, ticket: str, worker: str, request: str, /,
        *, limits: Limits, until: float, promised: bool = False, **values: Any,
    ) -> Job | None:  # fmt: skip
        """Queue a job, or find the same request under way, to which a `promised` ticket leads from then on.

        None where its turn comes after the moment `until` of the monotonic clock: then nothing was written. Raises
        `Busy`.
        """
        with self.database.write() as connection:
            if time.monotonic() > until:
                return None
            same = sa.and_(JOBS.c.request == request, JOBS.c.state.in_(UNDER_WAY), YOUNG)
            twin = select(JOBS.c.ticket).where(same)
            if other := connection.scalar(twin):
                known = select(PROMISED.c.ticket).where(PROMISED.c.promised == ticket)
                if promised and other != ticket and not connection.scalar(known):
                    connection.execute(PROMISED.insert().values(promised=ticket, ticket=other))
                return self._one(connection, str(other))
            check_room(connection, values["visitor"], limits)
            times = {"queued_at": Clock(), "changed_at": Clock(), "leased_until": Clock(self._lease)}
            values |= {"ticket": ticket, "state": State.QUEUED, "worker": worker, "request": request, **times}
            connection.execute(JOBS.insert().values(values))
            return self._one(connection, ticket)

    def admit(self, worker: str, tickets: Collection[str], limits: Limits) -> tuple[list[Job], set[str]]:
        """Of what the worker has in the queue: what was admitted or refused now, and what still waits.

        Counting and spending are one transaction. One that is in neither is another process's by now, or has ended.
        """
        mine = sa.and_(JOBS.c.worker == worker, JOBS.c.ticket.in_(tickets))
        # By a commit whose answer was lost: nobody has paid for it yet.
        admitted = select(JOBS.c.ticket).where(mine, JOBS.c.state == State.SENDING)
        mine = sa.and_(mine, JOBS.c.state == State.QUEUED)
        with self.database.read() as connection:
            found = list(verdicts(connection, mine, limits))
            still = all(verdict.state is State.QUEUED and verdict.told for verdict in found)
            if still and not connection.scalars(admitted).all():
                return [], {verdict.ticket for verdict in found}
        with self.database.write() as connection:
            left, waiting = [self._one(connection, ticket) for ticket in connection.scalars(admitted).all()], set()
            for verdict in verdicts(connection, mine, limits):
                this, why = JOBS.c.ticket == verdict.ticket, because(verdict.reason, verdict.facts)
                if verdict.state is State.QUEUED:
                    waiting.add(verdict.ticket)
                    if not verdict.told:
                        self._set(connection, this, **why)
                else:
                    self._set(connection, this, state=verdict.state, **why)
                    left.append(self._one(connection, verdict.ticket))
            return [job for job in left if job], waiting

    def withdraw(self, ticket: str) -> Job | None:
        """Back into the queue: it was admitted, and nothing has left this machine."""
        with self.database.write() as connection:
            sending = sa.and_(JOBS.c.ticket == ticket, JOBS.c.state == State.SENDING, JOBS.c.task_id == "")
            self._set(connection, sending, state=State.QUEUED, sending_at=None)
            return self._one(connection, ticket)

    def record_task(self, ticket: str, worker: str, task_id: str) -> Job | None:
        """A fact, whoever holds the job by now: it heals `unknown`. What was deleted meanwhile stays deleted."""
        with self.database.write() as connection:
            unsent = sa.and_(JOBS.c.ticket == ticket, JOBS.c.state.in_((State.SENDING, State.UNKNOWN)))
            self._set(connection, JOBS.c.ticket == ticket, task_id=task_id)
            deleted = sa.and_(unsent, JOBS.c.deleted_at.is_not(None))
            self._set(connection, deleted, state=State.DONE)
            held = {"worker": worker, "leased_until": Clock(self._lease)}
            self._set(connection, unsent, state=State.RENDERING, ended_at=None, **held)
            return self._one(connection, ticket)

    def record_clip(
        self, ticket: str, clip: str, *, came: str = "", served: str = "", file: Path | None = None
    ) -> Job | None:
        """A whole clip on the disk is a fact, too, whoever holds the job by now; the job, None without a row.

        The sums are the file's as it `came` and as it is `served`. Where machines share the ledger it takes the `file`
        in with the row.
        """
        keep = partial(put, name=clip, path=file) if file and self.database.shared else None
        with self.database.write(keep) as connection:
            wanted = sa.and_(JOBS.c.ticket == ticket, JOBS.c.state.in_(UNDER_WAY))
            sums = {"came_sha256": came, "served_sha256": served}
            taken = self._set(connection, wanted, state=State.DONE, clip=clip, **sums)
            now = self._one(connection, ticket)
            # A second time, as the answer to the first was lost, the row has it already.
            if keep and not taken and not (now and now.clip == clip):
                drop(connection, [clip])
            return now

    def miss_clip(self, ticket: str, clip: str, *, fetch: bool) -> None:
        """The clip's file is gone: it is to be fetched again, or else the row says why it is not."""
        with self.database.write() as connection:
            # Not of what was deleted meanwhile.
            there = sa.and_(JOBS.c.ticket == ticket, JOBS.c.deleted_at.is_(None))
            missed = sa.and_(there, JOBS.c.state == State.DONE, JOBS.c.clip == clip)
            if fetch:
                free = {"fetching_at": Clock(), "ended_at": None, "leased_until": Clock()}
                self._set(connection, missed, state=State.FETCHING, clip="", **free | because(Reason.CLIP_GONE))
            else:
                self._set(connection, missed, clip="", **because(Reason.CLIP_GONE))

    def end_submit(self, ticket: str, state: State, reason: Reason, facts: Facts) -> Job | None:
        """Refused or unknown; a refusal is a fact, whoever holds the job by now."""
        with self.database.write() as connection:
            unanswered = sa.and_(
                JOBS.c.ticket == ticket, JOBS.c.task_id == "", JOBS.c.state.in_((State.SENDING, State.UNKNOWN))
            )
            self._set(connection, unanswered, state=state, **because(reason, facts))
            return self._one(connection, ticket)

    def advance(
        self, ticket: str, worker: str, reason: Reason | None = None, facts: Facts | None = None, /, **values: Any
    ) -> bool:
        """Write what the worker found out, and why it is so; False where the job is another process's by now."""
        if values.get("status") not in (None, Status.PREPARING, Status.QUEUEING, Status.SUCCESS):
            values["processing_at"] = func.coalesce(JOBS.c.processing_at, Clock())
        with self.database.write() as connection:
            mine = sa.and_(JOBS.c.ticket == ticket, JOBS.c.worker == worker, JOBS.c.state.in_(UNDER_WAY))
            return self._set(connection, mine, **values, **because(reason, facts))

    def cancel(self, ticket: str, reason: Reason) -> None:
        """Only while nothing was sent."""
        with self.database.write() as connection:
            queued = sa.and_(JOBS.c.ticket == ticket, JOBS.c.state == State.QUEUED)
            self._set(connection, queued, state=State.CANCELLED, **because(reason))

    def renew(self, worker: str, tickets: Collection[str], loops: Mapping[str, tuple[float, str]]) -> None:
        """A sign of life: the lease of what the worker drives, and how its loops do.

        Of each loop, how many seconds ago it ran to its end, and its trouble since then.
        """
        with self.database.write() as connection:
            driven = sa.and_(JOBS.c.worker == worker, JOBS.c.ticket.in_(tickets))
            connection.execute(update(JOBS).where(driven).values(leased_until=Clock(self._lease)))
            stale = sa.or_(LOOPS.c.worker == worker, LOOPS.c.ran_at < Clock(-24 * 3600))
            connection.execute(sa.delete(LOOPS).where(stale))
            for name, (ago, trouble) in loops.items():
                values = {"worker": worker, "name": name, "ran_at": Clock(-ago), "trouble": trouble}
                connection.execute(LOOPS.insert().values(values))

    def release(self, worker: str) -> None:
        """Leave every job to who comes next; a payment without an answer is unknown."""
        with self.database.write() as connection:
            mine = sa.and_(JOBS.c.worker == worker, JOBS.c.state.in_(UNDER_WAY))
            connection.execute(update(JOBS).where(mine).values(leased_until=Clock()))
            self._abandon(connection, sa.and_(mine, JOBS.c.state == State.SENDING))
            connection.execute(sa.delete(LOOPS).where(LOOPS.c.worker == worker))

    def claim(self, worker: str, keys: Collection[str], *, only: Collection[str] | None = None) -> list[Job]:
        """Take over what nobody holds and a key is here for; an abandoned `sending` becomes `unknown`.

        `only` these tickets, however old they are; else what is younger than a day.
        """
        unsent = JOBS.c.state.in_((State.QUEUED, State.SENDING))
        reading = JOBS.c.state.in_((State.RENDERING, State.FETCHING))
        if only is None:
            wanted = sa.or_(unsent, sa.and_(reading, YOUNG))
        else:
            wanted = sa.and_(JOBS.c.state.in_(UNDER_WAY), JOBS.c.ticket.in_(only))
        free = sa.and_(wanted, JOBS.c.leased_until < Clock())
        with self.database.read() as connection:
            if not count(connection, free):
                return []
        with self.database.write() as connection:
            self._abandon(connection, sa.and_(free, JOBS.c.state == State.SENDING))
            stale = sa.and_(free, JOBS.c.state == State.QUEUED, JOBS.c.leased_until < Clock(-STALE_SECONDS))
            self._set(connection, stale, state=State.CANCELLED, **because(Reason.STOPPED_BEFORE))
            locked = sa.and_(free, JOBS.c.key.not_in(keys), JOBS.c.reason != Reason.WAITING_KEY)
            self._set(connection, locked, **because(Reason.WAITING_KEY))
            # Not asked for by their key: by that a database may look through all that it ever paid.
            found = connection.execute(select(JOBS.c.ticket, JOBS.c.key).where(free)).all()
            tickets = [str(row.ticket) for row in found if row.key in keys]
            taken = {"worker": worker, "leased_until": Clock(self._lease)}
            connection.execute(update(JOBS).where(JOBS.c.ticket.in_(tickets)).values(taken))
            return self._all(connection, JOBS.c.ticket.in_(tickets)) if tickets else []

    def job(self, ticket: str) -> Job | None:
        """Also by a ticket that was promised for the same request."""
        with self.database.read() as connection:
            if job := self._one(connection, ticket):
                return job
            other = connection.scalar(select(PROMISED.c.ticket).where(PROMISED.c.promised == ticket))
            return self._one(connection, str(other)) if other else None

    def of_file(self, sums: Collection[str]) -> Job | None:
        """A job whose clip has one of these SHA-256 sums."""
        with self.database.read() as connection:
            known = sa.or_(JOBS.c.came_sha256.in_(sums), JOBS.c.served_sha256.in_(sums))
            return next(iter(self._all(connection, known, limit=1)), None)

    def held(self, ticket: str, worker: str) -> Job | None:
        """The job, if it is under way and the worker's."""
        with self.database.read() as connection:
            mine = (JOBS.c.ticket == ticket, JOBS.c.worker == worker, JOBS.c.state.in_(UNDER_WAY))
            return next(iter(self._all(connection, *mine)), None)

    def jobs(self, limit: int | None = None) -> list[Job]:
        """The newest so many, or all; newest first."""
        with self.database.read() as connection:
            return self._all(connection, order=JOBS.c.queued_at, limit=limit)

    def changed(self, seen: Collection[Job]) -> list[Job]:
        """Those that are no longer as they were seen, however long ago that was."""
        before = {job.ticket: (job.state, job.changed) for job in seen}
        stands = select(JOBS.c.ticket, JOBS.c.state, JOBS.c.changed_at).where(JOBS.c.ticket.in_(before))
        with self.database.read() as connection:
            rows = connection.execute(stands).all()
            others = [ticket for ticket, state, at in rows if before[ticket] != (state, _epoch(at))]
            return self._all(connection, JOBS.c.ticket.in_(others)) if others else []

    def used_today(self, visitor: str | None = None) -> int:
        """Clips that were or may have been paid with the owner's key since midnight UTC, or this visitor's of those."""
        with self.database.read() as connection:
            return used_today(connection, visitor)

    def spent_today(self, key: str) -> int:
        """Thousandths of a PTC that were or may have been paid with the key of this fingerprint since midnight UTC."""
        with self.database.read() as connection:
            return spent_today(connection, key)

    def durations(self, provider: str) -> list[float]:
        """Seconds from the sending to the end of a provider's newest clips, up to 200."""
        with self.database.read() as connection:
            ended = sa.and_(JOBS.c.provider == provider, JOBS.c.state == State.DONE, JOBS.c.ended_at.is_not(None))
            times = select(JOBS.c.sending_at, JOBS.c.ended_at).where(ended).order_by(JOBS.c.ended_at.desc())
            return [(end - sent).total_seconds() for sent, end in connection.execute(times.limit(200))]

    def keys_in_use(self) -> set[str]:
        """The fingerprints of the keys that a job under way needs."""
        with self.database.read() as connection:
            driven = sa.or_(YOUNG, JOBS.c.leased_until > Clock())
            under_way = sa.and_(JOBS.c.state.in_(UNDER_WAY), driven)
            return set(connection.scalars(select(JOBS.c.key).where(under_way).distinct()))

    def under_way(self, tickets: Collection[str]) -> set[str]:
        """Of these, the ones whose jobs have not ended."""
        with self.database.read() as connection:
            which = sa.and_(JOBS.c.ticket.in_(tickets), JOBS.c.state.in_(UNDER_WAY))
            return set(connection.scalars(select(JOBS.c.ticket).where(which)))

    def unnamed(self, stems: Collection[str]) -> set[str]:
        """Of these files, told by their names up to the first dot, the ones that no row names."""
        found = set(stems)
        with self.database.read() as connection:
            rows = connection.execution_options(yield_per=1000).execute(select(JOBS.c.photo, JOBS.c.clip).where(KEEPS))
            for row in rows:
                found.difference_update(name.partition(".")[0] for name in row if name)
        return found

    def simulated(self) -> list[Job]:
        """What the simulator's jobs keep that have ended, newest first."""
        with self.database.read() as connection:
            ended = (JOBS.c.payer == Payer.NOBODY, JOBS.c.ended_at.is_not(None), KEEPS, JOBS.c.deleted_at.is_(None))
            return self._all(connection, *ended, order=JOBS.c.ended_at)

    def to_forget(self, hours: float) -> list[str]:
        """The tickets of jobs that ended so long ago and still keep photo, clip or prompt."""
        with self.database.read() as connection:
            old = sa.and_(JOBS.c.ended_at < Clock(-3600 * hours), KEEPS, JOBS.c.deleted_at.is_(None))
            return list(connection.scalars(select(JOBS.c.ticket).where(old)))

    def erase(self, ticket: str) -> bool:
        """The prompt leaves the row of a job that has ended; photo and clip are shown no more, their files go next."""
        with self.database.write() as connection:
            which = sa.and_(JOBS.c.ticket == ticket, JOBS.c.ended_at.is_not(None), KEEPS)
            erased = self._set(connection, which, prompt="", deleted_at=func.coalesce(JOBS.c.deleted_at, Clock()))
            if erased and self.database.shared:
                (names,) = connection.execute(select(JOBS.c.photo, JOBS.c.clip).where(JOBS.c.ticket == ticket))
                drop(connection, list(names))
            return erased

    def erased(self, ticket: str | None = None) -> list[tuple[str, str, str]]:
        """Ticket, photo and clip of what was erased and whose files may still be there; of all, or of one job."""
        with self.database.read() as connection:
            which = [] if ticket is None else [JOBS.c.ticket == ticket]
            query = select(JOBS.c.ticket, JOBS.c.photo, JOBS.c.clip).where(GOES)
            return [(row.ticket, row.photo, row.clip) for row in connection.execute(query.where(*which))]

    def clear(self, ticket: str) -> None:
        """The files of what was erased are gone."""
        with self.database.write() as connection:
            erased = sa.and_(JOBS.c.ticket == ticket, JOBS.c.deleted_at.is_not(None))
            connection.execute(update(JOBS).where(erased).values(photo="", clip=""))

    def health(self) -> list[tuple[str, str, float, str]]:
        """Of each process that did not end in order: its name, a loop, seconds since that ran, its trouble."""
        with self.database.read() as connection:
            rows = connection.execute(select(LOOPS, Clock().label("now")).order_by(LOOPS.c.worker, LOOPS.c.name))
            return [(row.worker, row.name, _epoch(row.now) - _epoch(row.ran_at), row.trouble) for row in rows]

    def _abandon(self, connection: sa.Connection, sending: sa.ColumnElement[bool]) -> None:
        self._set(connection, sending, state=State.UNKNOWN, **because(Reason.STOPPED_AFTER))

    def _set(self, connection: sa.Connection, which: sa.ColumnElement[bool], **values: Any) -> bool:
        if state := values.get("state"):
            begins = f"{state}_at" if f"{state}_at" in JOBS.c else "ended_at"
            values = {begins: func.coalesce(JOBS.c[begins], Clock())} | because() | values
        return connection.execute(update(JOBS).where(which).values(values | {"changed_at": Clock()})).rowcount > 0

    def _one(self, connection: sa.Connection, ticket: str) -> Job | None:
        return next(iter(self._all(connection, JOBS.c.ticket == ticket)), None)

    def _all(
        self,
        connection: sa.Connection,
        *conditions: sa.ColumnElement[bool],
        order: sa.ColumnElement[Any] | None = None,
        limit: int | None = None,
    ) -> list[Job]:
        query = select(JOBS, Clock().label("now")).where(*conditions).limit(limit)
        query = query if order is None else query.order_by(order.desc())
        return [_job(row) for row in connection.execute(query).mappings()]


# A later version's are none.
_REASONS = {reason.value: reason for reason in Reason}


def _job(row: sa.RowMapping) -> Job:
    values: dict[str, Any] = {name: row[name] for name in Job.__dataclass_fields__ if name in row}
    began = {stage: _epoch(row[column]) for stage, column in BEGINS.items() if row[column]}
    state, reason = State(row["state"]), _REASONS.get(row["reason"])
    values |= {"payer": Payer(row["payer"]), "reason": reason, "facts": json.loads(row["facts"] or "{}")}
    values["words"] = (row["waits"] if state in UNDER_WAY else row["what"], row["advice"])
    values |= {"state": state, "began": began, "ended": row["ended_at"] and _epoch(row["ended_at"])}
    values["deleted"] = row["deleted_at"] is not None
    if values["deleted"]:
        values |= {"photo": "", "clip": ""}
    return Job(**values | {"changed": _epoch(row["changed_at"]), "now": _epoch(row["now"])})


def _epoch(moment: datetime) -> float:
    return moment.replace(tzinfo=UTC).timestamp()
