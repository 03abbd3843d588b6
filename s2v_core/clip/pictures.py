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


async def pictures(path: Path, photo: Path | None = None, *, seconds: float = 20.0) -> list[Path]:
    """What shows a clip where it does not play, beside it: its poster, some of its frames, and the faces in them.

    With a `photo`, its face is the first. A clip from outside is decoded in a process of its own, with bounds.
    Raises `NotAClip`.
    """
    async with _rooms.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(2)):
        try:
            command = "-P", _STILLS, path, photo or ""
            made = await printed(*command, lines=4, most_bytes=_PICTURE_BYTES, seconds=seconds)
            return await asyncio.to_thread(_keep, path, made)
        except (OSError, ValueError) as error:
            raise NotAClip(f"{path.name} gives no pictures ({type(error).__name__}).") from None


async def size(path: Path, *, seconds: float = 20.0) -> tuple[int, int, float]:
    """Width and height in pixels, and the seconds of a clip, as its own process sees it. Raises `NotAClip`."""
    try:
        width, height, lasts = await printed(
            "-P", _STILLS, "--size", path, "", lines=3, most_bytes=100, seconds=seconds
        )
        return int(width), int(height), float(lasts)
    except (OSError, ValueError) as error:
        raise NotAClip(f"{path.name} shows nothing ({type(error).__name__}).") from None


async def printed(
    *arguments: str | Path, lines: int, most_bytes: int, seconds: float, folder: Path | None = None
) -> list[bytes]:
    """What a Python process of its own, without any key, prints: `lines` of base64 of at most `most_bytes` each.

    It runs in `folder`. Raises `ValueError` if it fails or prints anything else, and `TimeoutError`.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *arguments),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        limit=most_bytes,
        env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
    )
    assert process.stdout
    try:
        async with asyncio.timeout(seconds):
            read = [await process.stdout.readline() for _ in range(lines)]
            if await process.wait():
                raise ValueError(process.returncode)
        return [b64decode(line.strip(), validate=True) for line in read]
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        # Waits on whether or not this is cancelled: what is killed is also taken off the system's list.
        await asyncio.wait({asyncio.create_task(process.communicate())}, timeout=2.0)


def _keep(path: Path, printed: list[bytes]) -> list[Path]:
    made = pictures_of(path)
    try:
        for file, data in zip(made, printed, strict=True):
            with atomic_write(file) as part:
                part.write_bytes(data)
        # Deleted meanwhile? Then its pictures go too.
        path.stat()
    except OSError:
        for file in made:
            file.unlink(missing_ok=True)
        raise
    return made


def pictures_of(path: Path) -> list[Path]:
    """Where the poster, the row of frames, that of faces and what was found of those lie; the last two may be empty."""
    return [path.with_suffix(f".{name}") for name in ("poster.jpg", "stills.jpg", "faces.jpg", "faces.json")]
