"""A folder keeps within its bytes: the oldest files go first."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def evict(folder: Path, most: int, *, spare: Callable[[str], bool]) -> None:
    """Remove the oldest files until the rest fit into `most` bytes. What is to `spare`, by its name, does not count."""
    files = []
    for place, _, names in os.walk(folder):
        for name in names:
            if spare(name):
                continue
            with suppress(OSError):
                facts = os.lstat(os.path.join(place, name))
                # Even the smallest file takes a block of the disk, and its folder another.
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
