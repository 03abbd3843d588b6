"""Where a command writes: words to streams that are there, a clip to where the person said."""

import errno
import io
import os
import shutil
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from .atomic import atomic_write, temporary_for

_READER_SECONDS = 10.0


@contextmanager
def standard_streams() -> Iterator[None]:
    """Standard output and error that are there, and that take every character; nothing is left in them at the end."""
    fill_standard_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        write("", sys.stdout)


def write(text: str, stream: IO[str]) -> OSError | None:
    """Write it at once; what went wrong, after which the stream swallows all."""
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return error
    return None


def is_stdout(path: Path) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(sys.stdout.fileno()))
    except (OSError, ValueError):
        return False


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
