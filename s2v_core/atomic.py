"""A file appears whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
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
