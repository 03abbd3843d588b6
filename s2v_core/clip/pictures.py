"""An MP4 on disk: its facts, and what shows it where it does not play."""

import asyncio
import os
import subprocess
import sys
from base64 import b64decode
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakKeyDictionary

import av

from ..atomic import atomic_write
from . import stills

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
    """The file holds no video that can be read; says which file."""


@dataclass(frozen=True, slots=True)
class Clip:
    """What an MP4 says about its video."""

    width: int
    height: int
    seconds: float
    frames: int


def describe(path: Path) -> Clip:
    """The container's facts, of a clip that is one's own: nothing bounds what reading it costs. Raises `NotAClip`."""
    try:
        # Only as an MP4: a playlist from outside could name other files to open.
        with av.open(str(path.absolute()), format="mp4", metadata_errors="replace") as container:
            # The codec of a damaged file may be one that nobody knows.
            for video in (stream for stream in container.streams.video if stream.codec_context):
                clip = Clip(video.width, video.height, (container.duration or 0) / av.time_base, video.frames)
                if clip.width and clip.height and clip.seconds > 0 and clip.frames:
                    return clip
    except (av.FFmpegError, OSError) as error:
        raise NotAClip(f"{path.name} cannot be read: {error.strerror}.") from None
    raise NotAClip(f"{path.name} holds no video.")


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
        *(sys.executable, "-P", stills.__file__, path),
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
