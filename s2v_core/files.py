"""A file appears whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A file to write beside `path`; it takes its place when the block ends well, and is removed otherwise."""
    part = part_of(path)
    try:
        yield part
        keep(part, path)
    finally:
        part.unlink(missing_ok=True)


def part_of(path: Path) -> Path:
    """A name beside `path` that nobody else writes to."""
    return path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")


def keep(part: Path, path: Path) -> None:
    """Give what is written to `part` its name, when it is on the disk."""
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    part.replace(path)
