"""From an SQLite ledger and its folder into a database that machines share: rows, files and what fingerprints need.

It can be run again: what is there already stays as it is there.
"""

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import select, update

from ..errors import InputRejected
from ..language import Sentence
from ..photo.prepare import is_link
from .database import Clock, Database
from .files import FolderFiles, drop, put
from .model import UNDER_WAY
from .schema import JOBS, LEDGER, LOOPS

# Some heartbeats.
_ALIVE_SECONDS = 20.0
_COPIED = Sentence("Nothing was copied.")


def move(source: Database, folder: Path, target: Database) -> tuple[int, int]:
    """How many jobs were copied, and how many of all photos and clips are not in the folder.

    Raises `InputRejected` where somebody is at work on the source, or the target belongs to another ledger, and
    `DatabaseUnavailable`.
    """
    if not target.shared:
        raise InputRejected(Sentence("S2V_DATABASE_URL is to be the PostgreSQL database that everything goes to."))
    _check_idle(source, Sentence("A process is at work on the old ledger, or was a minute ago: stop it first."))
    _check_idle(target, Sentence("A process is at work on the new ledger, or was a minute ago: stop it first."))
    with source.read() as connection:
        rows = [dict(row) for row in connection.execute(select(JOBS).order_by(JOBS.c.queued_at)).mappings()]
    _adopt(source, target)
    copied, missing, files = 0, 0, FolderFiles(folder)
    for row in rows:
        with target.aside() as connection:
            there = connection.execute(select(JOBS).where(JOBS.c.ticket == row["ticket"])).mappings().one_or_none()
            names = [name for name in (row["photo"], row["clip"]) if name and not is_link(name)]
            if there and row["deleted_at"] and not there["deleted_at"]:
                # Deleted on the old page, after it was copied.
                values = {"prompt": "", "photo": "", "clip": "", "deleted_at": row["deleted_at"]}
                connection.execute(update(JOBS).where(JOBS.c.ticket == row["ticket"]).values(values))
                drop(connection, [name for name in (there["photo"], there["clip"]) if name and not is_link(name)])
                continue
            for name in names if not there else [name for name in names if name in (there["photo"], there["clip"])]:
                if files.has(name):
                    put(connection, name, files.path(name))
                else:
                    missing += 1
            if not there:
                connection.execute(JOBS.insert().values(row))
                copied += 1
    return copied, missing


def _check_idle(ledger: Database, busy: Sentence) -> None:
    """Raises `InputRejected` where a process has shown a sign of life of late."""
    with ledger.read() as connection:
        alive = select(sa.func.count()).select_from(LOOPS).where(LOOPS.c.ran_at > Clock(-_ALIVE_SECONDS))
        held = sa.and_(JOBS.c.state.in_(UNDER_WAY), JOBS.c.leased_until > Clock())
        if connection.scalar(alive) or connection.scalar(select(sa.func.count()).where(held)):
            raise InputRejected(busy, advice=_COPIED)


def _adopt(source: Database, target: Database) -> None:
    """With another pepper, no key, visitor or request would be known again."""
    with source.read() as connection:
        (mine,) = connection.execute(select(LEDGER.c.pepper, LEDGER.c.identity))
    with target.write() as connection:
        (theirs,) = connection.execute(select(LEDGER.c.pepper, LEDGER.c.identity))
        if tuple(theirs) == tuple(mine):
            return
        if connection.scalar(select(sa.func.count()).select_from(JOBS)):
            raise InputRejected(Sentence("That database has jobs of another ledger."), advice=_COPIED)
        connection.execute(update(LEDGER).values(pepper=mine.pepper, identity=mine.identity))
