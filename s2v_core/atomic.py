"""A file appears whole or not at all, and where it was said."""

import errno
import os
import secrets
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_READER_SECONDS = 10.0


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A file to write beside `path`; it takes its place when the block ends well, and is removed otherwise."""
    part = temporary_for(path)
    try:
        yield part
        commit(part, path)
    finally:
        part.unlink(missing_ok=True)


def temporary_for(path: Path) -> Path:
    """A name beside `path` that nobody else writes to; it fits wherever the name of `path` does."""
    return path.with_name(f"{path.name[:50]}.{secrets.token_hex(4)}.part")


def commit(part: Path, path: Path) -> None:
    """Give what is written to `part` its name, when it is on the disk."""
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    part.replace(path)


def evict(folder: Path, most: int, *, spare: Callable[[str, float], bool] = lambda name, changed: False) -> None:
    """Remove the oldest files until the rest takes `most` bytes; of each `spare` is asked by its name and its age."""
    files = []
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                facts = os.lstat(os.path.join(place, name))
                if not spare(name, facts.st_ctime):
                    # The smallest takes a block of the disk, and its folder another.
                    files.append((facts.st_ctime, facts.st_size + 8192, place, name))
    excess = sum(size for _, size, _, _ in files) - most
    for _, size, place, name in sorted(files):
        if excess <= 0:
            return
        with suppress(OSError):
            os.unlink(os.path.join(place, name))
            excess -= size
            if place != str(folder):
                os.rmdir(place)


def destination(path: Path) -> Path:
    """The file that `path` stands for, absolute and behind all links. Raises `OSError` if it cannot be written."""
    path = path.absolute()
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        mode = 0
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if mode and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    # Links of /proc to a pipe lead to no name.
    path = path if _takes_bytes(mode) else path.resolve()
    if not _takes_bytes(mode):
        part = temporary_for(path)
        part.touch(exist_ok=False)
        part.unlink()
    return path


def put(source: Path, path: Path, *, reader_seconds: float = _READER_SECONDS) -> None:
    """A copy of `source` as `path`, or into the pipe or device that it names. Raises `OSError`."""
    if path.exists() and _takes_bytes(path.stat().st_mode):
        with source.open("rb") as clip, open(_read_end_open(path, reader_seconds), "wb") as file:
            shutil.copyfileobj(clip, file)
    else:
        with atomic_write(path) as part:
            shutil.copyfile(source, part)


def fill_standard_streams() -> None:
    """Whichever of the three this process was started without leads nowhere, instead of into the next open file."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))


def _takes_bytes(mode: int) -> bool:
    return bool(mode) and not stat.S_ISREG(mode)


def _read_end_open(path: Path, seconds: float) -> int:
    # An `open` that waits for a reader would wait for ever.
    until = time.monotonic() + seconds
    while True:
        try:
            opened = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO or time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            os.set_blocking(opened, True)
            return opened
