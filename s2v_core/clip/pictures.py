"""An MP4 on disk: its facts, its pictures, and how one is made (PyAV)."""

import asyncio
import os
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from weakref import WeakKeyDictionary

import av
from av.video.reformatter import Colorspace
from PIL import Image

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


def write(frames: Iterable[Image.Image | av.VideoFrame], path: Path, *, fps: int = 25) -> None:
    """All of the clip or nothing: H.264, yuv420p, its index in front, as large as the first frame."""
    options = {"movflags": "faststart"}
    with atomic_write(path) as part, av.open(str(part.absolute()), "w", format="mp4", options=options) as out:
        # A quarter of the work of "veryfast"; the B-frames give a slow camera move half of its size back.
        x264 = {"preset": "ultrafast", "crf": "22", "x264-params": "bframes=2:b-adapt=0:deblock=0,0"}
        stream = out.add_stream("libx264", rate=fps, options=x264)
        stream.pix_fmt = "yuv420p"
        # BT.709, and said so: a player may guess otherwise. 1 is its number in all three tables, and limited range.
        stream.codec_context.color_primaries = stream.codec_context.color_trc = 1
        stream.codec_context.colorspace = stream.codec_context.color_range = 1
        for number, frame in enumerate(frames):
            frame = _yuv(frame) if isinstance(frame, Image.Image) else frame
            if number == 0:
                stream.width, stream.height = frame.width, frame.height
            frame.pts, frame.time_base = number, Fraction(1, fps)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def split(picture: Image.Image) -> list[Image.Image]:
    """The planes of a yuv420p frame, Y, U and V, as grey pictures; U and V have half the size."""
    return [
        Image.frombytes("L", (plane.width, plane.height), bytes(plane), "raw", "L", plane.line_size, 1)
        for plane in _yuv(picture).planes
    ]


def join(planes: list[Image.Image]) -> av.VideoFrame:
    """A frame of the planes: what `split` took apart."""
    frame = av.VideoFrame(*planes[0].size, "yuv420p")
    for plane, picture in zip(frame.planes, planes, strict=True):
        # A plane's lines are padded.
        plane.update(picture.crop((0, 0, plane.line_size, plane.height)).tobytes())
    return frame


def _yuv(picture: Image.Image) -> av.VideoFrame:
    frame: av.VideoFrame = av.VideoFrame.from_image(picture)  # type: ignore[no-untyped-call]
    return frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709)
