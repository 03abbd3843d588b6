"""A file appears whole or not at all."""

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


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
