"""Pictures → an MP4 that any browser plays, and what a frame is made of."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
from av.video.reformatter import Colorspace
from PIL import Image

from ..atomic import atomic_write


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
