"""What shows a clip where it does not play: its poster, and some of its frames in a row."""

import asyncio
import os
import subprocess
import sys
from base64 import b64decode
from contextlib import suppress
from pathlib import Path
from weakref import WeakKeyDictionary

from ..atomic import atomic_write

# A program of its own, and never imported: PyAV takes 35 ms and 20 MB.
_STILLS = Path(__file__).with_name("stills.py")
# What a process may need to start; no key is among it.
_ENVIRONMENT = (
    "PATH",
    "PYTHONPATH",
    "PYTHONHOME",
    "HOME",
    "LD_LIBRARY_PATH",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "SYSTEMROOT",
)
_PICTURE_BYTES = 1_000_000
# Two at once; a semaphore belongs to its loop.
_rooms = WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore]()


class NotAClip(Exception):
    """No picture can be made of the file; says which file."""


async def pictures(path: Path, *, seconds: float = 20.0) -> list[Path]:
    """What shows a clip where it does not play, beside it: its poster, and some of its frames in a row.

    A clip from outside is decoded in a process of its own, with bounds. Raises `NotAClip`.
    """
    async with _rooms.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(2)):
        try:
            return await asyncio.to_thread(_keep, path, await _decoded(path, seconds))
        except (OSError, ValueError) as error:
            raise NotAClip(f"{path.name} gives no pictures ({type(error).__name__}).") from None


async def _decoded(path: Path, seconds: float) -> list[bytes]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", _STILLS, path),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        limit=_PICTURE_BYTES,
        env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
    )
    assert process.stdout
    try:
        async with asyncio.timeout(seconds):
            lines = [await process.stdout.readline() for _ in range(2)]
            if await process.wait():
                raise ValueError(process.returncode)
        return [b64decode(line.strip(), validate=True) for line in lines]
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        # Waits on whether or not this is cancelled: what is killed is also taken off the system's list.
        await asyncio.wait({asyncio.create_task(process.communicate())}, timeout=2.0)


def _keep(path: Path, jpegs: list[bytes]) -> list[Path]:
    made = pictures_of(path)
    try:
        for file, jpeg in zip(made, jpegs, strict=True):
            with atomic_write(file) as part:
                part.write_bytes(jpeg)
        # Deleted meanwhile? Then its pictures go too.
        path.stat()
    except OSError:
        for file in made:
            file.unlink(missing_ok=True)
        raise
    return made


def pictures_of(path: Path) -> list[Path]:
    """Where the poster and the row of frames of a clip lie."""
    return [path.with_suffix(".poster.jpg"), path.with_suffix(".stills.jpg")]
