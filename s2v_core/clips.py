"""An MP4 on disk: its facts, its poster, and how one is made (PyAV)."""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.video.reformatter import Colorspace
from PIL import Image, ImageOps

from .files import whole

STILLS = 5
# A clip from outside may be longer and larger than any that was asked for.
_MOST_FRAMES, _MOST_PIXELS = 1500, 4096 * 2304


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
    """The container's facts; no frame is decoded. Raises `NotAClip`."""
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


def picture(path: Path) -> list[Path]:
    """What shows a clip where it does not play, beside it: its poster, and `STILLS` of its frames in a row.

    Raises `NotAClip`.
    """
    clip, frames = describe(path), []
    last = min(clip.frames, _MOST_FRAMES) - 1
    if clip.width * clip.height > _MOST_PIXELS:
        raise NotAClip(f"{path.name} has {clip.width} × {clip.height} pixels.")
    wanted = [round(last * (number + 0.5) / STILLS) for number in range(STILLS)]
    try:
        with av.open(str(path.absolute()), format="mp4", metadata_errors="replace") as container:
            for number, frame in enumerate(container.decode(video=0)):
                for _ in range(wanted.count(number)):
                    frames.append(frame.to_image())  # type: ignore[no-untyped-call]
                if number == wanted[-1]:
                    break
    except (av.FFmpegError, OSError) as error:
        raise NotAClip(f"{path.name} cannot be read: {error.strerror}.") from None
    if not frames:
        raise NotAClip(f"{path.name} holds no frame.")
    height = 135
    width = max(1, round(height * clip.width / clip.height))
    strip = Image.new("RGB", (width * STILLS, height))
    for number in range(STILLS):
        still = frames[min(number, len(frames) - 1)]
        strip.paste(still.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=2.0), (width * number, 0))
    made = pictures_of(path)
    for file, picture in zip(made, (ImageOps.contain(frames[len(frames) // 2], (480, 480)), strip), strict=True):
        with whole(file) as part:
            picture.save(part, "JPEG", quality=84)
    return made


def pictures_of(path: Path) -> list[Path]:
    """Where the poster and the row of frames of a clip lie."""
    return [path.with_suffix(".poster.jpg"), path.with_suffix(".stills.jpg")]


def write(frames: Iterable[Image.Image | av.VideoFrame], path: Path, *, fps: int = 25) -> None:
    """All of the clip or nothing: H.264, yuv420p, its index in front, as large as the first frame."""
    options = {"movflags": "faststart"}
    with whole(path) as part, av.open(str(part.absolute()), "w", format="mp4", options=options) as out:
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
