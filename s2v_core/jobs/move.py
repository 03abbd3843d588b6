"""From an SQLite ledger and its folder into a database that machines share: rows, files and what fingerprints need.

It can be run again: what is there already stays as it is there.
"""

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import select, update

from ..errors import InputRejected
from ..photo.prepare import is_link
from .database import Clock, Database
from .files import put
from .model import UNDER_WAY
from .schema import JOBS, LEDGER


def move(source: Database, folder: Path, target: Database) -> tuple[int, int]:
    """How many jobs were copied, and how many of all photos and clips are not in the folder.

    Raises `InputRejected` where somebody is at work on the source, or the target belongs to another ledger, and
    `DatabaseUnavailable`.
    """
    if not target.shared:
        raise InputRejected("S2V_DATABASE_URL is to be the PostgreSQL database that everything goes to.")
    with source.read() as connection:
        held = sa.and_(JOBS.c.state.in_(UNDER_WAY), JOBS.c.leased_until > Clock())
        if connection.scalar(select(sa.func.count()).where(held)):
            raise InputRejected("A process is at work on the old ledger: stop it first. Nothing was copied.")
        rows = [dict(row) for row in connection.execute(select(JOBS).order_by(JOBS.c.queued_at)).mappings()]
    _adopt(source, target)
    copied = missing = 0
    for row in rows:
        with target.aside() as connection:
            if connection.scalar(select(JOBS.c.ticket).where(JOBS.c.ticket == row["ticket"])):
                continue
            for name in filter(None, (row["clip"], "" if is_link(row["photo"]) else row["photo"])):
                if (folder / name).is_file():
                    put(connection, name, folder / name)
                else:
                    missing += 1
            connection.execute(JOBS.insert().values(row))
            copied += 1
    return copied, missing


def _adopt(source: Database, target: Database) -> None:
    """With another pepper, no key, visitor or request would be known again."""
    with source.read() as connection:
        (mine,) = connection.execute(select(LEDGER.c.pepper, LEDGER.c.identity))
    with target.write() as connection:
        (theirs,) = connection.execute(select(LEDGER.c.pepper, LEDGER.c.identity))
        if tuple(theirs) == tuple(mine):
            return
        if connection.scalar(select(sa.func.count()).select_from(JOBS)):
            raise InputRejected("That database has jobs of another ledger. Nothing was copied.")
        connection.execute(update(LEDGER).values(pepper=mine.pepper, identity=mine.identity))
