"""Where photos and clips lie: in a folder; or in the database of many machines, with a folder on each as its cache.

Every method blocks. A file is named `photos/….jpg` or `clips/….mp4`.
"""

import logging
import os
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import func, select

from ..atomic import atomic_write
from ..eviction import evict
from .database import Clock, Database
from .schema import FILES

_log = logging.getLogger(__name__)

# More in one row is more in memory at once, here and there.
PART_BYTES = 1_000_000
_FOLDERS = ("photos", "clips")
_UNCLAIMED, _IDENTITY, _PUBLISHED = "unclaimed", "ledger.id", "published"
# A drive looks for its clip for 24 hours.
_ORPHAN_SECONDS = 25 * 3600.0
_UNCLAIMED_SECONDS = 30 * 24 * 3600.0
# A file in the cache is older than the row that is being written for it.
_CACHED_SECONDS = 60.0
_CACHE_BYTES = 2_000_000_000
# Names in one statement, of which a driver takes only so many.
_AT_ONCE = 1000


class FolderFiles:
    """The folder has all that there is."""

    shared = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._claimed = False

    def make(self, identity: str, unnamed: Callable[[Collection[str]], set[str]]) -> None:
        """The folder belongs to the ledger of this `identity`, if it is new or that ledger names a file of it."""
        self._make_folders()
        mark = self._folder / _IDENTITY
        if not mark.exists():
            stems = {_stem(path) for path in self.older(0)}
            if not stems or unnamed(stems) < stems:
                with atomic_write(mark) as part:
                    part.write_text(identity)
        self._claimed = mark.exists() and mark.read_text() == identity
        if not self._claimed:
            _log.warning("%s was made with another ledger: no file of it is cleared away", self._folder)

    def path(self, name: str) -> Path:
        """Where it lies, if it is here."""
        return self._folder / name

    def keep(self, name: str, data: bytes) -> None:
        """On the disk before this returns."""
        with atomic_write(self.path(name)) as part:
            part.write_bytes(data)

    def has(self, name: str) -> bool:
        """Whether it is here; one that was cleared away as nobody's comes back with all that belongs to it."""
        path = self.path(name)
        if not path.is_file():
            for aside in (self._folder / _UNCLAIMED).glob(f"{path.stem}.*"):
                with suppress(FileNotFoundError):
                    aside.replace(path.with_name(aside.name))
        return path.is_file()

    def remove(self, names: Sequence[str]) -> None:
        for path in map(self.path, names):
            path.unlink(missing_ok=True)
            (self._folder / _UNCLAIMED / path.name).unlink(missing_ok=True)

    def read(self, name: str) -> bytes:
        """Raises `FileNotFoundError` where there is no such file."""
        self.has(name)
        return self.path(name).read_bytes()

    def sizes(self, names: Collection[str]) -> dict[str, int]:
        """Bytes of those of these that are here."""
        found = {}
        for name in names:
            with suppress(OSError):
                found[name] = self.path(name).stat().st_size
        return found

    def clear_away(self, unnamed: Callable[[Collection[str]], set[str]], arriving: Collection[str]) -> None:
        """What no row names is moved aside after a day, and goes 30 days later.

        A row can be missing for many reasons, so nothing is deleted on a ledger's word, and nothing is moved on that of
        a ledger with which this folder was not made.
        """
        aside = self._folder / _UNCLAIMED
        for path in list(aside.iterdir()) if aside.is_dir() else []:
            if _age(path) > _UNCLAIMED_SECONDS:
                path.unlink(missing_ok=True)
                _log.info("%s goes: for 30 days nobody has claimed it", path)
        old = {path: _stem(path) for path in self.older(_ORPHAN_SECONDS)}
        if not self._claimed or not old:
            return
        orphans = unnamed(set(old.values())) - set(arriving)
        aside.mkdir(exist_ok=True)
        for path, stem in old.items():
            if stem in orphans:
                with suppress(FileNotFoundError):
                    # From now on the 30 days are counted.
                    os.utime(path)
                    path.replace(aside / path.name)
                    _log.warning("no job names %s: it is kept in %s for 30 days", path.name, aside)

    def publish(self, folder: str, clips: Sequence[str]) -> None:
        """In this folder there will be a copy of these clips."""

    def published(self, folder: str) -> list[str]:
        """The clips of which there is a copy in this folder, as far as it is known."""
        return []

    def kept(self, names: Collection[str]) -> set[str]:
        """Those of these that there are."""
        return {name for name in names if self.has(name)}

    def forget(self, arriving: Collection[str]) -> list[str]:
        """Let go of what another machine has deleted; the folders of what was published of it."""
        return []

    def unpublish(self, folder: str) -> None:
        """There is no copy there any more."""

    def older(self, seconds: float) -> Iterator[Path]:
        """Those here that have not been touched for so long, with what was made of them."""
        for name in _FOLDERS:
            for path in list((self._folder / name).iterdir()):
                if path.is_file() and _age(path) > seconds:
                    yield path

    def _make_folders(self) -> None:
        for name in _FOLDERS:
            (self._folder / name).mkdir(parents=True, exist_ok=True)


class DatabaseFiles(FolderFiles):
    """The database has all that there is; what is in the folder can be lost. A clip comes there with its row."""

    shared = True

    def __init__(self, folder: Path, database: Database) -> None:
        super().__init__(folder)
        self._database = database

    def make(self, identity: str, unnamed: Callable[[Collection[str]], set[str]]) -> None:
        """A cache belongs to nobody."""
        self._make_folders()

    def keep(self, name: str, data: bytes) -> None:
        """In the database before this returns. Raises `DatabaseUnavailable`."""
        super().keep(name, data)
        with self._database.aside() as connection:
            drop(connection, [name])
            put(connection, name, self.path(name))

    def has(self, name: str) -> bool:
        """Whether it is here by now, from the database. Raises `DatabaseUnavailable`, and `OSError` on a full disk."""
        path = self.path(name)
        if not name or path.is_file():
            return bool(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._database.read() as connection:
            parts = connection.execution_options(yield_per=1).scalars(_parts(name))
            with suppress(_Nothing), atomic_write(path) as part, part.open("wb") as file:
                if not sum(file.write(each) for each in parts):
                    raise _Nothing
        return path.is_file()

    def remove(self, names: Sequence[str]) -> None:
        super().remove(names)
        with self._database.aside() as connection:
            drop(connection, names)

    def read(self, name: str) -> bytes:
        """From the database where it is not here, also on a full disk. Raises `DatabaseUnavailable`."""
        with suppress(OSError):
            return self.path(name).read_bytes()
        with self._database.read() as connection:
            if data := b"".join(connection.scalars(_parts(name))):
                return data
        raise FileNotFoundError(name)

    def sizes(self, names: Collection[str]) -> dict[str, int]:
        """Bytes of those of these that the database has. Raises `DatabaseUnavailable`."""
        found = dict[str, int]()
        bytes_of = select(FILES.c.name, func.sum(func.octet_length(FILES.c.data))).group_by(FILES.c.name)
        with self._database.read() as connection:
            for some in _thousands(names):
                rows = connection.execute(bytes_of.where(FILES.c.name.in_(some)))
                found.update((name, int(size)) for name, size in rows)
        return found

    def kept(self, names: Collection[str]) -> set[str]:
        """Those of these that the database has. Raises `DatabaseUnavailable`."""
        found = set[str]()
        with self._database.read() as connection:
            for some in _thousands(names):
                there = select(FILES.c.name).where(FILES.c.name.in_(some), FILES.c.part == 0)
                found.update(connection.scalars(there))
        return found

    def publish(self, folder: str, clips: Sequence[str]) -> None:
        mark = self._folder / _PUBLISHED / folder
        if not mark.exists():
            mark.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(mark) as part:
                part.write_text("\n".join(clips))

    def published(self, folder: str) -> list[str]:
        try:
            return (self._folder / _PUBLISHED / folder).read_text().split()
        except (OSError, ValueError):
            return []

    def unpublish(self, folder: str) -> None:
        (self._folder / _PUBLISHED / folder).unlink(missing_ok=True)

    def forget(self, arriving: Collection[str]) -> list[str]:
        evict(self._folder, _CACHE_BYTES, spare=lambda name: "." not in name or name.endswith(".part"))
        cached = {path: _stem(path) + _SUFFIXES[path.parent.name] for path in self.older(_CACHED_SECONDS)}
        kept = self.kept(set(cached.values()))
        for path, name in cached.items():
            if name not in kept and _stem(path) not in arriving:
                path.unlink(missing_ok=True)
        marks = {mark.name: self.published(mark.name) for mark in (self._folder / _PUBLISHED).glob("*[0-9a-f]")}
        kept = self.kept({clip for clips in marks.values() for clip in clips})
        return [folder for folder, clips in marks.items() if not kept.issuperset(clips)]

    def clear_away(self, unnamed: Callable[[Collection[str]], set[str]], arriving: Collection[str]) -> None:
        """A photo that no row names goes after a day. Raises `DatabaseUnavailable`."""
        with self._database.read() as connection:
            old = select(FILES.c.name).where(FILES.c.part == 0, FILES.c.kept_at < Clock(-_ORPHAN_SECONDS))
            photos = {name.partition(".")[0]: name for name in connection.scalars(old) if name.startswith("photos/")}
        if photos:
            with self._database.aside() as connection:
                drop(connection, [photos[stem] for stem in unnamed(photos)])


# Of the original; what was made of it has its name up to the first dot.
_SUFFIXES = {"photos": ".jpg", "clips": ".mp4"}


class _Nothing(Exception):
    pass


def files_in(folder: Path, database: Database) -> FolderFiles:
    """Where a ledger's files lie: in this folder, or in its database, of which the folder has a cache.

    What lay in the folder before is not the cache's, and stays.
    """
    cache = folder / f"cache-{database.identity[:8]}"
    return DatabaseFiles(cache, database) if database.shared else FolderFiles(folder)


def put(connection: sa.Connection, name: str, path: Path) -> None:
    """Into the database, in this transaction, if it is not there: a name is of one content alone."""
    if connection.scalar(select(FILES.c.name).where(FILES.c.name == name, FILES.c.part == 0)):
        return
    with path.open("rb") as file:
        for number, data in enumerate(iter(lambda: file.read(PART_BYTES), b"")):
            values = {"name": name, "part": number, "data": data, "kept_at": Clock()}
            connection.execute(FILES.insert().values(values))


def drop(connection: sa.Connection, names: Sequence[str]) -> None:
    """Out of the database, in this transaction."""
    for some in _thousands(names):
        connection.execute(sa.delete(FILES).where(FILES.c.name.in_(some)))


def _parts(name: str) -> sa.Select[Any]:
    return select(FILES.c.data).where(FILES.c.name == name).order_by(FILES.c.part)


def _thousands(names: Collection[str]) -> Iterator[list[str]]:
    asked = sorted(names)
    return (asked[first : first + _AT_ONCE] for first in range(0, len(asked), _AT_ONCE))


def _stem(path: Path) -> str:
    return f"{path.parent.name}/{path.name.partition('.')[0]}"


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
